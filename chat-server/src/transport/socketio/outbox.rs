//! The way out to one client, and how much waits on it.
//!
//! What a socket is sent goes through the transport at first. Once its client has a WebSocket and the transport has
//! nothing more of ours, it goes to the connection itself, for good: so nothing overtakes anything. The transport's
//! queue only says that it is full, and by then it is too late, as a ping that finds no room closes the connection; so an
//! [`Outbox`] counts what goes in and what came out, and says stop long before.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::connection::Connection;
use super::connection::queue::{MAX_BYTES, MAX_FRAMES};
use crate::domain::id::ConnectionId;

/// Packets that the transport's queue has room for: more than an outbox ever admits, as there are pings too.
/// Costs nothing while empty.
pub(super) const TRANSPORT_QUEUE: usize = 2 * MAX_FRAMES;

/// How often it is looked for connections on which nothing comes any more.
const SILENCE_CHECK: Duration = Duration::from_secs(5);

/// The way out to one client.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The connection, once everything goes there.
    direct: OnceLock<Connection>,
    waiting: Mutex<Waiting>,
    over: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The WebSocket that the client has, or is about to have.
    connection: Option<Connection>,
    /// What it had passed when that was last looked at.
    passed: u64,
    /// What waits in the transport: packets, and about so many bytes.
    packets: usize,
    bytes: usize,
    handed_over: bool,
}

impl Waiting {
    /// Counts off what came out of the transport.
    fn took(&mut self, packets: usize) {
        self.packets = self.packets.saturating_sub(packets);
        if self.packets == 0 {
            self.bytes = 0;
        }
    }

    fn settle(&mut self) {
        let Some(connection) = &self.connection else { return };
        let passed = connection.passed();
        let new = usize::try_from(passed - self.passed).unwrap_or(usize::MAX);
        self.passed = passed;
        self.took(new);
    }
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transport writes to this connection from now on, or will as soon as the client has changed to it.
    pub(super) fn connected(&self, connection: Connection) {
        let mut waiting = self.waiting();
        waiting.passed = connection.passed();
        waiting.connection = Some(connection);
    }

    /// The connection to which everything goes, if that is so by now; `polls`: the client has no WebSocket yet.
    pub(super) fn direct(&self, polls: impl FnOnce() -> bool) -> Option<&Connection> {
        if let Some(connection) = self.direct.get() {
            return Some(connection);
        }
        let mut waiting = self.waiting();
        waiting.settle();
        if waiting.packets > 0 || polls() {
            return None;
        }
        let connection = waiting.connection.clone()?;
        Some(self.direct.get_or_init(|| connection))
    }

    /// Takes in a packet that is about to be given to the transport; false if too much waits. One that is larger
    /// than all that may wait is let through when nothing waits.
    pub(super) fn admit(&self, bytes: usize) -> bool {
        let mut waiting = self.waiting();
        waiting.settle();
        let behind = waiting.connection.as_ref().is_some_and(|connection| !connection.has_room());
        let room = !behind && (waiting.packets == 0 || (waiting.packets < MAX_FRAMES && waiting.bytes < MAX_BYTES));
        if room {
            waiting.packets += 1;
            waiting.bytes += bytes;
        }
        room
    }

    /// Polls took so many packets; or the transport did not take one that was admitted.
    pub(super) fn took(&self, packets: usize) {
        self.waiting().took(packets);
    }

    /// Ends the transport in a way that makes the client connect anew.
    pub(super) fn hand_over(&self) {
        let mut waiting = self.waiting();
        waiting.handed_over = true;
        if let Some(connection) = &waiting.connection {
            connection.end();
        }
        drop(waiting);
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

    /// Whether something waits for a client that polls.
    pub(super) fn holds_something(&self) -> bool {
        self.waiting().packets > 0
    }

    /// Ends a connection on which nothing came for longer than this. The transport's own heartbeat can't,
    /// while its writer hangs on a client that does not read.
    fn end_if_silent(&self, limit: Duration) {
        let waiting = self.waiting();
        if let Some(connection) = waiting.connection.as_ref().filter(|connection| connection.silent_for() > limit) {
            connection.end();
        }
    }

    /// Whether [`Outbox::hand_over`] was called: polls are refused from then on.
    pub(super) fn is_handed_over(&self) -> bool {
        self.waiting().handed_over
    }
}

/// The outboxes of all sessions of a node, by the session id of the transport. A session that
/// upgrades may come here before its socket is let in, or after.
#[derive(Clone, Default)]
pub struct Outboxes(Arc<Mutex<HashMap<ConnectionId, Arc<Outbox>>>>);

impl Outboxes {
    /// The outbox of a session; a new one where there is none yet.
    pub(super) fn of(&self, id: ConnectionId) -> Arc<Outbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }

    /// The outbox of a session, if there is one.
    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Outbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
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
    pub(super) fn remove(&self, id: ConnectionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Forgets an outbox that nobody came for.
    pub(super) fn remove_unused(&self, id: ConnectionId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&id).is_some_and(|outbox| Arc::strong_count(outbox) == 1) {
            all.remove(&id);
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
        outbox.took(1);
        assert!(!outbox.admit(1), "what is left is still too much");
        assert!(outbox.holds_something());
        outbox.took(usize::MAX);
        assert!(!outbox.holds_something());
        assert!(outbox.admit(1_000_000), "one that is too large goes alone");
        assert!(!outbox.admit(1));
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
        assert_eq!(std::iter::repeat_with(|| outbox.admit(1)).take_while(|admitted| *admitted).count(), MAX_FRAMES);
        const { assert!(MAX_FRAMES < TRANSPORT_QUEUE) };
    }
}
