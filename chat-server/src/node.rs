//! One running chat-server: its configuration, how it starts, and how it stops.

mod bus_events;
mod clock;
pub mod config;
mod drain;
mod files;
mod gone;
mod listeners;
mod probe;
mod reserve;
mod restore;
pub mod server;
mod services;
mod startup;
mod store_probe;
