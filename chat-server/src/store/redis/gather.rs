//! Appends to many topics that go to Redis together.
//!
//! Whatever a call holds, it costs a write, a waking and a reading at either end, and Redis a turn of its loop and a
//! write to its file. So what comes sooner than a [`TICK`] after something else waits for what follows, and goes with it.
//! A lone one goes at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::types::scripts::Script;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::number;
use super::shards::{Call, Shards};
use crate::domain::position::{Epoch, Millis, Position};
use crate::store::StoreError;

/// How long one waits at most for others.
const TICK: Duration = Duration::from_millis(2);
/// Entries that share a call: Redis does nothing else meanwhile.
const MOST: usize = 64;

/// Where the first entry of a part is, and when all of it was stored; nothing if none of it was.
pub(super) type Stored = Option<(Position, Millis)>;

/// Entries for one topic, as `append.lua` takes them.
pub(super) struct Part {
    pub(super) keys: [String; 3],
    pub(super) args: Vec<String>,
    pub(super) entries: usize,
}

/// Where they meet.
pub(super) struct Gathering(Arc<Inner>);

struct Inner {
    shards: Arc<Shards>,
    script: Script,
    /// What every call begins with.
    args: [String; 2],
    waiting: Mutex<Waiting>,
}

struct Waiting {
    /// When the next ones may go.
    next: Instant,
    parts: Vec<Pending>,
}

struct Pending {
    part: Part,
    reply: oneshot::Sender<Answer>,
}

type Answer = Result<Stored, StoreError>;

impl Gathering {
    /// `args`: the oldest age of an entry, and how many are kept.
    pub(super) fn new(shards: Arc<Shards>, script: Script, args: [String; 2]) -> Self {
        let waiting = Mutex::new(Waiting { next: Instant::now(), parts: Vec::new() });
        Self(Arc::new(Inner { shards, script, args, waiting }))
    }

    /// Whether one that comes now may go at once. Then those that come after it wait.
    pub(super) fn may_go(&self) -> bool {
        // Writes that have to be safe share another wait.
        if self.0.shards.waits_for_safety() {
            return true;
        }
        let mut waiting = self.0.waiting();
        let now = Instant::now();
        let may = waiting.parts.is_empty() && waiting.next <= now;
        if may {
            waiting.next = now + TICK;
        }
        may
    }

    /// Sends a part by itself.
    pub(super) async fn send(&self, part: Part) -> Answer {
        let stored = self.0.call(&[&part]).await?;
        Ok(stored.into_iter().next().flatten())
    }

    /// Sends a part with what others send until the next tick.
    pub(super) async fn send_with_others(&self, part: Part) -> Answer {
        let (reply, stored) = oneshot::channel();
        let begins = {
            let mut waiting = self.0.waiting();
            waiting.parts.push(Pending { part, reply });
            (waiting.parts.len() == 1).then_some(waiting.next)
        };
        if let Some(at) = begins {
            let inner = self.0.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                inner.flush().await;
            });
        }
        stored.await.map_err(|_| StoreError::Unavailable("the node is about to end".to_owned()))?
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn flush(&self) {
        let parts = {
            let mut waiting = self.waiting();
            waiting.next = Instant::now() + TICK;
            std::mem::take(&mut waiting.parts)
        };
        // The calls themselves go in one write: fred writes what waits together.
        join_all(self.shared(parts).into_iter().map(|some| async move {
            let parts: Vec<_> = some.iter().map(|pending| &pending.part).collect();
            let stored: Vec<Answer> = match self.call(&parts).await {
                Ok(stored) => stored.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); parts.len()],
            };
            for (pending, stored) in some.into_iter().zip(stored) {
                // Whoever asked may have given up.
                let _ = pending.reply.send(stored);
            }
        }))
        .await;
    }

    /// Which share a call. In a Redis Cluster none do: their keys are in other slots.
    fn shared(&self, parts: Vec<Pending>) -> Vec<Vec<Pending>> {
        let mut calls: Vec<Vec<Pending>> = Vec::new();
        let mut entries = 0;
        for pending in parts {
            entries += pending.part.entries;
            match calls.last_mut() {
                Some(call) if entries <= MOST && !self.shards.are_many() => call.push(pending),
                _ => {
                    entries = pending.part.entries;
                    calls.push(vec![pending]);
                }
            }
        }
        calls
    }

    async fn call(&self, parts: &[&Part]) -> Result<Vec<Stored>, StoreError> {
        let keys = parts.iter().flat_map(|part| part.keys.iter().cloned()).collect();
        let args = self.args.iter().chain(parts.iter().flat_map(|part| &part.args)).cloned().collect();
        let call = Call { script: &self.script, keys, args, safely: true };
        let answer: Vec<String> = self.shards.run(call).await?;
        let mut stored = Vec::with_capacity(parts.len());
        for one in answer.chunks(3) {
            stored.push(match one {
                [epoch, offset, at] if !epoch.is_empty() => {
                    Some((Position { epoch: Epoch::new(epoch), offset: number(offset)? }, number(at)?))
                }
                _ => None,
            });
        }
        if stored.len() != parts.len() {
            return Err(StoreError::Corrupt("the script that appends answered what it never should".into()));
        }
        Ok(stored)
    }
}
