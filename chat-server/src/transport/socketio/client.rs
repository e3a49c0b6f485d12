//! One connected client: its user, the jobs that wait for its worker, and its way out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use socketioxide::extract::AckSender;
use socketioxide::handler::FromMessageParts;
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError, TransportType};
use socketioxide_core::Value;

use super::answers::Answers;
use super::connection::{Closed, Connection};
use super::event::{answer_frame, event};
use super::guest::NewGuest;
use super::jobs::Jobs;
use super::outbox::Outbox;
use crate::delivery::{Event, NotQueued, Outlet};
use crate::domain::id::{ConnectionId, RoomId, UserId};
use crate::domain::position::Position;
#[cfg(feature = "fault-injection")]
use crate::fault_injection::{self, Fault};
use crate::service::identity::Identity;
#[cfg(feature = "fault-injection")]
use crate::service::messages::send::MESSAGE_NEW;
use crate::service::rooms::access::Access;
use crate::store::Signal;

/// How soon what must not be lost is sent again to a client whose queue is full.
const FULL_RETRY: Duration = Duration::from_millis(20);
/// Users whose last presence is remembered, so as not to tell it twice.
const PRESENCE_REMEMBERED: usize = 1024;
/// Rooms whose last read mark is remembered, so as not to tell an older one.
const MARKS_REMEMBERED: usize = 512;
/// Rooms that are told when a client that types goes.
const TYPING_REMEMBERED: usize = 4;

/// A connected client.
pub(crate) struct Client {
    pub(crate) identity: Identity,
    /// What its first change stores, if its user is a guest who is not stored.
    pub(crate) guest: NewGuest,
    pub(super) jobs: Jobs,
    id: ConnectionId,
    /// The transport's side, which holds this one: were each to hold the other, neither would ever be dropped.
    socket: Weak<Socket>,
    outbox: Arc<Outbox>,
    answers: Answers,
    handed_over: AtomicBool,
    /// What is believed of the user's rights; a commit that uses them checks them.
    pub(crate) rights: Mutex<HashMap<RoomId, Box<Access>>>,
    presence: Mutex<HashMap<UserId, u64>>,
    /// The read marks that the client was told of last.
    marks: Mutex<HashMap<RoomId, Position>>,
    /// The rooms in which its user was said to type, those of the last notices.
    typing: Mutex<Vec<RoomId>>,
    /// The rooms whose feeds may know the client, in their order; a set takes twice as much for the two that most have.
    rooms: Mutex<Vec<RoomId>>,
}

impl Client {
    pub(super) fn new(
        id: ConnectionId,
        identity: Identity,
        guest: NewGuest,
        socket: &Arc<Socket>,
        outbox: Arc<Outbox>,
        answers: Answers,
    ) -> Self {
        Self {
            identity,
            guest,
            jobs: Jobs::default(),
            id,
            socket: Arc::downgrade(socket),
            outbox,
            answers,
            handed_over: AtomicBool::new(false),
            rights: Mutex::default(),
            presence: Mutex::default(),
            marks: Mutex::default(),
            typing: Mutex::default(),
            rooms: Mutex::default(),
        }
    }

