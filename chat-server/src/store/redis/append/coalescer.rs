//! Coalesces concurrent appends to one topic into one call of Redis.
//!
//! While a commit to a topic is in flight, further appends to it queue, and then go in one call. A room with one writer
//! is not slower for it, and a room with many costs a fraction. The first in the queue becomes the leader: its caller
//! makes the call for all. So there is no task for it, and no queue is left behind when a caller gives up.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::{Append, Commit, Committed, StoreError, Topic};

/// Appends of a call, and the bytes of their payloads.
const MAX_APPENDS: usize = 64;
const MAX_BYTES: usize = 64 * 1024;

type Answer = Result<Committed, StoreError>;

/// The topics with a commit in flight, and the queue of each.
#[derive(Clone, Default)]
pub(crate) struct Coalescer(Arc<Mutex<HashMap<Topic, VecDeque<Queued>>>>);

/// A commit in the queue.
pub(crate) struct Queued {
    pub(crate) commit: Commit,
    reply: oneshot::Sender<Wakeup>,
}

impl Queued {
    /// Answers its caller, which may have given up.
    pub(crate) fn answer(self, answer: Answer) {
        let _ = self.reply.send(Wakeup::Committed(answer));
    }
}

/// Ends the wait of a queued commit.
pub(crate) enum Wakeup {
    /// A leader has sent it.
    Committed(Answer),
    /// It is the leader now.
    Lead(Leader),
}

/// A caller that sends its own commit and those of its followers.
pub(crate) struct Leader {
    pub(crate) own: Commit,
    pub(crate) followers: Vec<Queued>,
    pub(crate) in_flight: InFlight,
}

/// A commit in flight. When it is dropped, the first in the queue becomes the leader.
pub(crate) struct InFlight {
    coalescer: Coalescer,
    topic: Topic,
}

impl Coalescer {
    /// Makes a commit the leader, if none is in flight, or queues it.
    pub(crate) fn enter(&self, topic: &Topic, commit: Commit) -> Result<Leader, oneshot::Receiver<Wakeup>> {
        let mut queues = self.lock();
        if let Some(queue) = queues.get_mut(topic) {
            let (reply, wakeup) = oneshot::channel();
            queue.push_back(Queued { commit, reply });
            return Err(wakeup);
        }
        queues.insert(topic.clone(), VecDeque::new());
        let in_flight = InFlight { coalescer: self.clone(), topic: topic.clone() };
        Ok(Leader { own: commit, followers: Vec::new(), in_flight })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, VecDeque<Queued>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let (first, followers) = {
            let mut queues = self.coalescer.lock();
            let Some(queue) = queues.get_mut(&self.topic) else { return };
            while queue.front().is_some_and(|queued| queued.reply.is_closed()) {
                queue.pop_front();
            }
            let Some(first) = queue.pop_front() else {
                queues.remove(&self.topic);
                return;
            };
            let followers = take_compatible(&first.commit, queue);
            (first, followers)
        };
        let in_flight = Self { coalescer: self.coalescer.clone(), topic: self.topic.clone() };
        // If the caller has just given up, this drops the new leader, and so makes the next one; its followers learn
        // that the outcome of their commits is unknown.
        let _ = first.reply.send(Wakeup::Lead(Leader { own: first.commit, followers, in_flight }));
    }
}

/// Whether a commit only appends a message under a nonce, so that it can be coalesced.
pub(crate) fn can_coalesce(commit: &Commit) -> bool {
    let message = |append: &Append| append.counted && append.nonce.is_some();
    let lives_on = commit.ttl_ms.is_none() && commit.ttl_while_empty.is_none();
    let plain = commit.set.is_empty() && lives_on && commit.read_by.is_empty();
    plain && commit.append.as_ref().is_some_and(message)
}

/// Takes from the queue the commits that can go in one call with the first: no two have the same nonce, and no two
/// expect different values of a field.
fn take_compatible(first: &Commit, queue: &mut VecDeque<Queued>) -> Vec<Queued> {
    let mut expected = HashMap::new();
    let mut nonces = HashSet::new();
    let mut bytes = 0;
    let mut fits = |commit: &Commit| {
        let Some(Append { by, nonce, payload, .. }) = &commit.append else { return false };
        bytes += payload.as_str().len();
        let agrees = |(name, value): &(String, Option<String>)| {
            expected.entry(name.clone()).or_insert_with(|| value.clone()) == value
        };
        bytes <= MAX_BYTES && nonces.insert((by.clone(), nonce.clone())) && commit.expect.iter().all(agrees)
    };
    let mut followers = Vec::new();
    if fits(first) {
        while followers.len() + 1 < MAX_APPENDS
            && let Some(next) = queue.front()
            && fits(&next.commit)
        {
            followers.extend(queue.pop_front());
        }
    }
    followers
}
