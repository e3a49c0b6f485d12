//! Entries that are delivered together.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::Outlet;
use crate::domain::id::{RoomId, UserId};
use crate::domain::position::{Millis, Offset};
use crate::observability::traces::Followed;
use crate::store::{Entry, StoreError};
use crate::transport::socketio::event::Event;

/// Entries delivered together, and their size in bytes.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 64 * 1024;

/// An entry that somebody may still need.
pub(super) struct Line {
    pub(super) offset: Offset,
    /// When it was stored.
    pub(super) at: Millis,
    pub(super) event: Event,
    /// Who left, if this says so.
    pub(super) left: Option<UserId>,
}

impl Line {
    /// The entry, as it is delivered.
    pub(super) fn of(room: &RoomId, entry: &Entry) -> Result<Self, StoreError> {
        let json = entry.to_json(room)?;
        let left = (entry.event == "member:left").then(|| who_left(&json)).flatten();
        Ok(Self { offset: entry.offset, at: entry.at, event: Event::new(entry.event.clone(), json), left })
    }
}

fn who_left(json: &RawValue) -> Option<UserId> {
    #[derive(Deserialize)]
    struct Left {
        user: Who,
    }
    #[derive(Deserialize)]
    struct Who {
        id: UserId,
    }
    serde_json::from_str::<Left>(json.get()).ok().map(|left| left.user.id)
}

/// Entries that were applied, and are to be delivered together.
#[derive(Default)]
pub(super) struct Batch {
    offsets: Vec<Offset>,
    /// When each was stored.
    at: Vec<Millis>,
    events: Vec<Event>,
    bytes: usize,
    /// Who left, and at which place.
    left: Vec<(usize, UserId)>,
    /// What is followed, and at which place.
    followed: Vec<(usize, Followed)>,
}

impl Batch {
    pub(super) fn push(&mut self, line: Line) {
        let Line { offset, at, event, left } = line;
        self.left.extend(left.map(|user| (self.events.len(), user)));
        self.bytes += event.frame().len();
        self.offsets.push(offset);
        self.at.push(at);
        self.events.push(event);
    }

    /// The last is followed; its span ends when it is delivered.
    pub(super) fn follow(&mut self, offset: Offset, followed: Option<Followed>) {
        if let (Some(followed), Some(last)) = (followed, self.offsets.len().checked_sub(1))
            && self.offsets[last] == offset
        {
            self.followed.push((last, followed));
        }
    }

    /// The span of the one at this place, from the last to the first.
    pub(super) fn take_followed(&mut self, place: usize) -> Option<Followed> {
        self.followed.pop_if(|(at, _)| *at == place).map(|(_, followed)| followed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The offset of the one at this place.
    pub(super) fn offset(&self, place: usize) -> Offset {
        self.offsets.get(place).copied().unwrap_or_default()
    }

    /// When each was stored.
    pub(super) fn stored(&self) -> &[Millis] {
        &self.at
    }

    /// The frames of all, one behind the other, where there are several.
    pub(super) fn whole(&self) -> Option<Bytes> {
        (self.events.len() > 1).then(|| {
            let mut whole = Vec::with_capacity(self.bytes);
            self.events.iter().for_each(|event| whole.extend_from_slice(event.frame()));
            whole.into()
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// What one gets who has all that was before: their own leaving is the last they hear.
    pub(super) fn of(&self, outlet: &dyn Outlet) -> (&[Event], bool) {
        match self.left.iter().find(|(_, who)| who == outlet.user()) {
            Some((last, _)) => (&self.events[..=*last], true),
            None => (&self.events, false),
        }
    }

    pub(super) fn into_lines(self) -> impl Iterator<Item = Line> {
        let mut left = self.left.into_iter().peekable();
        self.offsets.into_iter().zip(self.at).zip(self.events).enumerate().map(move |(place, ((offset, at), event))| {
            let left = left.next_if(|(at, _)| *at == place).map(|(_, user)| user);
            Line { offset, at, event, left }
        })
    }
}
