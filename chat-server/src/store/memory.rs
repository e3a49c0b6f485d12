//! The embedded broker: everything in the memory of one process, forgotten when it ends.

mod activity;
mod fields;
mod kept;
mod presence;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use self::activity::Happened;
use self::kept::{Kept, Logged, oldest};
use self::presence::Presence;
use super::{
    ActivityStore, BUS_CAPACITY, Bus, BusEvent, Commit, Committed, Entry, FieldStore, Fields, Health, Keep, LogStore,
    PresenceStore, Range, ReadMarks, Retention, Slice, StoreError, Topic,
};
use crate::domain::activity::{Activity, Report};
use crate::domain::id::{NodeId, UserId};
use crate::domain::position::{Lineage, Millis, Offset, Position};

/// Topics that are looked at for expiry with each commit, but once a millisecond at most: memory does not grow with what
/// is over.
const SWEPT_AT_ONCE: usize = 8;

/// The broker of a node that is alone.
pub struct MemoryStore {
    retention: Retention,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    topics: HashMap<Topic, Kept>,
    /// When topics end, for those that do.
    ends: BTreeSet<(Millis, u64)>,
    by_number: BTreeMap<u64, Topic>,
    numbers: u64,
    /// When something was swept last, and the topic whose log was trimmed last.
    swept: Millis,
    trimmed: u64,
    subscribed: HashSet<Topic>,
    outbox: Option<mpsc::Sender<BusEvent>>,
    /// Something did not fit into the outbox, and a task waits to say so.
    lost: Arc<AtomicBool>,
    presence: Presence,
    happened: Happened,
}

