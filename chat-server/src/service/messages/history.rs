//! Reading what was said.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::Messages;
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::limits::PAGE_BYTES;
use crate::domain::position::{Epoch, Offset, Position};
use crate::service::actor::Actor;
use crate::store::{Entry, Keep, Range, Slice, StoreError, Topic};

/// A page of messages.
#[derive(Debug)]
pub struct Page {
    /// The epoch of the log.
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

impl Logged {
    /// An entry of a room's log.
    ///
    /// # Errors
    /// The stored payload is no JSON.
    pub fn of(room: &RoomId, entry: &Entry) -> Result<Self, StoreError> {
        let corrupt = |error: serde_json::Error| StoreError::Corrupt(error.to_string());
        let fields = serde_json::from_str(entry.to_json(room)?.get()).map_err(corrupt)?;
        Ok(Self { event: entry.event.clone(), fields })
    }
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

/// How many of these entries, from the first on, fit into one answer: at least one.
pub(crate) fn fitting<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    let mut bytes = 0;
    let fits = |(place, entry): &(usize, &Entry)| {
        bytes += entry.payload.as_str().len();
        *place == 0 || bytes <= PAGE_BYTES
    };
    entries.enumerate().take_while(fits).count()
}

impl Messages {
    /// Reads messages of a room.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_read`].
    pub async fn history(&self, actor: &Actor, room: &RoomId, from: From, limit: usize) -> Result<Page, Refusal> {
        self.rooms.access(&actor.user, room).await?.standing(room).may_read()?;
        Ok(self.page(room, from, limit).await?)
    }

    /// Reads messages without asking for rights: for one who was just let in.
    pub(crate) async fn page(&self, room: &RoomId, from: From, limit: usize) -> Result<Page, StoreError> {
        let topic = Topic::room(room);
        // One more than asked for tells whether something lies beyond.
        let wanted = limit + 1;
        let range = match from {
            From::Before(before) => Range { after: 0, before, limit: wanted, keep: Keep::NewestCounted },
            From::After(after) => Range { after, before: None, limit: wanted, keep: Keep::OldestCounted },
        };
        let Slice { lineage, entries: mut found, more, .. } = self.log.read(&topic, range).await?;
        let fit = match from {
            From::Before(_) => fitting(found.iter().rev()),
            From::After(_) => fitting(found.iter()),
        }
        .min(limit);
        let complete = !more && found.len() < wanted && fit == found.len();
        match from {
            From::Before(_) => drop(found.drain(..found.len() - fit)),
            From::After(_) => found.truncate(fit),
        }
        let messages = found.iter().map(|entry| entry.to_json(room)).collect::<Result<_, _>>()?;
        Ok(Page { epoch: lineage.epoch, messages, complete })
    }

    /// Reads the raw log of a room.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_read`].
    pub async fn log(
        &self,
        actor: &Actor,
        room: &RoomId,
        epoch: &Epoch,
        after: Offset,
        limit: usize,
    ) -> Result<Log, Refusal> {
        self.rooms.access(&actor.user, room).await?.standing(room).may_read()?;
        let range = Range { after, before: None, limit, keep: Keep::Oldest };
        let mut slice = self.log.read(&Topic::room(room), range).await?;
        if !slice.covers(&Position { epoch: epoch.clone(), offset: after }) {
            return Ok(Log::Gone);
        }
        slice.entries.truncate(fitting(slice.entries.iter()));
        let last = slice.entries.last().map_or(after, |entry| entry.offset);
        let events = slice.entries.iter().map(|entry| Logged::of(room, entry)).collect::<Result<_, _>>()?;
        let position = Position { epoch: slice.lineage.epoch, offset: last };
        Ok(Log::Entries { events, position, complete: last == slice.top })
    }
}
