//! How many sockets took how many of the entries that were delivered together, and how long those took to them.

use super::batch::Batch;
use crate::delivery::Hub;
use crate::domain::position::Millis;
use crate::observability::metrics::Pace;

/// At place N: how many sockets took N entries.
pub(super) struct Tally(Vec<u64>);

impl Tally {
    pub(super) fn of(batch: &Batch) -> Self {
        Self(vec![0; batch.stored().len() + 1])
    }

    /// A socket took the first so many.
    pub(super) fn took(&mut self, entries: usize) {
        self.0[entries] += 1;
    }

    /// Counts them: an entry went to all who took more entries than lie before it.
    pub(super) fn count(self, hub: &Hub, batch: &mut Batch) {
        let mut reached = 0;
        for place in (0..batch.stored().len()).rev() {
            reached += self.0[place + 1];
            hub.delivered(Pace::Live, batch.stored()[place], reached);
            if let Some(followed) = batch.take_followed(place) {
                followed.delivered(reached);
            }
        }
    }
}

impl Hub {
    /// Counts that a socket that was behind got what was stored at this time.
    pub(super) fn delivered_late(&self, at: Millis) {
        self.delivered(Pace::Behind, at, 1);
    }

    /// Counts that what was stored at this time went to so many sockets now.
    fn delivered(&self, socket: Pace, at: Millis, times: u64) {
        self.0.metrics.deliveries.inc_by(times);
        self.0.metrics.delivery_latency.of(socket).observe_many(self.0.clock.since(at), times);
    }
}
