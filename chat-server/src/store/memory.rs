//! The embedded store: in the memory of one process, lost when it ends.

mod activity;
mod entries;
mod fields;
mod presence;
mod topic;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use self::activity::Activities;
use self::entries::Logged;
use self::presence::Presence;
use self::topic::{TopicData, oldest};
use super::{
    ActivityStore, BUS_CAPACITY, Bus, BusEvent, Commit, Committed, Entry, FieldBound, FieldStore, Fields, Head, Health,
    Keep, LogStore, Marked, PresenceStore, Range, ReadMarks, Retention, Seen, Slice, StoreError, Topic, TtlWhileEmpty,
};
use crate::domain::activity::{Activity, Report};
use crate::domain::id::{NodeId, UserId};
use crate::domain::position::{Lineage, Millis, Offset, Position};
use crate::domain::trouble::Trouble;

/// Topics that a commit examines for expiry, at most once a millisecond: expired data does not pile up.
const SWEPT_AT_ONCE: usize = 8;

/// The store of a single node.
pub struct MemoryStore {
    retention: Retention,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    topics: HashMap<Topic, TopicData>,
    /// The expiry of topics, for those that expire, and their numbers.
    expiries: BTreeSet<(Millis, u64)>,
    by_number: BTreeMap<u64, Topic>,
    last_number: u64,
    /// When topics were last swept, and the topic whose log was trimmed last.
    swept: Millis,
    trimmed: u64,
    subscribed: HashSet<Topic>,
    events: Option<mpsc::Sender<BusEvent>>,
    /// The queue of events was full, and a task waits to report an interruption.
    lost: Arc<AtomicBool>,
    presence: Presence,
    activities: Activities,
}

