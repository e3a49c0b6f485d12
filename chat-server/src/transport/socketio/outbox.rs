//! What waits to be sent to a client.
//!
//! Events go through the transport at first. Once the client has a WebSocket and the transport holds no event any more,
//! they go to the connection directly, for good: so nothing overtakes anything. The transport's queue only tells that it
//! is full, and by then it is too late, as a ping that finds no room closes the connection; so an [`Outbox`] counts what
//! goes in and what came out, and is full long before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::connection::Connection;
use super::connection::queue::{MAX_BYTES, MAX_FRAMES};
use crate::domain::id::ConnectionId;

pub(super) mod polls;

/// The capacity of the transport's queue, in packets: more than an outbox ever admits, as there are pings too. An empty
/// queue costs nothing.
pub(super) const TRANSPORT_QUEUE: usize = 2 * MAX_FRAMES;

/// How long an outbox is kept that no client has: longer than a client takes to be let in.
const UNUSED: Duration = Duration::from_secs(30);

/// How often silent connections are looked for.
const SILENCE_CHECK: Duration = Duration::from_secs(5);

/// What waits to be sent to one client.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The connection, once events go there directly.
    direct: OnceLock<Connection>,
    waiting: Mutex<Waiting>,
    /// Wakes polls and attempts to upgrade, which look again whether they go on.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The client's WebSocket.
    connection: Option<Connection>,
    /// How many packets the transport had written to it at the last look.
    passed: u64,
    /// Packets that wait in the transport, and about how many bytes they are.
    packets: usize,
    bytes: usize,
    /// Polls that the transport has.
    polls: u32,
    /// The number of the newest attempt to upgrade.
    attempt: u32,
    /// A poll is to be answered with a noop: the one that waits, or else the next one.
    noop: bool,
    /// The client polls no more, as it said at the end of its upgrade.
    upgraded: bool,
    handed_over: bool,
}

impl Waiting {
    /// Subtracts packets that left the transport.
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

    /// Notes that the transport writes to this connection from here on.
    pub(super) fn connected(&self, connection: Connection) {
        let mut waiting = self.waiting();
        if waiting.handed_over {
            connection.end();
        }
        waiting.passed = connection.passed();
        waiting.connection = Some(connection);
    }

    /// The connection, if events go there directly by now; `polls`: whether the client has no WebSocket yet.
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

    /// Admits a packet to the transport; false if too much waits. A packet that is larger than all that may wait is
    /// admitted when nothing waits.
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

    /// Notes that polls fetched packets, or that the transport refused a packet that was admitted.
    pub(super) fn took(&self, packets: usize) {
        self.waiting().took(packets);
    }

    /// Ends the session in a way that makes the client connect anew.
    pub(super) fn hand_over(&self) {
        let mut waiting = self.waiting();
        waiting.handed_over = true;
        if let Some(connection) = &waiting.connection {
            connection.end();
        }
        drop(waiting);
        self.changed.notify_waiters();
    }

    /// Whether a packet waits for a client that polls.
    pub(super) fn holds_something(&self) -> bool {
        self.waiting().packets > 0
    }

    /// Ends a connection that was silent for longer than `limit`. The transport's own heartbeat can't, while its writer
    /// hangs on a client that does not read.
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

/// The outboxes of all sessions of a node, from the handshake on: polls and upgrades come before the client is let in.
#[derive(Clone, Default)]
pub struct Outboxes(Arc<Mutex<HashMap<ConnectionId, Kept>>>);

struct Kept {
    outbox: Arc<Outbox>,
    since: Instant,
}

impl Outboxes {
    fn all(&self) -> MutexGuard<'_, HashMap<ConnectionId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outbox of a session, made where there is none.
    pub(super) fn of(&self, id: ConnectionId) -> Arc<Outbox> {
        let new = || Kept { outbox: Arc::default(), since: Instant::now() };
        self.all().entry(id).or_insert_with(new).outbox.clone()
    }

    /// The outbox of a session, if there is one.
    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Outbox>> {
        self.all().get(&id).map(|kept| kept.outbox.clone())
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    /// Ends connections that are silent for longer than `limit`, and forgets the outboxes of sessions that no client has,
    /// until the task is dropped.
    pub async fn end_silent(self, limit: Duration) {
        loop {
            tokio::time::sleep(SILENCE_CHECK).await;
            let all: Vec<_> = {
                let mut all = self.all();
                all.retain(|_, kept| kept.since.elapsed() < UNUSED || Arc::strong_count(&kept.outbox) > 1);
                all.values().map(|kept| kept.outbox.clone()).collect()
            };
            all.iter().for_each(|outbox| outbox.end_if_silent(limit));
        }
    }

    /// Forgets the outbox of a client that is closed. One that polls may still fetch why, and is forgotten later.
    pub(super) fn release(&self, id: ConnectionId) {
        let mut all = self.all();
        if all.get(&id).is_some_and(|kept| kept.outbox.waiting().connection.is_some()) {
            all.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polling_client_has_room_again_once_it_polled() {
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

    #[test]
    fn many_small_packets_are_too_many_long_before_the_transport_is_full() {
        let outbox = Outbox::default();
        assert_eq!(std::iter::repeat_with(|| outbox.admit(1)).take_while(|admitted| *admitted).count(), MAX_FRAMES);
        const { assert!(MAX_FRAMES < TRANSPORT_QUEUE) };
    }
}
