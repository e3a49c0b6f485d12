//! The words of the chat as types. Pure: nothing here knows of a network, a clock or a store.

pub mod activity;
pub mod address;
pub mod bucket_table;
pub mod code;
pub mod content;
pub mod error;
pub mod fold;
pub mod id;
pub mod json;
pub mod limits;
pub mod log_event;
pub mod message;
pub mod permission;
pub mod position;
pub mod rate_limit;
pub mod room;
pub mod session;
pub mod text;
pub mod trace;
pub mod trouble;
pub mod user;
