//! Following the log: entries from the bus, and from the store where the bus lost some.

use super::Feed;
use super::listeners::Progress;
use super::rendered::RenderedEntry;
use crate::domain::position::{Lineage, Offset, Position};
use crate::observability::traces::Followed;
use crate::store::{Entry, Keep, Range, StoreError};

/// Entries read from the store at a time.
pub(super) const PAGE: usize = 200;
/// Remembered epochs that the store lost as a whole.
const MAX_LOST_EPOCHS: usize = 32;

impl Feed {
    /// Takes an entry from the bus.
    pub(super) async fn receive_entry(&mut self, entry: Entry, span: Option<Followed>) {
        if self.batch.is_full() {
            self.deliver().await;
        }
        if entry.epoch != self.position.epoch {
            self.backfill(None).await;
            return;
        }
        if entry.offset > self.position.offset + 1 {
            self.backfill(Some(entry.offset)).await;
        }
        if entry.offset == self.position.offset + 1 {
            self.apply(&entry);
            self.batch.trace(entry.offset, span);
        }
    }

    /// Reads what is missing from the log, up to `before` or to its end. Where the store does not answer, the feed stays
    /// marked and tries again.
    pub(super) async fn backfill(&mut self, before: Option<Offset>) {
        self.deliver().await;
        // Cleared first: what is missed while the log is read is marked after it. Only a read to the end of the log makes
        // up for all that was missed.
        if before.is_none() {
            self.handle.set_missed(false);
        }
        if let Err(error) = self.try_backfill(before).await {
            tracing::warn!(%error, "missed entries could not be read yet");
            self.handle.set_missed(true);
        }
    }

    pub(super) async fn try_backfill(&mut self, before: Option<Offset>) -> Result<(), StoreError> {
        loop {
            let after = self.position.offset;
            let range = Range { after, before, limit: PAGE, keep: Keep::Oldest };
            let slice = self.shared.log.read(&self.topic, range).await?;
            if slice.lineage.epoch != self.position.epoch {
                let shared = slice.lineage.shared_with_log(&self.lineage).unwrap_or(0);
                if shared < after {
                    self.begin_epoch(slice.lineage, slice.top, shared);
                    return Ok(());
                }
                // Nothing that was delivered is lost: the log only goes on in a new epoch.
                self.position.epoch = slice.lineage.epoch.clone();
            }
            self.lineage = slice.lineage;
            // Entries that are trimmed can't be delivered: a gap stands for them.
            let first = slice.first.min(before.unwrap_or(Offset::MAX));
            if first > after + 1 {
                self.skip_trimmed(after + 1, first - 1);
            }
            let full = slice.entries.len() == PAGE;
            for entry in &slice.entries {
                if entry.offset == self.position.offset + 1 {
                    self.apply(entry);
                }
                if self.batch.is_full() {
                    self.deliver().await;
                }
            }
            self.deliver().await;
            if self.position.offset > after {
                self.shared.metrics.gaps_healed.inc();
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Goes on in another epoch, after the store lost entries that were delivered: every listener is told by a gap that
    /// what follows `shared` is something else.
    fn begin_epoch(&mut self, lineage: Lineage, top: Offset, shared: Offset) {
        tracing::warn!(room = %self.room, from = shared + 1, "the store lost entries that were delivered");
        self.backlog.clear();
        if lineage.shared_with(&self.position.epoch).is_none() {
            self.lost_epochs.values_mut().for_each(|upto| *upto = shared.min(*upto));
            if self.lost_epochs.len() >= MAX_LOST_EPOCHS {
                self.lost_epochs.clear();
            }
            self.lost_epochs.insert(self.position.epoch.clone(), shared);
        }
        let delivered = self.position.offset;
        self.position = Position { epoch: lineage.epoch.clone(), offset: top };
        self.lineage = lineage;
        for listener in self.listeners.iter_mut() {
            let (received, rolled_back) = match listener.progress {
                Progress::NotReady { .. } => continue,
                Progress::Live => (delivered, false),
                Progress::CatchingUp { received, rolled_back } => (received, rolled_back),
            };
            listener.progress =
                Progress::CatchingUp { received: received.min(shared), rolled_back: rolled_back || received > shared };
        }
        self.catch_up_all();
    }

    /// Goes on behind entries that were trimmed before they could be delivered.
    fn skip_trimmed(&mut self, from: Offset, to: Offset) {
        tracing::warn!(from, to, "entries were trimmed before they could be delivered");
        self.backlog.clear();
        self.position.offset = to;
        for listener in self.listeners.iter_mut() {
            if listener.is_live() {
                listener.progress = Progress::CatchingUp { received: from - 1, rolled_back: false };
            }
        }
        self.catch_up_all();
    }

    /// Applies the entry that comes next; [`Feed::deliver`] sends it.
    fn apply(&mut self, entry: &Entry) {
        self.position.offset = entry.offset;
        match RenderedEntry::new(&self.room, entry, self.shared.encode) {
            Ok(entry) => self.batch.push(entry),
            Err(error) => tracing::error!(%error, offset = entry.offset, "an entry can't be delivered"),
        }
    }
}
