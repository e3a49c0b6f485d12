//! The store and the bus: a trait for each part, and two implementations, [`memory`] (embedded, the default) and
//! [`redis`]. One conformance suite tests both.
//!
//! The data model is a set of [`Topic`]s. A topic has named fields, an optional log of entries, and a channel that
//! carries each new entry and each signal to its subscribers. A [`Commit`] changes fields and appends to the log in
//! one atomic step.
//!
//! # Guarantees
//! - **Atomicity.** A [`Commit`] takes effect completely and once, or not at all. After `Ok`, its entry is stored (as
//!   durably as the store is configured) and published.
//! - **Order.** The offsets of a log rise by one without a hole. All nodes see one order. Only retention makes holes, and
//!   [`Slice::first`] tells where the last of them ends.
//! - **Epochs.** A position (epoch and offset) never names two entries. When a store may have lost entries, the log
//!   begins a new epoch, and the [`Lineage`] of the log says up to which offset each earlier epoch is still valid.
//! - **One way of delivery.** Each subscribed node receives an entry from the bus, the publisher's node included, and
//!   in no other way.
//! - **At most once.** The bus may lose messages. A subscriber that needs every entry compares offsets and reads the
//!   log: a hole shows with the next entry, and [`BusEvent::Interrupted`] reports that the last entries may be missing.
//! - **Subscriptions.** A subscription is in force when [`Bus::subscribe`] returns: the node receives every entry that
//!   is committed afterwards, unless an interruption is reported.
//!
//! # Example of an epoch
//! 1. In epoch `A` the log holds the entries 1, 2 and 3. A client has received all three: its position is `A:3`.
//! 2. Redis crashes and restarts from its disk, which holds 1 and 2. Entry 3 is lost.
//! 3. The next read or commit notices that this is another run of Redis. The log begins epoch `B`, and its lineage
//!    notes that `A` ended at 2.
//! 4. The next message gets offset 3 again. Its position is `B:3`, so it is not confused with `A:3`.
//! 5. The client returns with `A:3`. The lineage holds `A:2`, not `A:3`: the client's entry 3 is gone, and its recovery
//!    is refused. A client that returns with `A:2` is recovered: it receives `B:3`.
//!
//! [`Lineage`]: crate::domain::position::Lineage

use std::sync::Arc;

use crate::domain::error::{Code, Refusal};
use crate::domain::id::{NodeId, RoomId, SessionId, UserId};
use crate::domain::trouble::Trouble;

mod activity;
mod bus;
#[cfg(all(test, feature = "redis"))]
mod conformance;
#[cfg(feature = "fault-injection")]
pub mod faulty;
mod health;
mod log;
pub mod memory;
pub mod metered;
mod presence;
#[cfg(feature = "redis")]
pub mod redis;
mod signal;

pub use activity::ActivityStore;
pub use bus::{BUS_CAPACITY, Bus, BusEvent};
pub use health::{Health, Traffic};
pub use log::{
    Append, Commit, Committed, Entry, FieldBound, FieldStore, Fields, Head, Keep, LogStore, Marked, Range, ReadMarks,
    Seen, Slice, TtlWhileEmpty,
};
pub use presence::PresenceStore;
pub use signal::{Notice, Signal, SignalEvent};

/// A unit of data: each topic has its own fields, log and channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A room: its description, members and log.
    Room(RoomId),
    /// A user: profile, rooms, and the channel to all sockets of the user.
    User(UserId),
    /// A session: the user of a resume token.
    Session(SessionId),
    /// The names of public rooms.
    Directory,
    /// The data that all nodes share, such as the key that signs resume tokens.
    Cluster,
    /// A probe: the node publishes to itself. A node has several, told apart by the number.
    Node(NodeId, u16),
}

impl Topic {
    /// The topic of a room.
    #[must_use]
    pub fn room(room: &RoomId) -> Self {
        Self::Room(room.clone())
    }
}

/// Retention of the logs of all topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Entries older than this, by the store's clock, are not returned, and are removed gradually. 0: no limit.
    pub max_age_ms: u64,
    /// The maximum number of counted entries of a log. 0: no limit. A log may hold up to a hundredth less, 15 entries at
    /// most: to remove several together costs a fraction of removing one with each append. Entries that are not counted
    /// are kept as long as they are among the newest so many, and a few more: they take no counted entry's place.
    pub max_entries: u64,
}

/// An error of the store. It does not tell whether a commit took effect: the same commit, repeated with its nonce or
/// its expected fields, does.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store can't be reached, or did not answer in time.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store answers and refuses, for a reason that passes. The text is its own.
    #[error("{0}: {1}")]
    Refused(Trouble, String),
    /// The store, or the way to it, is not set up as required. The text says what to change.
    #[error("{0}")]
    Misconfigured(String),
    /// The store holds data that this version does not write.
    #[error("the store holds what can't be read: {0}")]
    Corrupt(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let refusal = match &error {
            StoreError::Refused(trouble, _) => {
                let what = format!("the store refuses it ({}); send the same request again", trouble.as_str());
                Self::new(Code::Unavailable, what).in_trouble(*trouble)
            }
            _ => Self::new(Code::Unavailable, "the store can't be reached; send the same request again"),
        };
        refusal.because(error.to_string())
    }
}

/// A complete store: all parts. The [module](self) states its guarantees.
pub trait Store: LogStore + FieldStore + ReadMarks + Bus + PresenceStore + ActivityStore + Health {}

impl<T: LogStore + FieldStore + ReadMarks + Bus + PresenceStore + ActivityStore + Health> Store for T {}

/// The parts of a store, each behind its own trait: a user keeps the parts that it calls, and a wrapper implements the
/// parts that it changes.
#[derive(Clone)]
pub struct Stores {
    /// Logs, and commits.
    pub log: Arc<dyn LogStore>,
    /// Named fields.
    pub fields: Arc<dyn FieldStore>,
    /// How far people have read.
    pub marks: Arc<dyn ReadMarks>,
    /// Subscriptions and signals.
    pub bus: Arc<dyn Bus>,
    /// Who is connected.
    pub presence: Arc<dyn PresenceStore>,
    /// Usage analytics.
    pub activity: Arc<dyn ActivityStore>,
    /// Whether the store answers.
    pub health: Arc<dyn Health>,
}

impl Stores {
    /// The parts of one implementation.
    #[must_use]
    pub fn new<S: Store>(store: Arc<S>) -> Self {
        Self {
            log: store.clone(),
            fields: store.clone(),
            marks: store.clone(),
            bus: store.clone(),
            presence: store.clone(),
            activity: store.clone(),
            health: store,
        }
    }
}

/// A random name for a new epoch.
fn new_epoch() -> Result<crate::domain::position::Epoch, StoreError> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(format!("no randomness: {error}")))?;
    let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    Ok(crate::domain::position::Epoch::new(&text))
}
