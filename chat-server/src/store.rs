//! The bus and the store, behind one seam with two implementations: [`memory`] (embedded, the
//! default) and [`redis`]. One conformance suite holds both to what is stated here.
//!
//! Everything that lives in a broker lives in a [`Topic`]: some named fields, an optional log of
//! entries, and a channel on which subscribers hear each new entry and each signal. A [`Commit`]
//! changes fields and appends to the log in one step that nobody can see half of.

use std::borrow::Cow;

use async_trait::async_trait;

use crate::domain::activity::{Activity, Report};
use crate::domain::id::{NodeId, RoomId, SessionId, UserId};
use crate::domain::message::EntryId;
use crate::domain::position::{Epoch, Lineage, Millis, Offset, Position};
use crate::domain::trace::Traceparent;

#[cfg(test)]
mod conformance;
#[cfg(feature = "fault-injection")]
pub mod faulty;
pub mod memory;
pub mod metered;
pub mod redis;

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

/// How much of a log is kept, in every topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Entries older than this, by the broker's clock, are never returned and removed by and by. 0 keeps them.
    pub max_age_ms: u64,
    /// At most this many entries a log. 0 keeps all. Up to a hundredth, and no more than 15, may go
    /// before their time: to remove some together costs a fraction of removing one with each that comes.
    pub max_entries: u64,
}

/// A change of one topic: all of it happens, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// What must be so: each field holds exactly this value (`None`: is absent).
    pub expect: Vec<(String, Option<String>)>,
    /// What becomes so: the field is set (`None`: removed).
    pub set: Vec<(String, Option<String>)>,
    /// What is added to the log, and told to the subscribers.
    pub append: Option<Append>,
    /// The topic is forgotten, all of it, when this much time passes without a commit or
    /// [`Broker::touch`] that renews it. `None` leaves its life as it is; a topic that never
    /// had a `ttl_ms` lives for ever.
    pub ttl_ms: Option<u64>,
}

/// An entry to be added to a log. The broker adds epoch, offset and time.
#[derive(Debug, Clone)]
pub struct Append {
    /// The event's name, such as `message:new`.
    pub event: &'static str,
    /// Whose doing it is.
    pub by: UserId,
    /// What the entry says: the members of a JSON object, without its braces.
    pub payload: String,
    /// Makes the append idempotent: see [`Committed::Repeated`].
    pub nonce: Option<String>,
    /// Whether it counts for [`Broker::unread`].
    pub counted: bool,
    /// Where it belongs, if it is followed: goes with it on the bus and is not stored.
    pub trace: Option<Traceparent>,
}

/// An entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The life of the log in which it was stored; it keeps it when the log goes on in another.
    pub epoch: Epoch,
    /// Its place; each is the one before plus 1.
    pub offset: Offset,
    /// When it was stored, by the broker's clock.
    pub at: Millis,
    /// The event's name.
    pub event: Cow<'static, str>,
    /// Whose doing it is.
    pub by: UserId,
    /// The members of a JSON object, without its braces.
    pub payload: String,
}

impl Entry {
    /// Its name for good.
    #[must_use]
    pub fn id(&self) -> EntryId {
        EntryId { epoch: self.epoch.clone(), offset: self.offset }
    }
}

/// How a [`Commit`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It is stored and published.
    Done {
        /// The place and time of the entry, if one was appended.
        entry: Option<(Position, Millis)>,
    },
    /// Nothing was changed: the same author appended this entry under the same nonce before.
    /// Takes precedence over [`Committed::Refused`]. Known for as long as the log holds the entry.
    Repeated(Entry),
    /// Nothing was changed: an expectation did not hold. The values of the expected fields as
    /// they are, in the order of [`Commit::expect`].
    Refused(Vec<Option<String>>),
}

/// Which entries of a log to read. Both bounds are exclusive.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Entries with a higher offset.
    pub after: Offset,
    /// Entries with a lower offset.
    pub before: Option<Offset>,
    /// At most this many.
    pub limit: usize,
    /// Which end of the range is kept when it holds more than `limit`.
    pub keep: Keep,
}

/// The end of a range that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The entries with the lowest offsets.
    Oldest,
    /// The counted entries with the highest offsets, and no others: found at once, however many
    /// others lie between them.
    NewestCounted,
}

/// A part of a log, read in one step together with what the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The life of the log and those before; empty if nothing was ever committed to the topic.
    pub lineage: Lineage,
    /// The last offset given out, 0 if none.
    pub top: Offset,
    /// The offset of the oldest entry that is kept and not past its age; `top + 1` if none is.
    pub first: Offset,
    /// The entries, rising.
    pub entries: Vec<Entry>,
}

impl Slice {
    /// Whether everything after a position is still in the log, and the position was ever reached.
    #[must_use]
    pub fn covers(&self, position: &Position) -> bool {
        let Position { offset, .. } = *position;
        self.lineage.holds(position) && offset <= self.top && self.first <= offset.saturating_add(1)
    }
}

