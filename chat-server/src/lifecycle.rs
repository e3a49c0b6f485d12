//! Where a node is in its life. Read by whoever decides to take on something new.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// From start to stop.
#[derive(Debug, Default)]
pub struct Lifecycle {
    started: AtomicBool,
    draining: AtomicBool,
    pending: AtomicUsize,
    received: AtomicUsize,
}

impl Lifecycle {
    /// The node has all that it needs to take sockets.
    pub fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// The node takes no new sockets and is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`Lifecycle::start`] was called.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Whether [`Lifecycle::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// A request was received.
    pub fn received(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
        self.received.fetch_add(1, Ordering::AcqRel);
    }

    /// A request was answered.
    pub fn answered(&self) {
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// Requests that were received, ever: whether this stands still tells whether more are coming.
    #[must_use]
    pub fn received_so_far(&self) -> usize {
        self.received.load(Ordering::Acquire)
    }

    /// Requests that were received and not yet answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }
}
