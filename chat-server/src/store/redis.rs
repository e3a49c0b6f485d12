//! The store and the bus on Redis, which many nodes share. The only code that knows fred.
//!
//! Each call is one script or one command, so that nobody sees half of a change, and one round trip.
//!
//! | file | content |
//! |---|---|
//! | `scripts.rs`, `scripts/` | the Lua scripts, and how to add one |
//! | `keys.rs` | all keys and channels, and how to add one |
//! | `replies.rs`, `topic_head.rs` | parsers of the scripts' replies, and of the head of a log |
//! | `log.rs`, `fields.rs`, `bus.rs`, `presence.rs`, `activity.rs`, `health.rs` | the parts of the store |
//! | `store.rs` | what these share |
//! | `append/` | sends concurrent appends together |
//! | `cluster/` | the servers and their slots |
//! | `pubsub/` | subscriptions |
//! | `refusals.rs` | what a Redis that answers and refuses says |
//! | `durability.rs`, `server_check.rs` | what a server of Redis must be able to do |
//! | `connect/` | options, URL, TLS, connections |

use std::time::Duration;

use crate::domain::position::Offset;

mod activity;
mod append;
mod bus;
mod cluster;
mod connect;
mod durability;
mod fields;
mod health;
mod keys;
mod log;
#[doc(hidden)]
pub mod parsers;
mod presence;
mod pubsub;
mod refusals;
mod replies;
mod scripts;
mod server_check;
mod slots;
mod store;
mod topic_head;

pub use connect::TlsFiles;
pub use connect::config::{Durability, RedisConfig};
pub use store::RedisStore;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Larger integers are not exact in Lua. No log gets there.
const MAX_OFFSET: Offset = (1 << 53) - 2;
/// The longest time to live, some 1,000 years: Redis refuses one that overflows its clock.
const MAX_TTL_MS: u64 = 1 << 45;
/// The highest limit of a page: more than any reply should hold.
const MAX_LIMIT: usize = 1 << 31;
