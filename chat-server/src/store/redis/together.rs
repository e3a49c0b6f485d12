//! Appends to one topic that go to Redis together.
//!
//! While one is on its way, those that come to the same topic wait, and then go in one call: a room in which nobody
//! else writes is not slower for it, and one in which all write costs a fraction. Whoever waits at the head of the
//! line makes the call for all: there is no task for it, and nothing is left behind where somebody gives up.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::{Append, Commit, Committed, StoreError, Topic};

/// Appends that share a call, and the bytes of their payloads.
const MOST: usize = 64;
const MOST_BYTES: usize = 64 * 1024;

type Answer = Result<Committed, StoreError>;

/// The topics to which something is on its way, and what waits for it.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<HashMap<Topic, VecDeque<Waiting>>>>);

/// One who waits for others.
pub(super) struct Waiting {
    pub(super) commit: Commit,
    reply: oneshot::Sender<Told>,
}

impl Waiting {
    /// Whoever waited may have given up.
    pub(super) fn answer(self, answer: Answer) {
        let _ = self.reply.send(Told::Done(answer));
    }
}

/// What one who waits is told.
pub(super) enum Told {
    /// Somebody did it.
    Done(Answer),
    /// It is their turn.
    Turn(Turn),
}

/// The right to send to a topic what is one's own, and that of others who wait.
pub(super) struct Turn {
    pub(super) own: Commit,
    pub(super) others: Vec<Waiting>,
    pub(super) line: Line,
}

/// The head of a line. When it is dropped, it is the next one's turn.
pub(super) struct Line {
    lines: Lines,
    topic: Topic,
}

impl Lines {
    /// Takes a commit in: it has its turn now, or waits.
    pub(super) fn enter(&self, topic: &Topic, commit: Commit) -> Result<Turn, oneshot::Receiver<Told>> {
        let mut lines = self.lock();
        if let Some(line) = lines.get_mut(topic) {
            let (reply, told) = oneshot::channel();
            line.push_back(Waiting { commit, reply });
            return Err(told);
        }
        lines.insert(topic.clone(), VecDeque::new());
        let line = Line { lines: self.clone(), topic: topic.clone() };
        Ok(Turn { own: commit, others: Vec::new(), line })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, VecDeque<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (first, others) = {
            let mut lines = self.lines.lock();
            let Some(line) = lines.get_mut(&self.topic) else { return };
            while line.front().is_some_and(|waiting| waiting.reply.is_closed()) {
                line.pop_front();
            }
            let Some(first) = line.pop_front() else {
                lines.remove(&self.topic);
                return;
            };
            let others = alike(&first.commit, line);
            (first, others)
        };
        let line = Self { lines: self.lines.clone(), topic: self.topic.clone() };
        // One who gave up just now drops it, and so hands it on; the others with it are told that it is not known
        // what became of theirs.
        let _ = first.reply.send(Told::Turn(Turn { own: first.commit, others, line }));
    }
}

/// Whether a commit only appends, as a message does, so that it can go with others.
pub(super) fn only_appends(commit: &Commit) -> bool {
    let message = |append: &Append| append.counted && append.nonce.is_some();
    commit.set.is_empty() && commit.ttl_ms.is_none() && commit.append.as_ref().is_some_and(message)
}

/// Takes from a line those that can go with its first: no two under one nonce, none that expects what another does not.
fn alike(first: &Commit, line: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut expected = HashMap::new();
    let mut nonces = HashSet::new();
    let mut bytes = 0;
    let mut fits = |commit: &Commit| {
        let Some(Append { by, nonce, payload, .. }) = &commit.append else { return false };
        bytes += payload.as_str().len();
        let agrees = |(name, value): &(String, Option<String>)| {
            expected.entry(name.clone()).or_insert_with(|| value.clone()) == value
        };
        bytes <= MOST_BYTES && nonces.insert((by.clone(), nonce.clone())) && commit.expect.iter().all(agrees)
    };
    let mut others = Vec::new();
    if fits(first) {
        while others.len() + 1 < MOST
            && let Some(next) = line.front()
            && fits(&next.commit)
        {
            others.extend(line.pop_front());
        }
    }
    others
}
