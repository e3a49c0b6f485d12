//! Where a node is in its life. Read by whoever decides to take on something new.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// From start to stop.
#[derive(Debug)]
pub struct Lifecycle {
    started: AtomicBool,
    waiting: Mutex<String>,
    deaf: AtomicBool,
    draining: watch::Sender<bool>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            started: AtomicBool::default(),
            waiting: Mutex::default(),
            deaf: AtomicBool::default(),
            draining: watch::Sender::new(false),
        }
    }
}

impl Lifecycle {
    /// The node has all that it needs to take sockets.
    pub fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// What the node waits for before [`Lifecycle::start`].
    pub fn wait(&self, why: String) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What [`Lifecycle::wait`] said last.
    #[must_use]
    pub fn waits_for(&self) -> String {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the node can store but does not hear what is published: its sockets would miss
    /// everything.
    pub fn set_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Release);
    }

    /// The node takes no new sockets and hands over those that it has. For good.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Whether [`Lifecycle::start`] was called.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// What [`Lifecycle::set_deaf`] said last.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Acquire)
    }

    /// Whether [`Lifecycle::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits for [`Lifecycle::drain`].
    pub async fn drain_begun(&self) {
        // The sender lives as long as `self`.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }
}
