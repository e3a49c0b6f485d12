//! Entries that are kept for outlets that catch up.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::rendered::RenderedEntry;
use crate::domain::position::Offset;

/// The most entries that are kept.
pub(super) const MAX_ENTRIES: usize = 1024;
/// The most bytes that are kept.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// How long entries are kept after a client reconnected: others of a node that died, or was drained, come within that.
const RETENTION: Duration = Duration::from_secs(10);

/// The newest entries of a room, without a hole but for those that could not be rendered.
#[derive(Default)]
pub(super) struct Backlog {
    entries: VecDeque<RenderedEntry>,
    bytes: usize,
    retained_until: Option<Instant>,
}

impl Backlog {
    /// The offset of the oldest entry.
    pub(super) fn first(&self) -> Option<Offset> {
        self.entries.front().map(|entry| entry.offset)
    }

    /// The offset of the newest entry.
    pub(super) fn last(&self) -> Option<Offset> {
        self.entries.back().map(|entry| entry.offset)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn after(&self, offset: Offset) -> impl Iterator<Item = &RenderedEntry> {
        self.entries.iter().filter(move |entry| entry.offset > offset)
    }

    /// Adds newer entries; drops the oldest where that is too much.
    pub(super) fn append(&mut self, entries: impl Iterator<Item = RenderedEntry>) {
        for entry in entries {
            self.bytes += entry.bytes();
            self.entries.push_back(entry);
        }
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(dropped) = self.entries.pop_front() else { break };
            self.bytes -= dropped.bytes();
        }
    }

    /// Adds older entries.
    pub(super) fn prepend(&mut self, mut entries: VecDeque<RenderedEntry>) {
        self.bytes += entries.iter().map(RenderedEntry::bytes).sum::<usize>();
        entries.append(&mut self.entries);
        self.entries = entries;
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Has entries kept for a while, whether or not an outlet catches up.
    pub(super) fn retain(&mut self) {
        self.retained_until = Some(Instant::now() + RETENTION);
    }

    pub(super) fn retained_until(&self) -> Option<Instant> {
        self.retained_until
    }

    pub(super) fn end_retention(&mut self) {
        self.retained_until = None;
    }
}
