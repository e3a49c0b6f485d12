//! Reading what was said, and how far one has read.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::domain::position::{Epoch, Offset, Position};
use crate::domain::user::User;
use crate::service::messages::send::MESSAGE_NEW;
use crate::service::rooms::Rooms;
use crate::store::{Entry, Keep, Range, StoreError, Topic};

/// Entries read at a time while messages are looked for among them.
const CHUNK: usize = 200;

/// A page of messages.
#[derive(Debug)]
pub struct Page {
    /// The life of the log.
    pub epoch: Epoch,
    /// The messages, rising.
    pub messages: Vec<Box<RawValue>>,
    /// Nothing lies beyond the page, in the direction of reading.
    pub complete: bool,
}

/// From which side a page of history is cut.
#[derive(Debug, Clone, Copy)]
pub enum From {
    /// The newest messages before this offset; `None`: the newest of all.
    Before(Option<Offset>),
    /// The oldest messages after this offset.
    After(Offset),
}

/// An entry with its name, as the raw log gives it.
#[derive(Debug, Serialize)]
pub struct Logged {
    event: Cow<'static, str>,
    #[serde(flatten)]
    fields: serde_json::Map<String, serde_json::Value>,
}

/// What a reader of the log gets.
#[derive(Debug)]
pub enum Log {
    /// The entries, rising, and where they end.
    Entries {
        /// The entries.
        events: Vec<Logged>,
        /// The position after the last of them.
        position: Position,
        /// Nothing newer is in the log.
        complete: bool,
    },
    /// The epoch is not one of this log's, or a part of the range is gone.
    Gone,
}

impl Rooms {
    /// Reads messages of a room.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_read`].
    pub async fn history(&self, user: &User, room: &RoomId, from: From, limit: usize) -> Result<Page, Refusal> {
        self.access(user, room).await?.standing(room).may_read()?;
        Ok(self.messages(room, from, limit).await?)
    }

    /// Reads messages without asking for rights: for one who was just let in.
    pub(crate) async fn messages(&self, room: &RoomId, from: From, limit: usize) -> Result<Page, StoreError> {
        let topic = Topic::room(room);
        // One more than asked for tells whether something lies beyond.
        let wanted = limit + 1;
        let (mut found, epoch) = match from {
            From::Before(before) => {
                let range = Range { after: 0, before, limit: wanted, keep: Keep::NewestCounted };
                let slice = self.log.read(&topic, range).await?;
                (slice.entries, slice.lineage.epoch)
            }
            From::After(after) => self.messages_after(&topic, after, wanted).await?,
        };
        let complete = found.len() < wanted;
        match from {
            From::Before(_) => drop(found.drain(..found.len().saturating_sub(limit))),
            From::After(_) => found.truncate(limit),
        }
        let messages = found.iter().map(|entry| entry.to_json(room)).collect::<Result<_, _>>()?;
        Ok(Page { epoch, messages, complete })
    }

    /// The first messages after an offset.
    async fn messages_after(
        &self,
        topic: &Topic,
        mut after: Offset,
        wanted: usize,
    ) -> Result<(Vec<Entry>, Epoch), StoreError> {
        let mut found = Vec::new();
        loop {
            let slice = self.log.read(topic, Range { after, before: None, limit: CHUNK, keep: Keep::Oldest }).await?;
            let last = slice.entries.len() < CHUNK;
            after = slice.entries.last().map_or(after, |entry| entry.offset);
            found.extend(slice.entries.into_iter().filter(|entry| entry.event == MESSAGE_NEW));
            if last || found.len() >= wanted {
                return Ok((found, slice.lineage.epoch));
            }
        }
    }

    /// Reads the raw log of a room.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_read`].
    pub async fn log(
        &self,
        user: &User,
        room: &RoomId,
        epoch: &Epoch,
        after: Offset,
        limit: usize,
    ) -> Result<Log, Refusal> {
        self.access(user, room).await?.standing(room).may_read()?;
        let range = Range { after, before: None, limit, keep: Keep::Oldest };
        let slice = self.log.read(&Topic::room(room), range).await?;
        if !slice.covers(&Position { epoch: epoch.clone(), offset: after }) {
            return Ok(Log::Gone);
        }
        let last = slice.entries.last().map_or(after, |entry| entry.offset);
        let events = slice.entries.iter().map(|entry| logged(room, entry)).collect::<Result<_, _>>()?;
        let position = Position { epoch: slice.lineage.epoch, offset: last };
        Ok(Log::Entries { events, position, complete: last == slice.top })
    }

    /// Marks a room as read up to an offset. Returns the offset, cut at the head, and what is left.
    ///
    /// # Errors
    /// As for writing.
    pub async fn mark_read(&self, user: &User, room: &RoomId, offset: Offset) -> Result<(Offset, u64), Refusal> {
        self.access(user, room).await?.standing(room).may_write()?;
        let topic = Topic::room(room);
        let head = Range { after: Offset::MAX - 1, before: None, limit: 1, keep: Keep::Oldest };
        let offset = offset.min(self.log.read(&topic, head).await?.top);
        Ok((offset, self.marks.mark_read(&topic, &user.id, offset).await?))
    }

    /// How many messages of others one has not read, in each room.
    ///
    /// # Errors
    /// The broker's.
    pub async fn unread(&self, user: &UserId, rooms: &[RoomId]) -> Result<Vec<u64>, StoreError> {
        let topics: Vec<_> = rooms.iter().map(Topic::room).collect();
        self.marks.unread(&topics, user).await
    }
}

fn logged(room: &RoomId, entry: &Entry) -> Result<Logged, StoreError> {
    let fields = serde_json::from_str(entry.to_json(room)?.get()).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    Ok(Logged { event: entry.event.clone(), fields })
}
