//! A guest of whom nothing is stored yet, as its socket knows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::address::Stranger;
use crate::domain::position::Offset;
use crate::service::identity::Unstored;

/// What is needed to store a guest.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) unstored: Unstored,
    /// Where it came from.
    pub(super) from: Stranger,
    /// Where the lobby ended when the session opened: nothing before it is unread.
    pub(super) lobby: AtomicU64,
}

/// The guest that a socket has to store; empty for everybody who is stored.
#[derive(Debug, Default)]
pub(crate) struct NewGuest(Mutex<Option<Arc<Guest>>>);

impl NewGuest {
    pub(super) fn new(unstored: Option<Unstored>, from: Stranger) -> Self {
        let guest = |unstored| Arc::new(Guest { unstored, from, lobby: AtomicU64::new(0) });
        Self(Mutex::new(unstored.map(guest)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Guest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest, if it is not stored.
    pub(super) fn get(&self) -> Option<Arc<Guest>> {
        self.lock().clone()
    }

    /// Notes that the guest is stored.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    /// Notes where the lobby ended when the session opened.
    pub(super) fn note_lobby(&self, end: Offset) {
        if let Some(guest) = &*self.lock() {
            guest.lobby.store(end, Ordering::Relaxed);
        }
    }

    /// What is known of the session, if it is not stored.
    pub(crate) fn unstored(&self) -> Option<Unstored> {
        self.lock().as_ref().map(|guest| guest.unstored.clone())
    }
}
