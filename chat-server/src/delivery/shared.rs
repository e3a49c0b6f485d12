//! What all feeds of a node use.

use std::sync::Arc;

use super::batching::Batching;
use super::event::Encoder;
use crate::domain::position::Millis;
use crate::observability::metrics::{Metrics, Pace};
use crate::observability::store_clock::StoreClock;
use crate::store::{Bus, LogStore};

/// What all feeds of a node use.
pub struct Shared {
    /// The logs of the rooms.
    pub log: Arc<dyn LogStore>,
    /// Subscriptions to the rooms.
    pub bus: Arc<dyn Bus>,
    /// Counts and latencies.
    pub metrics: Metrics,
    /// The store's clock, which stamps entries.
    pub clock: StoreClock,
    /// Batching of socket writes under load.
    pub batching: Batching,
    /// Encodes events for the outlets.
    pub encode: Encoder,
}

impl Shared {
    /// Counts that an entry stored at `at` was written to `sockets` sockets now.
    pub(super) fn count_delivered(&self, pace: Pace, at: Millis, sockets: u64) {
        self.metrics.deliveries.inc_by(sockets);
        self.metrics.delivery_latency.of(pace).observe_many(self.clock.since(at), sockets);
    }
}
