//! Counts deliveries and their latencies once a batch, not once an outlet.

use super::batch::Batch;
use crate::delivery::shared::Shared;
use crate::observability::metrics::Pace;

/// At index N: how many outlets took the first N entries of a batch.
pub(super) struct Tally(Vec<u64>);

impl Tally {
    pub(super) fn new(batch: &Batch) -> Self {
        Self(vec![0; batch.stored_at().len() + 1])
    }

    /// Notes that an outlet took the first `entries` entries.
    pub(super) fn add(&mut self, entries: usize) {
        self.0[entries] += 1;
    }

    /// Counts the deliveries, and ends the spans. An entry went to all outlets that took more entries than lie before it.
    pub(super) fn count(self, shared: &Shared, batch: &mut Batch) {
        let mut sockets = 0;
        for index in (0..batch.stored_at().len()).rev() {
            sockets += self.0[index + 1];
            shared.count_delivered(Pace::Live, batch.stored_at()[index], sockets);
            if let Some(span) = batch.take_span(index) {
                span.delivered(sockets);
            }
        }
    }
}
