//! Clients that were authenticated and whose sessions are about to open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::Client;
use crate::delivery::Outlet;
use crate::domain::id::ConnectionId;
use crate::domain::position::Position;

/// What a session opens with.
pub(super) struct Start {
    pub(super) client: Arc<Client>,
    /// What the client has of each room.
    pub(super) positions: Option<HashMap<String, Position>>,
    /// The token with which to resume the session; the client does not keep it.
    pub(super) resume: String,
}

/// Clients that were authenticated and whose sessions are about to open.
#[derive(Default)]
pub struct Arrivals(Mutex<HashMap<ConnectionId, Start>>);

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Start>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, start: Start) {
        self.lock().insert(start.client.id(), start);
    }

    pub(super) fn take(&self, id: ConnectionId) -> Option<Start> {
        self.lock().remove(&id)
    }

    /// Forgets a client whose session will not open; false if it did.
    pub(super) fn forget(&self, client: &Client) -> bool {
        let mut all = self.lock();
        let waits = all.get(&client.id()).is_some_and(|start| std::ptr::eq(&*start.client, client));
        waits && all.remove(&client.id()).is_some()
    }
}
