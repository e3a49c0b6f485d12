//! Logs and fields of topics: what is stored.

use std::borrow::Cow;

use async_trait::async_trait;
use serde_json::value::RawValue;

use super::{StoreError, Topic};
use crate::domain::id::{RoomId, UserId};
use crate::domain::json::Members;
use crate::domain::message::EntryId;
use crate::domain::position::{Epoch, Lineage, Millis, Offset, Position};
use crate::domain::trace::Traceparent;

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
    /// [`FieldStore::touch`] that renews it. `None` leaves its life as it is; a topic that never
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
    /// What the entry says.
    pub payload: Members,
    /// Makes the append idempotent: see [`Committed::Repeated`].
    pub nonce: Option<String>,
    /// Whether it counts for [`ReadMarks::unread`].
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
    /// What the entry says.
    pub payload: Members,
}

impl Entry {
    /// Its name for good.
    #[must_use]
    pub fn id(&self) -> EntryId {
        EntryId { epoch: self.epoch.clone(), offset: self.offset }
    }

    /// Where it is.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch.clone(), offset: self.offset }
    }

    /// The entry as clients get it.
    ///
    /// # Errors
    /// The stored payload is no JSON.
    pub fn to_json(&self, room: &RoomId) -> Result<Box<RawValue>, StoreError> {
        let (Self { epoch, offset, at, payload, .. }, id) = (self, self.id());
        let payload = payload.as_str();
        // Room, epoch and id hold no character that JSON escapes.
        let text =
            format!(r#"{{"room":"{room}","epoch":"{epoch}","offset":{offset},"id":"{id}","at":{at},{payload}}}"#);
        RawValue::from_string(text).map_err(|error| StoreError::Corrupt(format!("an entry: {error}")))
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

/// Topics' logs, and the one way to change a topic. [`Store`](super::Store) states what all implementations guarantee.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// Changes a topic. See [`Commit`] and [`Committed`].
    async fn commit(&self, topic: &Topic, commit: Commit) -> Result<Committed, StoreError>;

    /// The entry that `by` appended under `nonce`, if the log still holds it.
    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError>;

    /// Reads a part of a log. Entries past their age are not returned, even before they are removed.
    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError>;

    /// Where logs end, without looking whether their lives go on: what differs from what one knows
    /// has to be read. An empty epoch where nothing was ever committed; `None` where just that one log
    /// can't be asked now.
    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError>;
}

/// The named fields of topics. [`Store`](super::Store) states what all implementations guarantee.
#[async_trait]
pub trait FieldStore: Send + Sync + 'static {
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
}

/// How far people have read logs. [`Store`](super::Store) states what all implementations guarantee.
#[async_trait]
pub trait ReadMarks: Send + Sync + 'static {
    /// Marks a log as read by `user` up to `offset`: never moves back, cut at the log's top.
    /// Returns how many counted entries of others come after the mark.
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<u64, StoreError>;

    /// How many counted entries of others come after the user's mark, for each topic. 0 where
    /// the user never marked anything.
    async fn unread(&self, topics: &[Topic], user: &UserId) -> Result<Vec<u64>, StoreError>;
}
