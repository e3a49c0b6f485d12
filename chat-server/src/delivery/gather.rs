//! A busy node works in turns: it first reads all that there is to read, and sends then. So more of it goes together, and
//! most of the cost of a delivery is that of a write, whatever it holds.
//!
//! One task makes the turns, for all rooms: were each to look by itself whether more comes, they would be more work
//! than what they wait for.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::Hub;
use crate::transport::socketio::connection::Connection;

/// How long more is waited for, while more comes.
const GATHER: Duration = Duration::from_millis(10);
/// How often deliveries go first before answers go out by themselves: the news of what one said mostly comes along with
/// the answer to it.
const ROUNDS: u32 = 2;
/// Answers sent in one go; then it is the turn of others.
const AT_ONCE: usize = 64;

/// What waits for the end of the turn.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// How much came in so far: requests of sockets, and what the bus brought.
    came: AtomicU64,
    over: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A task makes turns.
    runs: bool,
    /// Somebody waits since the last turn.
    awaited: bool,
    /// Where answers wait.
    answered: Vec<Connection>,
}

impl Hub {
    /// Something came in.
    pub fn stir(&self) {
        self.0.gather.came.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until all is read that there is to read. A node that is idle comes back at once.
    pub(super) async fn gather(&self) {
        let mut over = pin!(self.0.gather.over.notified());
        // From here on it is not missed.
        over.as_mut().enable();
        self.take_turn(|state| state.awaited = true);
        over.await;
    }

    /// Has what is queued there sent at the end of the turn, if it does not go along with something else.
    pub fn flush_soon(&self, connection: &Connection) {
        self.take_turn(|state| state.answered.push(connection.clone()));
    }

    fn lock_turn(&self) -> MutexGuard<'_, State> {
        self.0.gather.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_turn(&self, wait: impl FnOnce(&mut State)) {
        let mut state = self.lock_turn();
        wait(&mut state);
        if !std::mem::replace(&mut state.runs, true) {
            drop(state);
            tokio::spawn(self.clone().turns());
        }
    }

    /// Makes turns for as long as somebody waits for one.
    async fn turns(self) {
        loop {
            self.read_on().await;
            let answered = {
                let mut state = self.lock_turn();
                state.awaited = false;
                std::mem::take(&mut state.answered)
            };
            self.0.gather.over.notify_waiters();
            for _ in 0..ROUNDS {
                yield_now().await;
            }
            for (number, connection) in answered.iter().filter(|connection| connection.wants_flush()).enumerate() {
                connection.flush();
                if number % AT_ONCE == AT_ONCE - 1 {
                    yield_now().await;
                }
            }
            let mut state = self.lock_turn();
            if !state.awaited && state.answered.is_empty() {
                state.runs = false;
                return;
            }
        }
    }

    /// Lets all that is ready to be done be done, for as long as that brings more.
    async fn read_on(&self) {
        let begun = Instant::now();
        loop {
            let before = self.0.gather.came.load(Ordering::Relaxed);
            yield_now().await;
            if self.0.gather.came.load(Ordering::Relaxed) == before || begun.elapsed() > GATHER {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::*;
    use crate::domain::id::NodeId;
    use crate::domain::rate_limit::Rate;
    use crate::observability::metrics::Metrics;
    use crate::observability::traces::Traces;
    use crate::store::memory::MemoryStore;
    use crate::store::{Retention, Stores};
    use crate::transport::socketio::connection::pair;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn hub() -> Hub {
        let stores = Stores::new(Arc::new(MemoryStore::new(Retention::default()).0));
        let rate = Rate { per_second: 0, burst: 0 };
        Hub::new(NodeId::parse("n1").unwrap(), &stores, Metrics::new().unwrap(), Traces::default(), rate)
    }

    #[tokio::test]
    async fn an_answer_that_nothing_comes_with_goes_by_itself() {
        let (hub, (ours, mut theirs)) = (hub(), pair().await);
        for _ in 0..3 {
            assert_eq!(ours.queue(Bytes::from_static(b"yes")), Ok(true));
            hub.flush_soon(&ours);
            let mut got = [0; 3];
            timeout(PATIENCE, theirs.read_exact(&mut got)).await.unwrap().unwrap();
            assert_eq!(&got, b"yes");
        }
    }

    #[tokio::test]
    async fn a_turn_ends_however_much_comes() {
        let hub = hub();
        let busy = tokio::spawn({
            let hub = hub.clone();
            async move {
                loop {
                    hub.stir();
                    yield_now().await;
                }
            }
        });
        for _ in 0..3 {
            let both = async { tokio::join!(hub.gather(), hub.gather()) };
            timeout(PATIENCE, both).await.unwrap();
        }
        busy.abort();
    }
}