    /// Takes the rooms whose feeds may know the client.
    pub(crate) fn take_rooms(&self) -> Vec<RoomId> {
        std::mem::take(&mut *self.rooms.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a read mark is news to the client: notices of several nodes may overtake each other, and a mark never moves
    /// back within an epoch.
    pub(crate) fn note_mark(&self, room: &RoomId, mark: Position) -> bool {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.get(room).is_some_and(|last| last.epoch == mark.epoch && last.offset > mark.offset) {
            return false;
        }
        if marks.len() >= MARKS_REMEMBERED {
            marks.clear();
        }
        marks.insert(room.clone(), mark);
        true
    }

    /// Notes that the user types in a room, or no more.
    pub(crate) fn note_typing(&self, room: &RoomId, on: bool) {
        let mut rooms = self.typing.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.retain(|other| other != room);
        if on {
            // What is forgotten here ends by itself, a little later.
            rooms.truncate(TYPING_REMEMBERED - 1);
            rooms.insert(0, room.clone());
        }
    }

    /// Takes the rooms in which the user was said to type.
    pub(crate) fn take_typing(&self) -> Vec<RoomId> {
        std::mem::take(&mut *self.typing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The rooms whose feeds may know the client.
    pub(crate) fn rooms(&self) -> Vec<RoomId> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the client is still connected.
    pub(crate) fn is_open(&self) -> bool {
        self.socket.upgrade().is_some_and(|socket| socket.connected())
    }

    /// Whether all requests that were received are answered, and the answers are fetched if the client polls.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.are_answered() && !(self.is_polling() && self.outbox.holds_something())
    }

    /// Whether the client polls.
    pub(crate) fn is_polling(&self) -> bool {
        self.socket.upgrade().is_some_and(|socket| socket.transport_type() == TransportType::Polling)
    }

    /// Notes that the client is about to be handed over; false if that was noted before.
    pub(crate) fn begin_hand_over(&self) -> bool {
        !self.handed_over.swap(true, Ordering::Relaxed)
    }

    /// Whether [`Client::begin_hand_over`] was called.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// Says goodbye, which stock clients take as "do not come back".
    pub(crate) fn disconnect(&self) {
        // One whose queue is full hears no goodbye.
        if self.socket.upgrade().is_some_and(|socket| socket.disconnect().is_err()) {
            self.hand_over();
        }
    }

    /// Ends the transport in a way that makes the client connect anew.
    pub(crate) fn hand_over(&self) {
        self.outbox.hand_over();
    }

    /// Answers a request: along with the next event, or by itself a moment later. Waits while the client's queue is full;
    /// an answer is never dropped while the client is connected.
    pub(crate) async fn ack(&self, ack: Option<i64>, answer: &RawValue) {
        let Some(ack) = ack else { return };
        // Made once, however often it finds no room.
        let mut frame = None;
        while self.try_ack(ack, answer, &mut frame) == Err(NotQueued::Full) {
            tokio::time::sleep(FULL_RETRY).await;
        }
    }

    /// Sends an event, waiting while the client's queue is full. False if the client is gone.
    pub(crate) async fn send<T: Serialize + ?Sized>(&self, name: &str, payload: &T) -> bool {
        let Some(event) = event(name, payload) else { return true };
        loop {
            match self.emit_one(&event) {
                Ok(()) => return true,
                Err(NotQueued::Closed) => return false,
                Err(NotQueued::Full) => tokio::time::sleep(FULL_RETRY).await,
            }
        }
    }

    /// Sends an event that may be lost: it is dropped where the client's queue is full.
    pub(crate) fn try_send<T: Serialize + ?Sized>(&self, name: &str, payload: &T) {
        if let Some(event) = event(name, payload) {
            let _ = self.emit_one(&event);
        }
    }

    fn try_ack(&self, ack: i64, answer: &RawValue, frame: &mut Option<Bytes>) -> Result<(), NotQueued> {
        if let Some(connection) = self.direct() {
            let frame = frame.get_or_insert_with(|| answer_frame(ack, answer));
            return match connection.queue(frame.clone()) {
                Ok(true) => {
                    self.answers.flush_soon(connection);
                    Ok(())
                }
                Ok(false) => Err(NotQueued::Full),
                Err(Closed) => Err(NotQueued::Closed),
            };
        }
        self.queue(answer.get().len(), |socket| {
            match AckSender::from_message_parts(socket, &mut Value::Str("".into(), None), &Some(ack)) {
                Ok(sender) => sender.send(answer),
                Err(never) => match never {},
            }
        })
    }

    fn emit_one(&self, event: &Event) -> Result<(), NotQueued> {
        self.emit(std::slice::from_ref(event)).1.map_or(Ok(()), Err)
    }

    fn direct(&self) -> Option<&Connection> {
        self.outbox.direct(|| self.is_polling())
    }

    fn emit_all(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
        if let Some(connection) = self.direct() {
            if let [event] = events
                && let Some(sent) = concatenated_sent(connection.send_concatenated(event.frame()), 1)
            {
                return sent;
            }
            return all_sent(connection.send(events.iter().map(Event::frame)), events.len());
        }
        for (sent, event) in events.iter().enumerate() {
            let bytes = event.frame().len();
            if let Err(error) = self.queue(bytes, |socket| socket.emit(event.name(), event.payload())) {
                return (sent, Some(error));
            }
        }
        (events.len(), None)
    }

    /// Gives a packet to the transport.
    fn queue(&self, bytes: usize, send: impl FnOnce(&Arc<Socket>) -> Result<(), SendError>) -> Result<(), NotQueued> {
        let Some(socket) = self.socket.upgrade() else { return Err(NotQueued::Closed) };
        if !self.outbox.admit(bytes) {
            return if self.is_open() { Err(NotQueued::Full) } else { Err(NotQueued::Closed) };
        }
        let done = match send(&socket) {
            Ok(()) => return Ok(()),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => Err(NotQueued::Full),
            Err(SendError::Socket(SocketError::Closed)) => Err(NotQueued::Closed),
            Err(SendError::Serialize(error)) => {
                tracing::error!(%error, "something could not be written as JSON");
                Ok(())
            }
        };
        self.outbox.took(1);
        done
    }

    /// As [`Outlet::emit`], with the injected faults.
    #[cfg(feature = "fault-injection")]
    fn emit_with_faults(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
        for (sent, event) in events.iter().enumerate() {
            let (message, me) = (event.name() == MESSAGE_NEW, self.id.as_str());
            if message
                && (fault_injection::occurs(Fault::DropFrame, 500)
                    || fault_injection::hold_back(me, event.payload().get()))
            {
                continue;
            }
            let held = if message { fault_injection::held_back(me) } else { None };
            let held = held.map(|payload| Event::new(event.name().to_owned().into(), payload, super::event::encode));
            for event in [Some(event), held.as_ref()].into_iter().flatten() {
                if let (_, Some(error)) = self.emit_all(std::slice::from_ref(event)) {
                    return (sent, Some(error));
                }
            }
        }
        (events.len(), None)
    }
}

/// Whether a connection took `of` concatenated frames, in an outlet's terms; `None`: perhaps some.
fn concatenated_sent(sent: Result<bool, Closed>, of: usize) -> Option<(usize, Option<NotQueued>)> {
    match sent {
        Ok(true) => Some((of, None)),
        Ok(false) => None,
        Err(Closed) => Some((0, Some(NotQueued::Closed))),
    }
}

/// How many of `of` frames a connection took, in an outlet's terms.
fn all_sent(sent: Result<usize, Closed>, of: usize) -> (usize, Option<NotQueued>) {
    match sent {
        Ok(sent) if sent == of => (sent, None),
        Ok(sent) => (sent, Some(NotQueued::Full)),
        Err(Closed) => (0, Some(NotQueued::Closed)),
    }
}

impl Outlet for Client {
    fn id(&self) -> ConnectionId {
        self.id
    }

    fn user(&self) -> &UserId {
        &self.identity.user.id
    }

    fn attached_to(&self, room: &RoomId) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(place) = rooms.binary_search(room) {
            rooms.insert(place, room.clone());
        }
    }

    fn emit(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
        #[cfg(feature = "fault-injection")]
        return self.emit_with_faults(events);
        #[cfg(not(feature = "fault-injection"))]
        self.emit_all(events)
    }

    #[cfg(not(feature = "fault-injection"))]
    fn emit_concatenated(&self, events: &[Event], frames: &Bytes) -> (usize, Option<NotQueued>) {
        let sent =
            self.direct().and_then(|connection| concatenated_sent(connection.send_concatenated(frames), events.len()));
        sent.unwrap_or_else(|| self.emit_all(events))
    }

    fn emit_signal(&self, signal: &Signal, event: &Event) {
        if let (Some(version), Some(about)) = (signal.version, &signal.except) {
            let mut seen = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.get(about).is_some_and(|last| *last >= version) {
                return;
            }
            if seen.len() >= PRESENCE_REMEMBERED {
                seen.clear();
            }
            seen.insert(about.clone(), version);
        }
        // A signal may be lost: a client whose queue is full has other worries.
        let _ = self.emit_one(event);
    }
}