impl MemoryStore {
    /// An empty store, and the events that its node receives.
    #[must_use]
    pub fn new(retention: Retention) -> (Self, mpsc::Receiver<BusEvent>) {
        let (events, received) = mpsc::channel(BUS_CAPACITY);
        let state = State { events: Some(events), ..State::default() };
        (Self { retention, state: Mutex::new(state) }, received)
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
    /// A topic that exists and has not expired.
    fn topic(&mut self, topic: &Topic, now: Millis) -> Option<&mut TopicData> {
        if self.topics.get(topic).is_some_and(|data| data.is_expired(now)) {
            self.forget(topic);
        }
        self.topics.get_mut(topic)
    }

    fn values(&mut self, topic: &Topic, names: &[String], now: Millis) -> Vec<Option<String>> {
        let fields = self.topic(topic, now).map(|data| &data.fields);
        names.iter().map(|name| fields.and_then(|fields| fields.get(name)).map(str::to_owned)).collect()
    }

    fn topic_or_new(&mut self, topic: &Topic, now: Millis) -> &mut TopicData {
        if self.topics.get(topic).is_some_and(|data| data.is_expired(now)) {
            self.forget(topic);
        }
        self.topics.entry(topic.clone()).or_insert_with(|| {
            self.last_number += 1;
            self.by_number.insert(self.last_number, topic.clone());
            TopicData::new(self.last_number)
        })
    }

    fn forget(&mut self, topic: &Topic) {
        if let Some(data) = self.topics.remove(topic) {
            self.by_number.remove(&data.number);
            if let Some(expires) = data.expires {
                self.expiries.remove(&(expires, data.number));
            }
        }
    }

    fn set_expiry(&mut self, topic: &Topic, expires: Option<Millis>) {
        if let Some(data) = self.topics.get_mut(topic) {
            if let Some(before) = std::mem::replace(&mut data.expires, expires) {
                self.expiries.remove(&(before, data.number));
            }
            self.expiries.extend(expires.map(|expires| (expires, data.number)));
        }
    }

    /// Removes some expired topics, and some old entries of quiet logs.
    fn sweep(&mut self, now: Millis, retention: Retention) {
        if std::mem::replace(&mut self.swept, now) == now {
            return;
        }
        for _ in 0..SWEPT_AT_ONCE {
            let expired = self.expiries.first().filter(|(expires, _)| *expires <= now).map(|(_, number)| *number);
            let Some(topic) = expired.and_then(|number| self.by_number.get(&number).cloned()) else { break };
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
            if let Some(data) = self.topics.get_mut(&topic) {
                data.trim(retention, oldest(retention, now));
            }
        }
    }

    fn publish(&mut self, topic: &Topic, event: BusEvent) {
        if !self.subscribed.contains(topic) {
            return;
        }
        let Some(events) = &self.events else { return };
        if matches!(events.try_send(event), Err(TrySendError::Full(_))) && !self.lost.swap(true, Ordering::AcqRel) {
            let (events, lost) = (events.clone(), self.lost.clone());
            // In a task of its own: the interruption is reported even if no further event follows.
            tokio::spawn(async move {
                if let Ok(place) = events.reserve().await {
                    // Before the report: what is lost from here on is reported again.
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
        let data = state.topic(topic, now);
        if let Some(data) = &data
            && let Some(append) = &commit.append
            && let Some(nonce) = &append.nonce
            && let Some(entry) = data.log().and_then(|log| log.find_nonce(&append.by, nonce, oldest))
        {
            return Ok(Committed::Repeated(entry.clone()));
        }
        let fields = data.map(|data| &data.fields);
        let value = |name: &String| fields.and_then(|fields| fields.get(name)).map(str::to_owned);
        let found: Vec<_> = commit.expect.iter().map(|(name, _)| value(name)).collect();
        if found.iter().zip(&commit.expect).any(|(found, (_, expected))| found != expected) {
            return Ok(Committed::Refused(found));
        }
        if let Some(FieldBound { prefix, most }) = commit.bound {
            let is_new = |(name, value): &&(String, Option<String>)| {
                value.is_some() && name.starts_with(prefix) && fields.is_none_or(|fields| fields.get(name).is_none())
            };
            let added = commit.set.iter().filter(is_new).count();
            let before = fields.map_or(0, |fields| fields.list(Bound::Included(prefix), prefix).count());
            if added > 0 && before + added > most {
                return Ok(Committed::Full);
            }
        }
        let data = state.topic_or_new(topic, now);
        // Most users and sessions never have a log, and need no epoch.
        if data.epoch.as_str().is_empty() && (commit.append.is_some() || matches!(topic, Topic::Room(_))) {
            data.epoch = super::new_epoch()?;
        }
        for (name, value) in commit.set {
            data.fields.set(name, value);
        }
        let mut stored = None;
        if let Some(append) = commit.append {
            let epoch = data.epoch.clone();
            let log = data.log_mut();
            log.top += 1;
            // The clock of the system may go back; times in a log never do.
            let at = now.max(log.entries.last().map_or(0, |logged| logged.entry.at));
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
            log.entries.push(Logged { entry: entry.clone(), nonce, counted: append.counted, counted_before });
            log.trim(self.retention, oldest);
            for user in &commit.read_by {
                log.mark(user, entry.offset, oldest);
            }
            stored = Some((Position { epoch: entry.epoch.clone(), offset: entry.offset }, at));
            state.publish(topic, BusEvent::Entry(topic.clone(), entry, append.trace));
        }
        match commit.ttl_while_empty {
            Some(TtlWhileEmpty { prefix, ttl_ms }) => {
                let data = state.topics.get(topic);
                let is_empty =
                    data.is_none_or(|data| data.fields.list(Bound::Included(prefix), prefix).next().is_none());
                state.set_expiry(topic, is_empty.then(|| now.saturating_add(ttl_ms)));
            }
            None => {
                if let Some(ttl) = commit.ttl_ms {
                    state.set_expiry(topic, Some(now.saturating_add(ttl)));
                }
            }
        }
        Ok(Committed::Done { entry: stored })
    }

    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError> {
        let now = now();
        let oldest = oldest(self.retention, now);
        Ok(self.state().topic(topic, now).and_then(|data| data.log()?.find_nonce(by, nonce, oldest).cloned()))
    }

    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError> {
        let now = now();
        let oldest = oldest(self.retention, now);
        let mut state = self.state();
        let Some(data) = state.topic(topic, now) else {
            let lineage = Lineage::default();
            return Ok(Slice { lineage, top: 0, first: 1, entries: Vec::new(), more: false });
        };
        let lineage = Lineage { epoch: data.epoch.clone(), ended: Vec::new() };
        let Some(log) = data.log() else {
            return Ok(Slice { lineage, top: 0, first: 1, entries: Vec::new(), more: false });
        };
        let entries = &log.entries;
        let expired = entries.place_of_time(oldest);
        let oldest = entries.get(expired).map(|logged| logged.entry.offset);
        let first = oldest.max(entries.complete_from().filter(|_| oldest.is_some())).unwrap_or(log.top + 1);
        let begin = entries.place(range.after.saturating_add(1)).max(expired);
        let end = range.before.map_or(entries.len(), |before| entries.place(before));
        let entries = match range.keep {
            _ if begin >= end => Vec::new(),
            Keep::Oldest => {
                let places = (begin..end).take(range.limit);
                places.filter_map(|place| Some(entries.get(place)?.entry.clone())).collect()
            }
            Keep::NewestCounted => entries.newest_counted(begin..end, range.limit),
            Keep::OldestCounted => {
                let counted = (begin..end).filter_map(|place| entries.get(place)).filter(|logged| logged.counted);
                counted.take(range.limit).map(|logged| logged.entry.clone()).collect()
            }
        };
        Ok(Slice { lineage, top: log.top, first, entries, more: false })
    }

    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError> {
        let now = now();
        let mut state = self.state();
        let top = |topic| {
            let data = state.topic(topic, now);
            Some(data.map(|data| Position { epoch: data.epoch.clone(), offset: data.top() }).unwrap_or_default())
        };
        Ok(topics.iter().map(top).collect())
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Head>, StoreError> {
        let tops = self.tops(topics).await?.into_iter().map(Option::unwrap_or_default);
        Ok(tops
            .map(|Position { epoch, offset }| Head { lineage: Lineage { epoch, ended: Vec::new() }, top: offset })
            .collect())
    }
}

#[async_trait]
impl FieldStore for MemoryStore {
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError> {
        let now = now();
        let values = self.state().values(topic, names, now);
        Ok(Fields { now, values })
    }

    async fn values(&self, topics: &[Topic], names: &[String]) -> Result<Vec<Vec<Option<String>>>, StoreError> {
        let now = now();
        let mut state = self.state();
        Ok(topics.iter().map(|topic| state.values(topic, names, now)).collect())
    }

    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut state = self.state();
        let Some(data) = state.topic(topic, now()) else { return Ok(Vec::new()) };
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let listed = data.fields.list(from, prefix).take(limit);
        Ok(listed.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError> {
        let mut state = self.state();
        let Some(data) = state.topic(topic, now()) else { return Ok(0) };
        Ok(data.fields.list(Bound::Included(prefix), prefix).count() as u64)
    }

    async fn verify(&self, held: &[(Topic, String)]) -> Result<Vec<bool>, StoreError> {
        let now = now();
        let mut state = self.state();
        let mut there = |(topic, name): &(Topic, String)| {
            state.topic(topic, now).is_some_and(|data| data.fields.get(name).is_some())
        };
        Ok(held.iter().map(&mut there).collect())
    }

    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError> {
        let now = now();
        let mut state = self.state();
        let exists = state.topic(topic, now).is_some();
        if exists {
            state.set_expiry(topic, Some(now.saturating_add(ttl_ms)));
        }
        Ok(exists)
    }
}

#[async_trait]
impl ReadMarks for MemoryStore {
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<Marked, StoreError> {
        let now = now();
        let oldest = oldest(self.retention, now);
        let mut state = self.state();
        let Some(data) = state.topic(topic, now) else { return Ok(Marked::default()) };
        let (offset, unread) = data.log_mut().mark(user, offset, oldest);
        Ok(Marked { offset, epoch: data.epoch.clone(), unread })
    }

    async fn readers(
        &self,
        topic: &Topic,
        cursor: &str,
        limit: usize,
    ) -> Result<(Vec<UserId>, Option<String>), StoreError> {
        let mut state = self.state();
        let Some(log) = state.topic(topic, now()).and_then(|data| data.log()) else { return Ok((Vec::new(), None)) };
        let readers: Vec<UserId> = log.readers(UserId::parse(cursor).ok()).take(limit).cloned().collect();
        let next = readers.last().filter(|_| readers.len() == limit).map(ToString::to_string);
        Ok((readers, next))
    }

    async fn forget(&self, topic: &Topic, users: &[UserId]) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(data) = state.topic(topic, now()).filter(|data| data.log().is_some()) {
            let log = data.log_mut();
            users.iter().for_each(|user| log.forget(user));
        }
        Ok(())
    }

    async fn seen(&self, topics: &[Topic], user: &UserId, names: &[String]) -> Result<Vec<Seen>, StoreError> {
        let now = now();
        let oldest = oldest(self.retention, now);
        let mut state = self.state();
        let seen = |topic| {
            let unread = state.topic(topic, now).and_then(|data| Some(data.log()?.unread(user, oldest))).unwrap_or(0);
            Seen { unread, values: state.values(topic, names, now) }
        };
        Ok(topics.iter().map(seen).collect())
    }
}

#[async_trait]
impl Bus for MemoryStore {
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError> {
        self.state().publish(topic, BusEvent::Signal(topic.clone(), payload));
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

    async fn beat(&self, node: &NodeId, ttl_ms: u64, occupied: bool) -> Result<bool, StoreError> {
        let mut state = self.state();
        state.presence.beat(node, now().saturating_add(ttl_ms));
        Ok(!occupied || state.presence.is_occupied(node))
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
        self.state().activities.add(activity, now());
        Ok(())
    }

    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError> {
        Ok(self.state().activities.report(hours, days, now()))
    }
}

#[async_trait]
impl Health for MemoryStore {
    fn trouble(&self) -> Option<Trouble> {
        None
    }
}
