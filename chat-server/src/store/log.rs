//! Logs and fields of topics.

use std::borrow::Cow;

use async_trait::async_trait;
use serde_json::value::RawValue;

use super::{StoreError, Topic};
use crate::domain::id::{RoomId, UserId};
use crate::domain::json::Members;
use crate::domain::message::EntryId;
use crate::domain::position::{Epoch, Lineage, Millis, Offset, Position};
use crate::domain::trace::Traceparent;

/// An atomic change of one topic.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The preconditions: each field has exactly this value (`None`: is absent).
    pub expect: Vec<(String, Option<String>)>,
    /// The fields to set (`None`: to remove).
    pub set: Vec<(String, Option<String>)>,
    /// The entry to append to the log and to publish.
    pub append: Option<Append>,
    /// The time to live of the whole topic, from now on. Each commit with a `ttl_ms` and each [`FieldStore::touch`]
    /// renews it. `None` leaves it unchanged; a topic that never had one does not expire.
    pub ttl_ms: Option<u64>,
    /// Instead of `ttl_ms`, and with an entry: the topic expires while nothing of this kind is in it.
    pub ttl_while_empty: Option<TtlWhileEmpty>,
    /// The users that have read everything up to the entry, see [`ReadMarks`].
    pub read_by: Vec<UserId>,
    /// How many fields there may be afterwards.
    pub bound: Option<FieldBound>,
}

/// How long a topic lives in which there is nothing of a kind. The commit decides that in the same step in which it sets
/// its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlWhileEmpty {
    /// What the names of such fields begin with.
    pub prefix: &'static str,
    /// The time to live of the topic while there is no such field. If there is one, the topic does not expire.
    pub ttl_ms: u64,
}

/// The most fields of a kind that a topic may have.
#[derive(Debug, Clone, Copy)]
pub struct FieldBound {
    /// The prefix of their names.
    pub prefix: &'static str,
    /// How many.
    pub most: usize,
}

/// An entry to append. The store adds epoch, offset and time.
#[derive(Debug, Clone)]
pub struct Append {
    /// The name of the event, such as `message:new`.
    pub event: &'static str,
    /// The author.
    pub by: UserId,
    /// The content.
    pub payload: Members,
    /// Makes the append idempotent: see [`Committed::Repeated`].
    pub nonce: Option<String>,
    /// Whether it counts: for [`ReadMarks::unread`], and for [`Retention::max_entries`](super::Retention::max_entries).
    pub counted: bool,
    /// The trace of a traced entry. It is published with the entry and not stored.
    pub trace: Option<Traceparent>,
}

/// An entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The epoch in which it was stored. It stays the same when the log begins a new one.
    pub epoch: Epoch,
    /// Its place in the log: that of the entry before plus 1.
    pub offset: Offset,
    /// When it was stored, by the store's clock.
    pub at: Millis,
    /// The name of the event.
    pub event: Cow<'static, str>,
    /// The author.
    pub by: UserId,
    /// The content.
    pub payload: Members,
}

impl Entry {
    /// The identifier of the entry. It never changes.
    #[must_use]
    pub fn id(&self) -> EntryId {
        EntryId { epoch: self.epoch.clone(), offset: self.offset }
    }

    /// The position of the entry.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch.clone(), offset: self.offset }
    }

    /// The entry as clients receive it.
    ///
    /// # Errors
    /// The stored payload is not JSON.
    pub fn to_json(&self, room: &RoomId) -> Result<Box<RawValue>, StoreError> {
        let (Self { epoch, offset, at, payload, .. }, id) = (self, self.id());
        let payload = payload.as_str();
        // Room, epoch and id hold no character that JSON escapes.
        let text =
            format!(r#"{{"room":"{room}","epoch":"{epoch}","offset":{offset},"id":"{id}","at":{at},{payload}}}"#);
        RawValue::from_string(text).map_err(|error| StoreError::Corrupt(format!("an entry: {error}")))
    }
}

/// The outcome of a [`Commit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// The commit is stored and published.
    Done {
        /// The position and time of the entry, if one was appended.
        entry: Option<(Position, Millis)>,
    },
    /// Nothing was changed: the same author appended this entry under the same nonce before. This is known for as long
    /// as the log holds the entry, and takes precedence over [`Committed::Refused`].
    Repeated(Entry),
    /// Nothing was changed: a precondition did not hold. Contains the actual values of the expected fields, in the
    /// order of [`Commit::expect`].
    Refused(Vec<Option<String>>),
    /// Nothing was changed: there would be more fields than [`Commit::bound`] allows.
    Full,
}

/// The entries of a log to read. Both bounds are exclusive.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Entries with a higher offset.
    pub after: Offset,
    /// Entries with a lower offset.
    pub before: Option<Offset>,
    /// The maximum number of entries.
    pub limit: usize,
    /// Which entries are returned when the range holds more than `limit`.
    pub keep: Keep,
}

