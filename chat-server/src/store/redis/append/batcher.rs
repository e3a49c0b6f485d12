//! Batches appends to different topics into one call of Redis.
//!
//! Each call costs a write, a wakeup and a read at both ends, and Redis an iteration of its event loop and a write to
//! its append-only file. So an append that comes within a [`TICK`] of the one before waits for the end of the tick and
//! goes with all others that wait. An append after a quiet tick goes at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::types::scripts::Script;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::domain::position::{Epoch, Millis, Position};
use crate::store::StoreError;
use crate::store::redis::cluster::router::Router;
use crate::store::redis::cluster::shard::Call;
use crate::store::redis::replies::number;

/// How long an append waits at most for others.
const TICK: Duration = Duration::from_millis(2);
/// Entries of a call: Redis does nothing else meanwhile.
const MAX_ENTRIES: usize = 64;

/// The position of the first entry, and the time of all; `None` if nothing was appended.
pub(crate) type Stored = Option<(Position, Millis)>;

/// Entries for one topic, as `append.lua` takes them.
pub(crate) struct TopicAppend {
    pub(crate) keys: [String; 3],
    pub(crate) args: Vec<String>,
    pub(crate) entries: usize,
}

/// Batches appends.
pub(crate) struct Batcher(Arc<Inner>);

struct Inner {
    router: Arc<Router>,
    script: Script,
    /// The first arguments of each call.
    args: [String; 2],
    waiting: Mutex<Waiting>,
}

struct Waiting {
    /// The end of the tick.
    next: Instant,
    appends: Vec<Pending>,
}

struct Pending {
    append: TopicAppend,
    reply: oneshot::Sender<Answer>,
}

type Answer = Result<Stored, StoreError>;

impl Batcher {
    /// `args`: the maximum age of an entry, and the maximum number of entries.
    pub(crate) fn new(router: Arc<Router>, script: Script, args: [String; 2]) -> Self {
        let waiting = Mutex::new(Waiting { next: Instant::now(), appends: Vec::new() });
        Self(Arc::new(Inner { router, script, args, waiting }))
    }

    /// Whether an append may be sent at once. If so, a tick begins.
    pub(crate) fn may_send_at_once(&self) -> bool {
        // Durable writes are grouped by their writer.
        if self.0.router.is_durable() {
            return true;
        }
        let mut waiting = self.0.waiting();
        let now = Instant::now();
        let may = waiting.appends.is_empty() && waiting.next <= now;
        if may {
            waiting.next = now + TICK;
        }
        may
    }

    /// Sends an append by itself.
    pub(crate) async fn send(&self, append: TopicAppend) -> Answer {
        let stored = self.0.call(&[&append]).await?;
        Ok(stored.into_iter().next().flatten())
    }

    /// Sends an append at the end of the tick, with all others that wait then.
    pub(crate) async fn send_in_batch(&self, append: TopicAppend) -> Answer {
        let (reply, stored) = oneshot::channel();
        let first = {
            let mut waiting = self.0.waiting();
            waiting.appends.push(Pending { append, reply });
            (waiting.appends.len() == 1).then_some(waiting.next)
        };
        if let Some(at) = first {
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
        let appends = {
            let mut waiting = self.waiting();
            waiting.next = Instant::now() + TICK;
            std::mem::take(&mut waiting.appends)
        };
        // All calls go in one write: fred combines the commands that are queued.
        join_all(self.calls(appends).into_iter().map(|some| async move {
            let appends: Vec<_> = some.iter().map(|pending| &pending.append).collect();
            let stored: Vec<Answer> = match self.call(&appends).await {
                Ok(stored) => stored.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); appends.len()],
            };
            for (pending, stored) in some.into_iter().zip(stored) {
                // The caller may have given up.
                let _ = pending.reply.send(stored);
            }
        }))
        .await;
    }

    /// Distributes appends over calls. In a Redis Cluster each has a call of its own: their keys are in different
    /// slots.
    fn calls(&self, appends: Vec<Pending>) -> Vec<Vec<Pending>> {
        let mut calls: Vec<Vec<Pending>> = Vec::new();
        let mut entries = 0;
        for pending in appends {
            entries += pending.append.entries;
            match calls.last_mut() {
                Some(call) if entries <= MAX_ENTRIES && !self.router.is_sharded() => call.push(pending),
                _ => {
                    entries = pending.append.entries;
                    calls.push(vec![pending]);
                }
            }
        }
        calls
    }

    async fn call(&self, appends: &[&TopicAppend]) -> Result<Vec<Stored>, StoreError> {
        let keys = appends.iter().flat_map(|append| append.keys.iter().cloned()).collect();
        let args = self.args.iter().chain(appends.iter().flat_map(|append| &append.args)).cloned().collect();
        let call = Call { script: &self.script, keys, args, durable: true };
        let reply: Vec<String> = self.router.run(call).await?;
        let mut stored = Vec::with_capacity(appends.len());
        for one in reply.chunks(3) {
            stored.push(match one {
                [epoch, offset, at] if !epoch.is_empty() => {
                    Some((Position { epoch: Epoch::new(epoch), offset: number(offset)? }, number(at)?))
                }
                _ => None,
            });
        }
        if stored.len() != appends.len() {
            return Err(StoreError::Corrupt("the reply of the append script can't be read".into()));
        }
        Ok(stored)
    }
}
