//! Entries that are delivered together.

use bytes::Bytes;

use super::rendered::RenderedEntry;
use crate::delivery::event::Event;
use crate::delivery::outlet::Outlet;
use crate::domain::id::UserId;
use crate::domain::position::{Millis, Offset};
use crate::observability::traces::Followed;

/// The most entries of a batch.
const MAX_ENTRIES: usize = 64;
/// The size in bytes from which a batch is full.
const FULL_BYTES: usize = 64 * 1024;

/// Entries that are delivered together, in a list for each field: outlets get slices of the events.
#[derive(Default)]
pub(super) struct Batch {
    offsets: Vec<Offset>,
    stored_at: Vec<Millis>,
    events: Vec<Event>,
    bytes: usize,
    /// The users who left, by the index of the entry that says so.
    left: Vec<(usize, UserId)>,
    /// The spans of traced entries, by index.
    spans: Vec<(usize, Followed)>,
}

impl Batch {
    pub(super) fn push(&mut self, entry: RenderedEntry) {
        self.bytes += entry.bytes();
        let RenderedEntry { offset, at, event, left } = entry;
        self.left.extend(left.map(|user| (self.events.len(), user)));
        self.offsets.push(offset);
        self.stored_at.push(at);
        self.events.push(event);
    }

    /// Keeps the span of the last entry, if that is the one of this offset. The span ends at the delivery.
    pub(super) fn trace(&mut self, offset: Offset, span: Option<Followed>) {
        if let (Some(span), Some(last)) = (span, self.offsets.len().checked_sub(1))
            && self.offsets[last] == offset
        {
            self.spans.push((last, span));
        }
    }

    /// Takes the span of an entry. To be called from the last entry to the first.
    pub(super) fn take_span(&mut self, index: usize) -> Option<Followed> {
        self.spans.pop_if(|(at, _)| *at == index).map(|(_, span)| span)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn offset(&self, index: usize) -> Offset {
        self.offsets.get(index).copied().unwrap_or_default()
    }

    /// When each entry was stored.
    pub(super) fn stored_at(&self) -> &[Millis] {
        &self.stored_at
    }

    /// The frames of all entries, concatenated, where there are several.
    pub(super) fn concatenated(&self) -> Option<Bytes> {
        (self.events.len() > 1).then(|| {
            let mut frames = Vec::with_capacity(self.bytes);
            self.events.iter().for_each(|event| frames.extend_from_slice(event.frame()));
            frames.into()
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= MAX_ENTRIES || self.bytes >= FULL_BYTES
    }

    /// The events for a live outlet, and whether its user leaves with the last of them.
    pub(super) fn events_for(&self, outlet: &dyn Outlet) -> (&[Event], bool) {
        match self.left.iter().find(|(_, user)| user == outlet.user()) {
            Some((last, _)) => (&self.events[..=*last], true),
            None => (&self.events, false),
        }
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = RenderedEntry> {
        let mut left = self.left.into_iter().peekable();
        self.offsets.into_iter().zip(self.stored_at).zip(self.events).enumerate().map(
            move |(index, ((offset, at), event))| {
                let left = left.next_if(|(at, _)| *at == index).map(|(_, user)| user);
                RenderedEntry { offset, at, event, left }
            },
        )
    }
}
