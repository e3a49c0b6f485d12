//! Attaching an outlet, and starting its delivery.

use std::collections::VecDeque;

use super::Feed;
use super::backlog::MAX_BYTES;
use super::follow_log::PAGE;
use super::listeners::Progress;
use super::rendered::RenderedEntry;
use crate::delivery::mailbox::{Attached, Attachment, IfAttached};
use crate::domain::id::ConnectionId;
use crate::domain::limits::RECOVERY_LIMIT;
use crate::domain::position::Position;
use crate::fault_injection::{self, Fault};
use crate::store::{Keep, Range, StoreError};

impl Feed {
    pub(super) async fn attach(&mut self, attachment: Attachment) -> Result<Option<Attached>, StoreError> {
        let Attachment { outlet, at_least, since, if_attached } = attachment;
        if self.position.offset < at_least {
            self.try_backfill(None).await?;
        }
        // An outlet that catches up and has not come to the joining may still have a leaving before it.
        let attached = self.listeners.get(outlet.id()).is_some_and(|listener| match listener.progress {
            Progress::NotReady { .. } | Progress::Live => true,
            Progress::CatchingUp { received, .. } => received >= at_least,
        });
        if attached && if_attached == IfAttached::Continue {
            return Ok(None);
        }
        let kept = match since {
            Some(since) => self.fill_backlog(&since).await?,
            None => false,
        };
        self.listeners.insert(outlet, self.position.offset);
        Ok(Some(Attached { head: self.position.clone(), kept }))
    }

    pub(super) async fn ready(&mut self, outlet: ConnectionId, position: &Position) {
        if self.lineage.shared_with(&position.epoch).is_none() || position.offset > self.position.offset {
            // The client received from another node what this feed has not applied yet.
            self.backfill(None).await;
        }
        let shared = self.lineage.shared_with(&position.epoch);
        let shared = shared.or_else(|| self.lost_epochs.get(&position.epoch).copied()).unwrap_or(0);
        if let Some(listener) = self.listeners.get_mut(outlet) {
            let received = position.offset.min(shared);
            let progress = Progress::CatchingUp { received, rolled_back: position.offset > shared };
            let before = std::mem::replace(&mut listener.progress, progress);
            self.catch_up(outlet);
            if let Progress::NotReady { signals } = before {
                self.deliver_held(outlet, signals);
            }
            self.drop_unneeded_backlog();
        }
    }

    /// Extends the backlog to all that follows a position, for the client that is there and others that reconnect soon.
    /// False if that can't be had: it is more than a backlog holds, or trimmed, or not of this log as far as is known here.
    async fn fill_backlog(&mut self, since: &Position) -> Result<bool, StoreError> {
        let (after, top) = (since.offset, self.position.offset);
        if !self.lineage.holds(since) || after > top || top - after > RECOVERY_LIMIT {
            return Ok(false);
        }
        let first = self.backlog.first().unwrap_or(top + 1);
        if first > after + 1 {
            let (mut older, mut bytes) = (VecDeque::new(), self.backlog.bytes());
            let mut range = Range { after, before: Some(first), limit: PAGE, keep: Keep::Oldest };
            while range.after + 1 < first {
                let slice = self.shared.log.read(&self.topic, range).await?;
                let Some(last) = slice.entries.last() else { return Ok(false) };
                if slice.lineage.epoch != self.position.epoch || !slice.covers(since) {
                    return Ok(false);
                }
                range.after = last.offset;
                for entry in &slice.entries {
                    let entry = RenderedEntry::new(&self.room, entry, self.shared.encode)?;
                    bytes += entry.bytes();
                    older.push_back(entry);
                }
                if bytes > MAX_BYTES {
                    return Ok(false);
                }
            }
            if fault_injection::is_injected(Fault::RecoverShort) {
                older.pop_back();
            }
            self.backlog.prepend(older);
        }
        self.backlog.retain();
        Ok(true)
    }
}
