//! The tests of the whole: real `chat-server` processes, a real `redis-server`, real Socket.IO clients, held to
//! `docs/protocol.md`.
//!
//! Every scenario starts what it needs on ports of its own, so all of them run side by side. Nothing here sleeps and
//! hopes: a test waits for an event, with a deadline that a slow machine meets, and says what it received instead.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking; the harness adds what was sent, received and logged"
)]

#[macro_use]
mod harness;

mod chat_base_path;
mod chat_connect;
mod chat_connections;
mod chat_consent;
mod chat_guests;
mod chat_handshake;
mod chat_impaired;
mod chat_invites;
mod chat_limits;
mod chat_malformed;
mod chat_messages;
mod chat_names;
mod chat_origins;
mod chat_passing;
mod chat_people;
mod chat_polling;
mod chat_private;
mod chat_recovery;
mod chat_retention;
mod chat_room_update;
mod chat_rooms;
mod chat_sessions;
mod chat_settings;
mod chat_stock_clients;
mod chat_strangers;
mod chat_upgrade;
mod cluster_admin;
mod cluster_analytics;
mod cluster_cordon;
mod cluster_failover;
mod cluster_faults;
mod cluster_forged;
mod cluster_history;
mod cluster_hostile;
mod cluster_kills;
mod cluster_logs;
mod cluster_order;
mod cluster_roll;
mod cluster_slow;
mod cluster_store_loss;
mod cluster_store_refusals;
mod cluster_traces;
mod cluster_wedged;
mod deploy_browser;
mod deploy_limits;
mod history;
mod hostile;
mod metrics_page;
mod monitoring_causes;
mod monitoring_rules;
mod operator_env;
mod platform;
mod redis_commands;
mod redis_forms;
mod redis_requests;
mod tidy;
