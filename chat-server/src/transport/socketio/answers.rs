//! Writing answers: an answer goes along with the next event for its connection, or by itself once the input has settled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::yield_now;

use super::connection::Connection;
use crate::delivery::Batching;

/// Yields to the runtime before answers go by themselves: the event that a request makes mostly comes along with the
/// answer to it.
const YIELDS_BEFORE_FLUSH: u32 = 2;
/// After so many writes other tasks have a turn.
const YIELD_EVERY: usize = 64;

/// The answers of a node that are queued and not written. Clones are the same.
#[derive(Clone)]
pub struct Answers(Arc<Inner>);

struct Inner {
    batching: Batching,
    unwritten: Mutex<Unwritten>,
}

#[derive(Default)]
struct Unwritten {
    connections: Vec<Connection>,
    /// A task waits to write them.
    scheduled: bool,
}

impl Answers {
    /// Answers that wait for the input to settle as `batching` says.
    #[must_use]
    pub fn new(batching: Batching) -> Self {
        Self(Arc::new(Inner { batching, unwritten: Mutex::default() }))
    }

    /// Has what is queued at the connection written soon.
    pub(super) fn flush_soon(&self, connection: &Connection) {
        let mut unwritten = self.unwritten();
        unwritten.connections.push(connection.clone());
        if !std::mem::replace(&mut unwritten.scheduled, true) {
            drop(unwritten);
            tokio::spawn(self.clone().flush_all());
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.0.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes answers for as long as there are any.
    async fn flush_all(self) {
        loop {
            self.0.batching.settled().await;
            let connections = std::mem::take(&mut self.unwritten().connections);
            for _ in 0..YIELDS_BEFORE_FLUSH {
                yield_now().await;
            }
            for (number, connection) in connections.iter().filter(|connection| connection.wants_flush()).enumerate() {
                connection.flush();
                if number % YIELD_EVERY == YIELD_EVERY - 1 {
                    yield_now().await;
                }
            }
            let mut unwritten = self.unwritten();
            if unwritten.connections.is_empty() {
                unwritten.scheduled = false;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::*;
    use crate::transport::socketio::connection::listener::pair;

    #[tokio::test]
    async fn an_answer_without_an_event_is_written_by_itself() {
        let (answers, (ours, mut theirs)) = (Answers::new(Batching::default()), pair().await);
        for _ in 0..3 {
            assert_eq!(ours.queue(Bytes::from_static(b"yes")), Ok(true));
            answers.flush_soon(&ours);
            let mut got = [0; 3];
            timeout(Duration::from_secs(10), theirs.read_exact(&mut got)).await.unwrap().unwrap();
            assert_eq!(&got, b"yes");
        }
    }
}
