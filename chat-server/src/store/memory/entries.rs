//! The entries of a log, as retention leaves them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::super::{Entry, Retention};
use crate::domain::position::{Millis, Offset};

/// An entry, and what is known of it.
pub(super) struct Logged {
    pub(super) entry: Entry,
    pub(super) nonce: Option<Arc<str>>,
    pub(super) counted: bool,
    /// The last counted entry before it; 0 if there is none.
    pub(super) counted_before: Offset,
}

/// The entries of a log: the newest ones without a hole, and before them counted ones.
#[derive(Default)]
pub(super) struct Entries {
    older: VecDeque<Logged>,
    newest: VecDeque<Logged>,
    /// Counted entries among the newest.
    counted: u64,
}

impl Entries {
    pub(super) fn push(&mut self, logged: Logged) {
        self.counted += u64::from(logged.counted);
        self.newest.push_back(logged);
    }

    pub(super) fn len(&self) -> usize {
        self.older.len() + self.newest.len()
    }

    pub(super) fn last(&self) -> Option<&Logged> {
        self.newest.back()
    }

    /// From this offset on there is every entry.
    pub(super) fn complete_from(&self) -> Option<Offset> {
        self.newest.front().map(|logged| logged.entry.offset)
    }

    pub(super) fn get(&self, place: usize) -> Option<&Logged> {
        self.older.get(place).or_else(|| self.newest.get(place - self.older.len()))
    }

    pub(super) fn at(&self, offset: Offset) -> Option<&Logged> {
        self.get(self.place(offset)).filter(|logged| logged.entry.offset == offset)
    }

    /// The place of the first entry with this offset or a higher one.
    pub(super) fn place(&self, offset: Offset) -> usize {
        self.partition_point(|logged| logged.entry.offset < offset)
    }

    /// The place of the first entry of this time or a later one.
    pub(super) fn place_of_time(&self, at: Millis) -> usize {
        self.partition_point(|logged| logged.entry.at < at)
    }

    fn partition_point(&self, before: impl Fn(&Logged) -> bool) -> usize {
        let older = self.older.partition_point(&before);
        if older < self.older.len() { older } else { older + self.newest.partition_point(before) }
    }

    /// The entries, the last one first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Logged> {
        self.newest.iter().rev().chain(self.older.iter().rev())
    }

    /// The last counted entries within these places, at most `limit`.
    pub(super) fn newest_counted(&self, places: Range<usize>, limit: usize) -> Vec<Entry> {
        let mut found = Vec::new();
        let mut end = places.end;
        while found.len() < limit && end > places.start {
            let Some(logged) = self.get(end - 1) else { break };
            if logged.counted {
                found.push(logged.entry.clone());
            }
            end = self.place(logged.counted_before + 1);
        }
        found.reverse();
        found
    }

    /// Removes an entry that retention does not keep, if there is one.
    pub(super) fn trim(&mut self, retention: Retention, oldest: Millis) -> Option<Logged> {
        let most = retention.max_entries;
        while most > 0 && self.newest.len() as u64 > most {
            let logged = self.newest.pop_front()?;
            if !logged.counted {
                return Some(logged);
            }
            self.counted -= 1;
            self.older.push_back(logged);
        }
        let too_many = most > 0 && self.older.len() as u64 + self.counted > most;
        let is_old = |logged: &Logged| logged.entry.at < oldest;
        if self.older.front().is_some_and(|first| too_many || is_old(first)) {
            return self.older.pop_front();
        }
        if self.older.is_empty() && self.newest.front().is_some_and(is_old) {
            let logged = self.newest.pop_front()?;
            self.counted -= u64::from(logged.counted);
            return Some(logged);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::json::Members;
    use crate::domain::position::Epoch;

    fn logged(offset: Offset, counted: bool) -> Logged {
        let entry = Entry {
            epoch: Epoch::default(),
            offset,
            at: offset,
            event: "x".into(),
            by: UserId::parse("u").unwrap(),
            payload: Members::stored(String::new()),
        };
        Logged { entry, nonce: None, counted, counted_before: 0 }
    }

    #[test]
    fn places_are_found_across_both_parts() {
        let mut entries = Entries::default();
        let retention = Retention { max_entries: 4, max_age_ms: 0 };
        for offset in 1..=10 {
            entries.push(logged(offset, offset % 3 == 0));
            while entries.trim(retention, 0).is_some() {}
        }
        let all = (0..entries.len()).filter_map(|place| entries.get(place)).map(|logged| logged.entry.offset);
        assert_eq!(all.collect::<Vec<_>>(), [3, 6, 7, 8, 9, 10]);
        assert_eq!((entries.complete_from(), entries.get(6).is_none()), (Some(7), true));
        for (offset, place) in [(0, 0), (3, 0), (4, 1), (6, 1), (7, 2), (10, 5), (11, 6)] {
            assert_eq!((entries.place(offset), entries.place_of_time(offset)), (place, place), "{offset}");
        }
        assert!(entries.at(5).is_none() && entries.at(6).is_some());
    }

    #[test]
    fn what_is_old_goes_first_of_all() {
        let mut entries = Entries::default();
        let retention = Retention { max_entries: 2, max_age_ms: 1 };
        for offset in 1..=5 {
            entries.push(logged(offset, offset < 3));
            while entries.trim(retention, 0).is_some() {}
        }
        let mut removed = Vec::new();
        while let Some(logged) = entries.trim(retention, 5) {
            removed.push(logged.entry.offset);
        }
        assert_eq!(removed, [1, 2, 4]);
    }
}