/// Which entries of a range are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The entries with the lowest offsets.
    Oldest,
    /// The counted entries with the highest offsets, and no others. The cost does not depend on how many others lie
    /// between them.
    NewestCounted,
    /// The counted entries with the lowest offsets, and no others, under the same promise. Where they are far from each
    /// other it may be fewer than the limit, but at least one: see [`Slice::more`].
    OldestCounted,
}

/// A part of a log and the bounds of the log, read in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The epochs of the log. Empty if nothing was ever committed to the topic.
    pub lineage: Lineage,
    /// The last offset that was assigned; 0 if none.
    pub top: Offset,
    /// From this offset on the log holds every entry, before it only counted ones; `top + 1` if it holds none.
    pub first: Offset,
    /// The entries, in the order of their offsets.
    pub entries: Vec<Entry>,
    /// The range holds counted entries after these, although these are fewer than the limit.
    pub more: bool,
}

/// Where a log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The epochs of the log. Empty if nothing was ever committed to the topic.
    pub lineage: Lineage,
    /// The last offset that was assigned; 0 if none.
    pub top: Offset,
}

impl Slice {
    /// Whether the log holds every entry after a position, and the position is one of this log: then a client at this
    /// position misses nothing.
    #[must_use]
    pub fn covers(&self, position: &Position) -> bool {
        let Position { offset, .. } = *position;
        self.lineage.holds(position) && offset <= self.top && self.first <= offset.saturating_add(1)
    }
}

/// Fields of a topic at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// The store's clock at that moment.
    pub now: Millis,
    /// The values, in the order of the requested names.
    pub values: Vec<Option<String>>,
}

/// The logs of topics, and the one way to change a topic. The [`store`](super) module states the guarantees.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// Changes a topic in one atomic step.
    async fn commit(&self, topic: &Topic, commit: Commit) -> Result<Committed, StoreError>;

    /// Returns the entry that `by` appended under `nonce`, if the log still holds it.
    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError>;

    /// Reads a part of a log. Entries past their maximum age are not returned, even before they are removed.
    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError>;

    /// Returns the last position of each log. This does not notice that a new epoch has to begin, so a caller that sees
    /// a position that it does not expect reads the log. The epoch is empty if nothing was ever committed to the topic;
    /// `None` if this one log can't be reached now.
    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError>;

    /// Returns where each log ends, as [`LogStore::read`] does: a new epoch begins if it has to.
    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Head>, StoreError>;
}

/// The named fields of topics. The [`store`](super) module states the guarantees.
#[async_trait]
pub trait FieldStore: Send + Sync + 'static {
    /// Reads fields of a topic in one step.
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError>;

    /// Reads the same fields of several topics, each topic in one step. Where the time does not matter this costs less
    /// than [`FieldStore::fields`], for one topic as well.
    async fn values(&self, topics: &[Topic], names: &[String]) -> Result<Vec<Vec<Option<String>>>, StoreError>;

    /// Lists at most `limit` fields whose names start with `prefix` and come after the name `after`, in the byte order
    /// of their names.
    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError>;

    /// Counts the fields whose names start with `prefix`.
    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError>;

    /// Returns of each topic whether it has the field. A topic that has it, and whose index of names was lost, gets the
    /// index anew.
    async fn verify(&self, held: &[(Topic, String)]) -> Result<Vec<bool>, StoreError>;

    /// Renews the time to live of a topic, see [`Commit::ttl_ms`]. Returns false if the topic does not exist.
    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError>;
}

/// A read mark after it was moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marked {
    /// Where the mark is: what was asked for, or the last offset of the log if that is lower, or where it was before if that
    /// is higher.
    pub offset: Offset,
    /// The epoch of the log.
    pub epoch: Epoch,
    /// How many counted entries of others come after the mark, as far as they are kept.
    pub unread: u64,
}

/// What a user finds in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How many counted entries of others come after the user's mark, no more than are kept; 0 if the user has none.
    pub unread: u64,
    /// The values of fields, in the order of the requested names.
    pub values: Vec<Option<String>>,
}

/// How far users have read logs. The [`store`](super) module states the guarantees.
#[async_trait]
pub trait ReadMarks: Send + Sync + 'static {
    /// Marks a log as read by `user` up to `offset`, or up to its last entry if `offset` is higher. A mark never moves
    /// back. What is unread afterwards is exact if at most 200 entries come after the mark, or lie between it and the
    /// former one; otherwise it may be in proportion.
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<Marked, StoreError>;

    /// Lists users of whom the log keeps a mark, or how much they wrote: about `limit` of them, from a cursor on (empty: from
    /// the first), and the cursor with which to go on, if there may be more. Who is there all the while is listed at least
    /// once.
    async fn readers(
        &self,
        topic: &Topic,
        cursor: &str,
        limit: usize,
    ) -> Result<(Vec<UserId>, Option<String>), StoreError>;

    /// Removes the marks of users, and how much they wrote: for users who are gone for good.
    async fn forget(&self, topic: &Topic, users: &[UserId]) -> Result<(), StoreError>;

    /// Returns for each topic what is unread by the user, and the values of these fields, read in one step.
    async fn seen(&self, topics: &[Topic], user: &UserId, names: &[String]) -> Result<Vec<Seen>, StoreError>;
}
