//! Where the events of a room go: the connections of the transport, seen from the feeds.

use bytes::Bytes;

use super::event::Event;
use crate::domain::id::{ConnectionId, RoomId, UserId};
use crate::store::Signal;

/// Why an event was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotQueued {
    /// The client reads more slowly than it is sent to.
    Full,
    /// The connection is closed.
    Closed,
}

/// One connection that receives the events of rooms.
pub trait Outlet: Send + Sync + 'static {
    /// Names the connection.
    fn id(&self) -> ConnectionId;
    /// The user who is connected.
    fn user(&self) -> &UserId;
    /// Notes that a room's feed knows the outlet from now on, until it is detached.
    fn attached_to(&self, room: &RoomId);
    /// Queues events in their order until one finds no room; never waits. Answers how many were queued, and why not all.
    fn emit(&self, events: &[Event]) -> (usize, Option<NotQueued>);
    /// As [`Outlet::emit`]; `frames` is the frames of all of the events, concatenated.
    fn emit_concatenated(&self, events: &[Event], frames: &Bytes) -> (usize, Option<NotQueued>) {
        let _ = frames;
        self.emit(events)
    }

    /// Queues a signal, encoded as `event`. Where the queue is full, the signal is dropped.
    fn emit_signal(&self, signal: &Signal, event: &Event);
}