/// Fields of a topic as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// The broker's clock at that moment.
    pub now: Millis,
    /// The values in the order in which they were asked for.
    pub values: Vec<Option<String>>,
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A new entry of a subscribed topic's log, in the order of the log unless [`Heard::Interrupted`] says otherwise;
    /// with it [`Append::trace`].
    Entry(Topic, Entry, Option<Traceparent>),
    /// A passing signal to a subscribed topic: heard at most once, not stored.
    Signal(Topic, String),
    /// Something may have been missed, in any topic: compare with the logs.
    Interrupted,
}

/// How many things heard may wait for the node before it is told [`Heard::Interrupted`] instead.
pub const HEARD_CAPACITY: usize = 8192;

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

/// What went to a store outside of the process, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Commands; a script is one.
    pub commands: u64,
    /// Connections that came to be.
    pub connects: u64,
}

/// The bus and the store.
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
///   the log: a hole shows, and [`Heard::Interrupted`] tells of possible holes at the end.
/// - [`Broker::subscribe`] returns after the subscription is in force: an entry committed after
///   that is heard.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Changes a topic. See [`Commit`] and [`Committed`].
    async fn commit(&self, topic: &Topic, commit: Commit) -> Result<Committed, StoreError>;

    /// The entry that `by` appended under `nonce`, if the log still holds it.
    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError>;

    /// Reads fields of a topic, all at one moment.
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError>;

    /// Lists fields whose name starts with `prefix`, in the byte order of their names, those
    /// after the name `after` only, at most `limit`.
    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError>;

    /// How many fields have a name that starts with `prefix`.
    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError>;

    /// Renews the life of a topic; see [`Commit::ttl_ms`]. False if there is no such topic.
    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError>;

    /// Reads a part of a log. Entries past their age are not returned, even before they are removed.
    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError>;

    /// Where logs end, without looking whether their lives go on: what differs from what one knows
    /// has to be read. An empty epoch where nothing was ever committed; `None` where just that one log
    /// can't be asked now.
    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError>;

    /// Marks a log as read by `user` up to `offset`: never moves back, cut at the log's top.
    /// Returns how many counted entries of others come after the mark.
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<u64, StoreError>;

    /// How many counted entries of others come after the user's mark, for each topic. 0 where
    /// the user never marked anything.
    async fn unread(&self, topics: &[Topic], user: &UserId) -> Result<Vec<u64>, StoreError>;

    /// Tells all subscribers of a topic something that passes.
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError>;

    /// Hears what is published to the topics from now on. In force when it returns. Idempotent.
    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError>;

    /// Lets go of topics. Idempotent.
    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError>;

    /// The topics by which a node finds out whether it hears: one for each part of the bus that may
    /// fail by itself. May be others at another time.
    fn probes(&self, node: &NodeId) -> Vec<Topic>;

    /// Begins to hear anew, as after a loss of the connection, at least what is published to this
    /// topic: for one who found that it is not heard.
    async fn renew_bus(&self, topic: &Topic);

    /// Says that `user` is connected to `node` (`card`: what is shown of the person, JSON) or no
    /// longer is (`None`). Holds only while the node's [`Broker::beat`] is fresh.
    /// Returns whether the user was online anywhere before, and is now.
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError>;

    /// Keeps alive all that `node` said of presence, for `ttl_ms`.
    async fn beat(&self, node: &NodeId, ttl_ms: u64) -> Result<(), StoreError>;

    /// The cards of users that are connected to a live node; `None` for the others.
    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError>;

    /// Pages through the users that are connected, by id.
    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError>;

    /// How many users are connected.
    async fn online_count(&self) -> Result<u64, StoreError>;

    /// Removes the presence of nodes whose beat ran out, at most `limit` users a call. Each user
    /// that is thereby no longer online anywhere is returned by exactly one call on one node.
    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError>;

    /// Whether the store is set up so that it can keep what is promised.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Adds to what is known of what goes on, under the hour and the day of the broker's clock. Not idempotent.
    async fn record(&self, activity: &Activity) -> Result<(), StoreError>;

    /// What went on in the last `hours` and `days`, the present ones among them; at most [`MOST_HOURS`] and
    /// [`MOST_DAYS`].
    ///
    /// [`MOST_HOURS`]: crate::domain::activity::MOST_HOURS
    /// [`MOST_DAYS`]: crate::domain::activity::MOST_DAYS
    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError>;

    /// Why the broker, or a part of it, does not answer right now, in a few fixed words. `None`: it does.
    fn trouble(&self) -> Option<&'static str>;

    /// What went to a store outside of the process: nothing, where there is none.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// Whether the broker answers right now, at least some.
    fn is_available(&self) -> bool {
        self.trouble().is_none()
    }
}

/// A name for the life of a log that is about to begin.
fn new_epoch() -> Result<crate::domain::position::Epoch, StoreError> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(format!("no randomness: {error}")))?;
    let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    Ok(crate::domain::position::Epoch::new(&text))
}
