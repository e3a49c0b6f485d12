//! The bus and the store, behind one seam with two implementations: [`memory`] (embedded, the
//! default) and [`redis`]. One conformance suite holds both to what is stated here.
//!
//! Everything that lives in a broker lives in a [`Topic`]: some named fields, an optional log of
//! entries, and a channel on which subscribers hear each new entry and each signal. A [`Commit`]
//! changes fields and appends to the log in one step that nobody can see half of.

use std::sync::Arc;

use crate::domain::error::{Code, Refusal};
use crate::domain::id::{NodeId, RoomId, SessionId, UserId};

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
pub use log::{Append, Commit, Committed, Entry, FieldStore, Fields, Keep, LogStore, Range, ReadMarks, Slice};
pub use presence::PresenceStore;
pub use signal::{Notice, Signal};

/// What a broker keeps apart: each topic has its own fields, log and channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A room: what it is, its members, its log.
    Room(RoomId),
    /// A person: profile, rooms, and the channel to all of the person's sockets.
    User(UserId),
    /// A session: who is behind a resume token.
    Session(SessionId),
    /// The names of public rooms.
    Directory,
    /// What all nodes of a cluster share, such as the key that signs resume tokens.
    Cluster,
    /// What a node says to itself. The number tells several such topics of a node apart.
    Node(NodeId, u16),
}

impl Topic {
    /// The topic of a room.
    #[must_use]
    pub fn room(room: &RoomId) -> Self {
        Self::Room(room.clone())
    }
}

/// How much of a log is kept, in every topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Entries older than this, by the broker's clock, are never returned and removed by and by. 0 keeps them.
    pub max_age_ms: u64,
    /// At most this many entries a log. 0 keeps all. Up to a hundredth, and no more than 15, may go
    /// before their time: to remove some together costs a fraction of removing one with each that comes.
    pub max_entries: u64,
}

/// What can go wrong with a broker. Nothing of it says whether a commit took effect: only the
/// same commit again, under its nonce or its expectations, can tell.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or did not answer in time.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// It is not set up as it has to be, or the way to it is not; holds what to change.
    #[error("{0}")]
    Misconfigured(String),
    /// What it holds is not what this version writes.
    #[error("the broker holds what can't be read: {0}")]
    Corrupt(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(Code::Unavailable, "the store can't be reached; send the same request again")
            .because(error.to_string())
    }
}

/// The bus and the store, whole.
///
/// # Guarantees
/// - A [`Commit`] takes effect as a whole, once, or not at all. After `Ok`, its entry is stored
///   (as durably as the store is) and published.
/// - Offsets of a log rise by one without a hole, in one order for all nodes.
/// - No position ever stands for two entries: a log whose store may hold less than it did begins a
///   new life, and says up to where it goes on from the old one ([`Lineage`]).
/// - Entries are heard from the bus by every subscribed node, the publisher's own included, and
///   only from there.
/// - Delivery on the bus is at most once. Whoever needs all entries compares offsets and reads
///   the log: a hole shows, and [`BusEvent::Interrupted`] tells of possible holes at the end.
/// - [`Bus::subscribe`] returns after the subscription is in force: an entry committed after
///   that is heard.
pub trait Store: LogStore + FieldStore + ReadMarks + Bus + PresenceStore + ActivityStore + Health {}

impl<T: LogStore + FieldStore + ReadMarks + Bus + PresenceStore + ActivityStore + Health> Store for T {}

/// A store by its parts, so that each user takes those that it needs and a wrapper implements
/// only those that it changes.
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

/// A name for the life of a log that is about to begin.
fn new_epoch() -> Result<crate::domain::position::Epoch, StoreError> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(format!("no randomness: {error}")))?;
    let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    Ok(crate::domain::position::Epoch::new(&text))
}
