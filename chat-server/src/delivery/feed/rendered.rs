//! An entry of the log as its outlets get it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::event::{Encoder, Event};
use crate::domain::id::{RoomId, UserId};
use crate::domain::log_event;
use crate::domain::position::{Millis, Offset};
use crate::store::{Entry, StoreError};

/// An entry of the log as its outlets get it.
pub(super) struct RenderedEntry {
    pub(super) offset: Offset,
    /// When the entry was stored.
    pub(super) at: Millis,
    pub(super) event: Event,
    /// The user who left the room, if the entry says so.
    pub(super) left: Option<UserId>,
}

impl RenderedEntry {
    pub(super) fn new(room: &RoomId, entry: &Entry, encode: Encoder) -> Result<Self, StoreError> {
        if !log_event::is_deliverable(&entry.event) {
            return Err(StoreError::Corrupt("an entry is stored under a name that no entry has".into()));
        }
        let json = entry.to_json(room)?;
        let left = (entry.event == "member:left").then(|| who_left(&json)).flatten();
        Ok(Self { offset: entry.offset, at: entry.at, event: Event::new(entry.event.clone(), json, encode), left })
    }

    pub(super) fn bytes(&self) -> usize {
        self.event.frame().len()
    }
}

fn who_left(json: &RawValue) -> Option<UserId> {
    #[derive(Deserialize)]
    struct Left {
        user: User,
    }
    #[derive(Deserialize)]
    struct User {
        id: UserId,
    }
    serde_json::from_str::<Left>(json.get()).ok().map(|left| left.user.id)
}
