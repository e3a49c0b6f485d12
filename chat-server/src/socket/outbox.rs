//! How much of what a socket was sent still waits in the transport.
//!
//! The transport's queue only says that it is full, and by then it is too late: a ping that finds
//! no room closes the connection. So an [`Outbox`] counts what goes in, sees what the connection
//! wrote, and says stop long before.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socketioxide::socket::Sid;
use tokio::sync::Notify;

use crate::connection::Connection;

/// Packets that the transport's queue has room for: far more than an outbox ever admits, as one
/// that is slightly behind with its counting may admit twice as much. Costs nothing while empty.
pub(super) const TRANSPORT_QUEUE: usize = 4 * PACKETS;
/// Packets that may wait.
const PACKETS: usize = 1024;
/// And their size, in bytes: no more than the WebSocket writer gathers before it writes, so that
/// each of its flushes stands for as much as an outbox may hold.
const BYTES: usize = 128 * 1024;

/// How often it is looked for connections on which nothing comes any more.
const SILENCE_CHECK: Duration = Duration::from_secs(5);

/// The way out to one client.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    over: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What the transport writes to; `None` for one that polls.
    connection: Option<Connection>,
    /// What waits, and what of it was there when the connection last flushed.
    waiting: Load,
    before: Load,
    flushes: u64,
    /// It flushed once, and may have nothing left to write: one packet more finds out.
    may_be_idle: bool,
    handed_over: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Load {
    packets: usize,
    bytes: usize,
}

impl Load {
    fn less(self, other: Self) -> Self {
        Self { packets: self.packets.saturating_sub(other.packets), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

impl State {
    /// Counts off what the connection has written since.
    ///
    /// A flush ends after the queue was emptied, but something may be queued while it goes on. So
    /// one flush stands for what waited at the flush before it, and two for all that waited.
    fn settle(&mut self) {
        let Some(connection) = &self.connection else { return };
        let flushes = connection.flushes();
        if flushes == self.flushes {
            return;
        }
        self.waiting = if flushes >= self.flushes + 2 { Load::default() } else { self.waiting.less(self.before) };
        self.before = self.waiting;
        self.flushes = flushes;
        self.may_be_idle = true;
    }
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transport writes to this connection from now on.
    pub(super) fn connected(&self, connection: Connection) {
        let mut state = self.state();
        state.flushes = connection.flushes();
        state.before = Load::default();
        state.connection = Some(connection);
    }

    /// Takes in a packet that is about to be queued; false if too much waits. One that is larger than
    /// all that may wait is let through when nothing waits.
    pub(super) fn admit(&self, bytes: usize) -> bool {
        let mut state = self.state();
        state.settle();
        let room = state.may_be_idle || (state.waiting.packets < PACKETS && state.waiting.bytes < BYTES);
        if room {
            state.waiting.packets += 1;
            state.waiting.bytes += bytes;
            state.may_be_idle = false;
        }
        room
    }

    /// A poll took so much.
    pub(super) fn polled(&self, packets: usize, bytes: usize) {
        let mut state = self.state();
        state.waiting = state.waiting.less(Load { packets, bytes });
    }

    /// Ends the transport in a way that makes the client connect anew.
    pub(super) fn hand_over(&self) {
        let mut state = self.state();
        state.handed_over = true;
        if let Some(connection) = &state.connection {
            connection.end();
        }
        drop(state);
        self.over.notify_waiters();
    }

    /// Waits for [`Outbox::hand_over`].
    pub(super) async fn handed_over(&self) {
        let mut over = pin!(self.over.notified());
        // From here on it is not missed.
        over.as_mut().enable();
        if !self.is_handed_over() {
            over.await;
        }
    }

    /// Whether something waits. Of a connection it is known late: see [`Outbox::admit`].
    pub(super) fn holds_something(&self) -> bool {
        self.state().waiting.packets > 0
    }

    /// Ends a connection on which nothing came for longer than this. The transport's own heartbeat can't,
    /// while its writer hangs on a client that does not read.
    fn end_if_silent(&self, limit: Duration) {
        let state = self.state();
        if let Some(connection) = state.connection.as_ref().filter(|connection| connection.silent_for() > limit) {
            connection.end();
        }
    }

    /// Whether [`Outbox::hand_over`] was called: polls are refused from then on.
    pub(super) fn is_handed_over(&self) -> bool {
        self.state().handed_over
    }
}

/// The outboxes of all sessions of a node, by the session id of the transport. A session that
/// upgrades may come here before its socket is let in, or after.
#[derive(Clone, Default)]
pub struct Outboxes(Arc<Mutex<HashMap<Sid, Arc<Outbox>>>>);

impl Outboxes {
    /// The outbox of a session; a new one where there is none yet.
    pub(super) fn of(&self, sid: Sid) -> Arc<Outbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(sid).or_default().clone()
    }

    /// The outbox of a session, if there is one.
    pub(super) fn get(&self, sid: Sid) -> Option<Arc<Outbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&sid).cloned()
    }

    /// Ends, for ever, connections on which nothing came for longer than `limit`.
    pub async fn end_silent(self, limit: Duration) {
        loop {
            tokio::time::sleep(SILENCE_CHECK).await;
            let all: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
            all.iter().for_each(|outbox| outbox.end_if_silent(limit));
        }
    }

    /// The session is over.
    pub(super) fn remove(&self, sid: Sid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&sid);
    }

    /// Forgets an outbox that nobody came for.
    pub(super) fn remove_unused(&self, sid: Sid) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&sid).is_some_and(|outbox| Arc::strong_count(outbox) == 1) {
            all.remove(&sid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_polls_has_room_again_once_it_polled() {
        let outbox = Outbox::default();
        while outbox.admit(1_000) {}
        outbox.polled(1, 1_000);
        assert!(outbox.admit(1_000_000), "one that is too large goes as the last");
        assert!(!outbox.admit(1));
        assert!(outbox.holds_something());
        outbox.polled(usize::MAX, usize::MAX);
        assert!(!outbox.holds_something());
        assert!(outbox.admit(1));
    }

    #[tokio::test]
    async fn a_hand_over_is_heard_whenever_it_comes() {
        let outbox = Outbox::default();
        tokio::join!(outbox.handed_over(), async { outbox.hand_over() });
        outbox.handed_over().await;
    }

    #[test]
    fn many_small_packets_are_too_many_long_before_the_transport_is_full() {
        let outbox = Outbox::default();
        assert_eq!(std::iter::repeat_with(|| outbox.admit(1)).take_while(|admitted| *admitted).count(), PACKETS);
        const { assert!(2 * PACKETS < TRANSPORT_QUEUE) };
    }
}
