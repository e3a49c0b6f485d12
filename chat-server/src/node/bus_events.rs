//! What of the bus is for no feed: notices go to the clients of a user, probes to the node's own [`Probe`].

use std::sync::Arc;

use tokio::sync::Notify;

use super::probe::Probe;
use crate::delivery::BusHandler;
use crate::domain::id::UserId;
use crate::store::{Notice, Topic};
use crate::transport::socketio::{Context, notify, review_all};

/// Handles what of the bus is for no feed.
pub(super) struct BusEvents {
    pub(super) context: Arc<Context>,
    pub(super) probe: Arc<Probe>,
    /// Notified of each interruption.
    pub(super) interrupted: Arc<Notify>,
}

impl BusHandler for BusEvents {
    fn notice(&self, user: &UserId, notice: Notice) {
        notify(&self.context, user, &notice);
    }

    fn probe(&self, topic: &Topic, word: &str) {
        self.probe.receive(topic, word);
    }

    fn interrupted(&self) {
        self.interrupted.notify_one();
        review_all(&self.context);
    }
}
