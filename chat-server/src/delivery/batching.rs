//! Batching socket writes under load: a busy node first takes in all that is ready, and writes then. More events share a
//! write, and most of the cost of a delivery is that of the write, whatever it holds.
//!
//! One task makes the rounds for all rooms: were each to look by itself whether more comes, they would be more work than
//! what they wait for.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

/// The longest that a round lasts while input comes.
const MAX_ROUND: Duration = Duration::from_millis(10);
/// Yields to the runtime before a round that nobody waits for ends: most who wait for the next come right away.
const YIELDS_BETWEEN_ROUNDS: u32 = 2;

/// The rounds of a node. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Batching(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Inputs so far: requests of clients, and events of the bus.
    inputs: AtomicU64,
    round_over: Notify,
    rounds: Mutex<Rounds>,
}

#[derive(Debug, Default)]
struct Rounds {
    running: bool,
    awaited: bool,
}

impl Batching {
    /// Notes that input came in.
    pub fn note_input(&self) {
        self.0.inputs.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until all input that is ready is taken in. An idle node returns at once.
    pub async fn settled(&self) {
        let mut over = pin!(self.0.round_over.notified());
        // From here on the notification is not missed.
        over.as_mut().enable();
        if self.request_round() {
            tokio::spawn(self.clone().run());
        }
        over.await;
    }

    /// Notes that somebody waits for a round; true if nobody makes rounds.
    fn request_round(&self) -> bool {
        let mut rounds = self.rounds();
        rounds.awaited = true;
        !std::mem::replace(&mut rounds.running, true)
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.0.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes rounds for as long as somebody waits for one.
    async fn run(self) {
        loop {
            self.take_in().await;
            self.rounds().awaited = false;
            self.0.round_over.notify_waiters();
            for _ in 0..YIELDS_BETWEEN_ROUNDS {
                yield_now().await;
            }
            let mut rounds = self.rounds();
            if !rounds.awaited {
                rounds.running = false;
                return;
            }
        }
    }

    /// Lets all tasks that are ready run, for as long as that brings input.
    async fn take_in(&self) {
        let begun = Instant::now();
        loop {
            let before = self.0.inputs.load(Ordering::Relaxed);
            yield_now().await;
            if self.0.inputs.load(Ordering::Relaxed) == before || begun.elapsed() > MAX_ROUND {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_round_ends_however_much_input_comes() {
        let batching = Batching::default();
        let busy = tokio::spawn({
            let batching = batching.clone();
            async move {
                loop {
                    batching.note_input();
                    yield_now().await;
                }
            }
        });
        for _ in 0..3 {
            let both = async { tokio::join!(batching.settled(), batching.settled()) };
            timeout(Duration::from_secs(10), both).await.unwrap();
        }
        busy.abort();
    }
}
