//! The feeds of a node, by room.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::mailbox::{FeedHandle, Message};
use crate::domain::id::RoomId;

/// The feeds that run.
#[derive(Default)]
pub(super) struct Registry(Mutex<HashMap<RoomId, FeedHandle>>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, FeedHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, room: &RoomId) -> Option<FeedHandle> {
        self.lock().get(room).cloned()
    }

    /// The feed of a room; and the mailbox of a new one, which the caller starts, where none runs.
    pub(super) fn get_or_insert(&self, room: &RoomId) -> (FeedHandle, Option<mpsc::Receiver<Message>>) {
        let mut feeds = self.lock();
        if let Some(handle) = feeds.get(room)
            && !handle.is_closed()
        {
            return (handle.clone(), None);
        }
        let (handle, mailbox) = FeedHandle::new();
        feeds.insert(room.clone(), handle.clone());
        (handle, Some(mailbox))
    }

    /// Sends a message to the feed of a room, if one runs. Never waits: see [`FeedHandle::send_or_backfill`].
    pub(super) fn send_or_backfill(&self, room: &RoomId, message: Message) {
        if let Some(handle) = self.lock().get(room) {
            handle.send_or_backfill(message);
        }
    }

    /// Has the feed of a room, if one runs, compare itself with the log.
    pub(super) fn backfill(&self, room: &RoomId) {
        if let Some(handle) = self.lock().get(room) {
            handle.backfill();
        }
    }

    /// Closes the mailbox of a feed and forgets the feed, unless a message waits: then false.
    pub(super) fn retire(&self, room: &RoomId, mailbox: &mut mpsc::Receiver<Message>) -> bool {
        let mut feeds = self.lock();
        if !mailbox.is_empty() {
            return false;
        }
        mailbox.close();
        feeds.remove(room);
        true
    }

    /// Every feed with its room.
    pub(super) fn all(&self) -> Vec<(RoomId, FeedHandle)> {
        self.lock().iter().map(|(room, handle)| (room.clone(), handle.clone())).collect()
    }
}