impl MemoryStore {
    /// An empty broker, and what its node hears.
    #[must_use]
    pub fn new(retention: Retention) -> (Self, mpsc::Receiver<BusEvent>) {
        let (outbox, heard) = mpsc::channel(BUS_CAPACITY);
        let state = State { outbox: Some(outbox), ..State::default() };
        (Self { retention, state: Mutex::new(state) }, heard)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

impl State {
    /// A topic that is there and not over.
    fn topic(&mut self, topic: &Topic, now: Millis) -> Option<&mut Kept> {
        if self.topics.get(topic).is_some_and(|kept| kept.is_over(now)) {
            self.forget(topic);
        }
        self.topics.get_mut(topic)
    }

    fn topic_or_new(&mut self, topic: &Topic, now: Millis) -> &mut Kept {
        if self.topics.get(topic).is_some_and(|kept| kept.is_over(now)) {
            self.forget(topic);
        }
        self.topics.entry(topic.clone()).or_insert_with(|| {
            self.numbers += 1;
            self.by_number.insert(self.numbers, topic.clone());
            Kept::new(self.numbers)
        })
    }

    fn forget(&mut self, topic: &Topic) {
        if let Some(kept) = self.topics.remove(topic) {
            self.by_number.remove(&kept.number);
            if let Some(ends) = kept.ends {
                self.ends.remove(&(ends, kept.number));
            }
        }
    }

    fn renew(&mut self, topic: &Topic, ends: Millis) {
        if let Some(kept) = self.topics.get_mut(topic) {
            if let Some(before) = kept.ends.replace(ends) {
                self.ends.remove(&(before, kept.number));
            }
            self.ends.insert((ends, kept.number));
        }
    }

    /// Forgets some of what is over: topics past their end, and old entries of quiet logs.
    fn sweep(&mut self, now: Millis, retention: Retention) {
        if std::mem::replace(&mut self.swept, now) == now {
            return;
        }
        for _ in 0..SWEPT_AT_ONCE {
            let over = self.ends.first().filter(|(ends, _)| *ends <= now).map(|(_, number)| *number);
            let Some(topic) = over.and_then(|number| self.by_number.get(&number).cloned()) else { break };
            self.forget(&topic);
        }
        if retention.max_age_ms == 0 {
            return;
        }
        for _ in 0..SWEPT_AT_ONCE {
            let next = self.by_number.range(self.trimmed + 1..).next();
            let Some((number, topic)) = next.map(|(number, topic)| (*number, topic.clone())) else {
                self.trimmed = 0;
                return;
            };
            self.trimmed = number;
            if let Some(kept) = self.topics.get_mut(&topic) {
                kept.trim(retention, oldest(retention, now));
            }
        }
    }

    fn tell(&mut self, topic: &Topic, heard: BusEvent) {
        if !self.subscribed.contains(topic) {
            return;
        }
        let Some(outbox) = &self.outbox else { return };
        if matches!(outbox.try_send(heard), Err(TrySendError::Full(_))) && !self.lost.swap(true, Ordering::AcqRel) {
            let (outbox, lost) = (outbox.clone(), self.lost.clone());
            // In a task of its own: the news has to come even if nothing follows that could bring it.
            tokio::spawn(async move {
                if let Ok(place) = outbox.reserve().await {
                    // Before it is told: what is lost from here on is news again.
                    lost.store(false, Ordering::Release);
                    place.send(BusEvent::Interrupted);
                }
            });
        }
    }
}

#[async_trait]
impl LogStore for MemoryStore {
    async fn commit(&self, topic: &Topic, commit: Commit) -> Result<Committed, StoreError> {
        let now = now();
        let oldest = oldest(self.retention, now);
        let mut state = self.state();
        state.sweep(now, self.retention);
        let kept = state.topic(topic, now);
        if let Some(kept) = &kept
            && let Some(append) = &commit.append
            && let Some(nonce) = &append.nonce
            && let Some(entry) = kept.log().and_then(|log| log.found(&append.by, nonce, oldest))
        {
            return Ok(Committed::Repeated(entry.clone()));
        }
        let fields = kept.map(|kept| &kept.fields);
        let value = |name: &String| fields.and_then(|fields| fields.get(name)).map(str::to_owned);
        let found: Vec<_> = commit.expect.iter().map(|(name, _)| value(name)).collect();
        if found.iter().zip(&commit.expect).any(|(found, (_, expected))| found != expected) {
            return Ok(Committed::Refused(found));
        }
        let kept = state.topic_or_new(topic, now);
        // Most people and sessions never have a log that could begin a life.
        if kept.epoch.as_str().is_empty() && (commit.append.is_some() || matches!(topic, Topic::Room(_))) {
            kept.epoch = super::new_epoch()?;
        }
        for (name, value) in commit.set {
            kept.fields.set(name, value);
        }
        let mut stored = None;
        if let Some(append) = commit.append {
            let epoch = kept.epoch.clone();
            let log = kept.log_mut();
            log.top += 1;
            // The clock of the system may go back; that of the log does not.
            let at = now.max(log.entries.back().map_or(0, |logged| logged.entry.at));
            let entry = Entry {
                epoch,
                offset: log.top,
                at,
                event: append.event.into(),
                by: append.by.clone(),
                payload: append.payload,
            };
            let counted_before = log.last_counted;
            if append.counted {
                log.last_counted = log.top;
                log.counted += 1;
                *log.counted_by.entry(append.by.clone()).or_default() += 1;
            }
            let nonce: Option<Arc<str>> = append.nonce.map(Into::into);
            if let Some(nonce) = &nonce {
                log.nonces.insert((append.by, nonce.clone()), log.top);
            }
            log.entries.push_back(Logged { entry: entry.clone(), nonce, counted: append.counted, counted_before });
            log.trim(self.retention, oldest);
            stored = Some((Position { epoch: entry.epoch.clone(), offset: entry.offset }, at));
            state.tell(topic, BusEvent::Entry(topic.clone(), entry, append.trace));
        }
        if let Some(ttl) = commit.ttl_ms {
            state.renew(topic, now.saturating_add(ttl));
        }
        Ok(Committed::Done { entry: stored })
    }

    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError> {
        let now = now();
        let oldest = oldest(self.retention, now);
        Ok(self.state().topic(topic, now).and_then(|kept| kept.log()?.found(by, nonce, oldest).cloned()))
    }

    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError> {
        let now = now();
        let oldest = oldest(self.retention, now);
        let mut state = self.state();
        let Some(kept) = state.topic(topic, now) else {
            return Ok(Slice { lineage: Lineage::default(), top: 0, first: 1, entries: Vec::new() });
        };
        let lineage = Lineage { epoch: kept.epoch.clone(), ended: Vec::new() };
        let Some(log) = kept.log() else { return Ok(Slice { lineage, top: 0, first: 1, entries: Vec::new() }) };
        let expired = log.entries.partition_point(|logged| logged.entry.at < oldest);
        let first = log.entries.get(expired).map_or(log.top + 1, |logged| logged.entry.offset);
        let begin = log.entries.partition_point(|logged| logged.entry.offset <= range.after).max(expired);
        let end =
            range.before.map_or(log.entries.len(), |before| log.entries.partition_point(|l| l.entry.offset < before));
        let entries = match range.keep {
            _ if begin >= end => Vec::new(),
            Keep::Oldest => {
                log.entries.range(begin..end).take(range.limit).map(|logged| logged.entry.clone()).collect()
            }
            Keep::NewestCounted => log.newest_counted(begin..end, range.limit),
        };
        Ok(Slice { lineage, top: log.top, first, entries })
    }

    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError> {
        let now = now();
        let mut state = self.state();
        let top = |topic| {
            let kept = state.topic(topic, now);
            Some(kept.map(|kept| Position { epoch: kept.epoch.clone(), offset: kept.top() }).unwrap_or_default())
        };
        Ok(topics.iter().map(top).collect())
    }
}

#[async_trait]
impl FieldStore for MemoryStore {
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError> {
        let now = now();
        let mut state = self.state();
        let kept = state.topic(topic, now);
        let fields = kept.map(|kept| &kept.fields);
        let value = |name: &String| fields.and_then(|fields| fields.get(name)).map(str::to_owned);
        let values = names.iter().map(value).collect();
        Ok(Fields { now, values })
    }

    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut state = self.state();
        let Some(kept) = state.topic(topic, now()) else { return Ok(Vec::new()) };
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let listed = kept.fields.list(from, prefix).take(limit);
        Ok(listed.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError> {
        let mut state = self.state();
        let Some(kept) = state.topic(topic, now()) else { return Ok(0) };
        Ok(kept.fields.list(Bound::Included(prefix), prefix).count() as u64)
    }

    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError> {
        let now = now();
        let mut state = self.state();
        let there = state.topic(topic, now).is_some();
        if there {
            state.renew(topic, now.saturating_add(ttl_ms));
        }
        Ok(there)
    }
}

#[async_trait]
impl ReadMarks for MemoryStore {
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<u64, StoreError> {
        let now = now();
        let oldest = oldest(self.retention, now);
        Ok(self.state().topic(topic, now).map_or(0, |kept| kept.log_mut().mark(user, offset, oldest)))
    }

    async fn unread(&self, topics: &[Topic], user: &UserId) -> Result<Vec<u64>, StoreError> {
        let now = now();
        let mut state = self.state();
        Ok(topics
            .iter()
            .map(|topic| state.topic(topic, now).map_or(0, |kept| kept.log().map_or(0, |log| log.unread(user))))
            .collect())
    }
}

#[async_trait]
impl Bus for MemoryStore {
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError> {
        self.state().tell(topic, BusEvent::Signal(topic.clone(), payload));
        Ok(())
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        self.state().subscribed.extend(topics.iter().cloned());
        Ok(())
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        let mut state = self.state();
        for topic in topics {
            state.subscribed.remove(topic);
        }
        Ok(())
    }

    fn probes(&self, node: &NodeId) -> Vec<Topic> {
        vec![Topic::Node(node.clone(), 0)]
    }

    async fn renew_bus(&self, _: &Topic) {}
}

#[async_trait]
impl PresenceStore for MemoryStore {
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError> {
        Ok(self.state().presence.set(node, user, card, now()))
    }

    async fn beat(&self, node: &NodeId, ttl_ms: u64) -> Result<(), StoreError> {
        self.state().presence.beat(node, now().saturating_add(ttl_ms));
        Ok(())
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError> {
        let now = now();
        let presence = &self.state().presence;
        Ok(users.iter().map(|user| presence.card(user, now).map(str::to_owned)).collect())
    }

    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError> {
        Ok(self.state().presence.online(after, limit, now()))
    }

    async fn online_count(&self) -> Result<u64, StoreError> {
        Ok(self.state().presence.count(now()) as u64)
    }

    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(self.state().presence.reap(limit, now()))
    }
}

#[async_trait]
impl ActivityStore for MemoryStore {
    async fn record(&self, activity: &Activity) -> Result<(), StoreError> {
        self.state().happened.add(activity, now());
        Ok(())
    }

    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError> {
        Ok(self.state().happened.report(hours, days, now()))
    }
}

#[async_trait]
impl Health for MemoryStore {
    fn trouble(&self) -> Option<&'static str> {
        None
    }
}
