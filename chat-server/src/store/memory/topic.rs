//! The data of one topic.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::super::{Entry, Retention};
use super::entries::{Entries, Logged};
use super::fields::Fields;
use crate::domain::id::UserId;
use crate::domain::position::{Epoch, Millis, Offset};

#[derive(Default)]
pub(super) struct TopicData {
    pub(super) number: u64,
    pub(super) expires: Option<Millis>,
    pub(super) fields: Fields,
    pub(super) epoch: Epoch,
    /// Boxed, since most topics are users and sessions, which have no log.
    log: Option<Box<Log>>,
}

/// The log and the read marks.
#[derive(Default)]
pub(super) struct Log {
    pub(super) top: Offset,
    pub(super) entries: Entries,
    pub(super) nonces: HashMap<(UserId, Arc<str>), Offset>,
    /// Counted entries, in all and by author.
    pub(super) counted: u64,
    pub(super) counted_by: HashMap<UserId, u64>,
    pub(super) last_counted: Offset,
    marks: BTreeMap<UserId, Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    offset: Offset,
    /// Counted entries of others at or before the offset.
    others: u64,
}

impl TopicData {
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Whether it has expired.
    pub(super) fn is_expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    pub(super) fn log(&self) -> Option<&Log> {
        self.log.as_deref()
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        self.log.get_or_insert_default()
    }

    pub(super) fn top(&self) -> Offset {
        self.log().map_or(0, |log| log.top)
    }

    pub(super) fn trim(&mut self, retention: Retention, oldest: Millis) {
        if let Some(log) = &mut self.log {
            log.trim(retention, oldest);
        }
    }
}

impl Log {
    pub(super) fn find_nonce(&self, by: &UserId, nonce: &str, oldest: Millis) -> Option<&Entry> {
        let offset = *self.nonces.get(&(by.clone(), nonce.into()))?;
        self.entries.at(offset).map(|logged| &logged.entry).filter(|entry| entry.at >= oldest)
    }

    pub(super) fn trim(&mut self, retention: Retention, oldest: Millis) {
        while let Some(Logged { entry, nonce, .. }) = self.entries.trim(retention, oldest) {
            if let Some(nonce) = nonce {
                let key = (entry.by, nonce);
                if self.nonces.get(&key) == Some(&entry.offset) {
                    self.nonces.remove(&key);
                }
            }
        }
    }

    fn counted_of_others(&self, user: &UserId) -> u64 {
        self.counted - self.counted_by.get(user).copied().unwrap_or(0)
    }

    /// Moves a mark forward. Returns where it is, and what is unread.
    pub(super) fn mark(&mut self, user: &UserId, offset: Offset, oldest: Millis) -> (Offset, u64) {
        let offset = offset.min(self.top);
        if self.marks.get(user).is_none_or(|mark| mark.offset < offset) {
            let after = |logged: &&Logged| logged.entry.offset > offset && logged.entry.at >= oldest;
            let unread = self.entries.newest_first().take_while(after);
            let unread = unread.filter(|logged| logged.counted && logged.entry.by != *user).count() as u64;
            let others = self.counted_of_others(user).saturating_sub(unread);
            self.marks.insert(user.clone(), Mark { offset, others });
        }
        (self.marks.get(user).map_or(offset, |mark| mark.offset), self.unread(user, oldest))
    }

    /// The users who have a mark, in the order of their ids. Whoever writes has one.
    pub(super) fn readers(&self, after: Option<UserId>) -> impl Iterator<Item = &UserId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.marks.range((from, Bound::Unbounded)).map(|(user, _)| user)
    }

    pub(super) fn forget(&mut self, user: &UserId) {
        self.marks.remove(user);
        self.counted_by.remove(user);
    }

    /// What is unread by a user, no more than is kept.
    pub(super) fn unread(&self, user: &UserId, oldest: Millis) -> u64 {
        let unread = self.marks.get(user).map_or(0, |mark| self.counted_of_others(user).saturating_sub(mark.others));
        // No more are looked at than are unread, and those that are not counted between them.
        let kept = self.entries.newest_first().take_while(|logged| logged.entry.at >= oldest);
        let most = usize::try_from(unread).unwrap_or(usize::MAX);
        kept.filter(|logged| logged.counted).take(most).count() as u64
    }
}

/// The time before which entries are past their maximum age.
pub(super) fn oldest(retention: Retention, now: Millis) -> Millis {
    if retention.max_age_ms == 0 { 0 } else { now.saturating_sub(retention.max_age_ms) }
}
