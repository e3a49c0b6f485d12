//! One connected socket: who is behind it, what waits for its worker, and the way out to it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

#[cfg(not(feature = "fault-injection"))]
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use socketioxide::extract::AckSender;
use socketioxide::handler::FromMessageParts;
use socketioxide::socket::{Sid, Socket};
use socketioxide::{SendError, SocketError, TransportType};
use socketioxide_core::Value;

use crate::delivery::{NotQueued, Outlet};
use crate::domain::id::{RoomId, UserId};
#[cfg(feature = "fault-injection")]
use crate::fault_injection::{self, Fault};
use crate::service::identity::Identity;
#[cfg(feature = "fault-injection")]
use crate::service::messages::send::MESSAGE_NEW;
use crate::service::rooms::Access;
use crate::store::{Notice, Signal};
use crate::transport::socketio::connection::Connection;
use crate::transport::socketio::connection::out::Gone;
use crate::transport::socketio::event::{Event, answer_frame, raw};
use crate::transport::socketio::jobs::{Job, Jobs, Needs};
use crate::transport::socketio::outbox::Outbox;
use crate::transport::socketio::protocol::Request;
use crate::transport::socketio::{Context, worker};

/// How soon a full socket is tried again by one who must not lose what it sends.
const FULL_RETRY: Duration = Duration::from_millis(20);
/// Users whose last presence a socket remembers, so as not to tell it twice.
const PRESENCE_REMEMBERED: usize = 1024;

/// A connected socket.
pub struct Client {
    pub(crate) identity: Identity,
    pub(super) context: Arc<Context>,
    id: Sid,
    /// The transport's side, which holds this one: were each to hold the other, both would stay for ever.
    socket: Weak<Socket>,
    outbox: Arc<Outbox>,
    pub(super) jobs: Jobs,
    leaving: AtomicBool,
    /// What is believed of the person's rights; a commit that uses them checks them.
    pub(crate) rights: Mutex<HashMap<RoomId, Box<Access>>>,
    presence: Mutex<HashMap<UserId, u64>>,
    /// In their order; a set takes twice as much for the two that most have.
    heard: Mutex<Vec<RoomId>>,
}

impl Client {
    pub(super) fn new(context: Arc<Context>, identity: Identity, socket: &Arc<Socket>, outbox: Arc<Outbox>) -> Self {
        Self {
            identity,
            context,
            id: socket.id,
            socket: Arc::downgrade(socket),
            outbox,
            jobs: Jobs::default(),
            leaving: AtomicBool::new(false),
            rights: Mutex::default(),
            presence: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    /// Queues a request; where too much waits already, it is answered so.
    pub(super) fn enqueue(self: &Arc<Self>, request: Request, ack: Option<i64>, bytes: usize) {
        self.context.hub.stir();
        self.work(self.jobs.request(request, ack, bytes));
    }

    /// Queues a notice to the person behind the requests that wait.
    pub(crate) fn notice(self: &Arc<Self>, notice: Notice) {
        self.work(self.jobs.later(Job::Notice(notice)));
    }

    /// Has the worker look up the rooms of the person anew.
    pub(crate) fn review(self: &Arc<Self>) {
        self.work(self.jobs.later(Job::Review));
    }

    fn work(self: &Arc<Self>, needs: Option<Needs>) {
        if let Some(needs) = needs {
            tokio::spawn(worker::work(self.clone(), needs));
        }
    }

    /// Notes that a room's feed knows the socket.
    pub(crate) fn hears(&self, room: &RoomId) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(place) = heard.binary_search(room) {
            heard.insert(place, room.clone());
        }
    }

    /// The rooms whose feeds may know the socket.
    pub(crate) fn heard(&self) -> Vec<RoomId> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes no more jobs: the worker does what waits and ends.
    pub(super) fn close(self: &Arc<Self>) {
        self.work(self.jobs.close());
    }

    /// Whether the transport is still there.
    pub(crate) fn is_open(&self) -> bool {
        self.socket.upgrade().is_some_and(|socket| socket.connected())
    }

    /// Whether all requests that were received are answered, and the answers fetched by one that
    /// polls.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.are_answered() && !(self.is_polling() && self.outbox.holds_something())
    }

    /// Whether the client polls.
    pub(crate) fn is_polling(&self) -> bool {
        self.socket.upgrade().is_some_and(|socket| socket.transport_type() == TransportType::Polling)
    }

    /// Notes that the socket is about to be handed over; false if that was noted before.
    pub(crate) fn begin_hand_over(&self) -> bool {
        !self.leaving.swap(true, Ordering::Relaxed)
    }

    /// Whether it was noted.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Ends the transport in a way that makes the client connect anew.
    pub(crate) fn hand_over(&self) {
        self.outbox.hand_over();
    }

    /// Answers a request, with what comes to the socket in the next moment, or else by itself. Waits while too much waits
    /// for the socket; an answer is never dropped while the socket is there.
    pub(crate) async fn ack(&self, ack: Option<i64>, answer: &serde_json::Value) {
        let (Some(ack), Some(answer)) = (ack, raw(answer)) else { return };
        while self.try_ack(ack, &answer) == Err(NotQueued::Full) {
            tokio::time::sleep(FULL_RETRY).await;
        }
    }

    /// Sends an event, waiting while too much waits for the socket. False if the socket is gone.
    pub(crate) async fn send<T: Serialize + ?Sized>(&self, event: &str, payload: &T) -> bool {
        let Some(event) = Event::of(event, payload) else { return true };
        loop {
            match self.emit_one(&event) {
                Ok(()) => return true,
                Err(NotQueued::Closed) => return false,
                Err(NotQueued::Full) => tokio::time::sleep(FULL_RETRY).await,
            }
        }
    }

    /// Sends an event that may be missed.
    pub(crate) fn try_send<T: Serialize + ?Sized>(&self, event: &str, payload: &T) {
        if let Some(event) = Event::of(event, payload) {
            let _ = self.emit_one(&event);
        }
    }

    fn try_ack(&self, ack: i64, answer: &RawValue) -> Result<(), NotQueued> {
        if let Some(connection) = self.direct() {
            return match connection.queue(answer_frame(ack, answer)) {
                Ok(true) => {
                    self.context.hub.flush_soon(connection);
                    Ok(())
                }
                Ok(false) => Err(NotQueued::Full),
                Err(Gone) => Err(NotQueued::Closed),
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
                && let Some(sent) = whole_sent(connection.send_whole(event.frame()), 1)
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

    /// As [`Outlet::emit`], with the bugs that are there on purpose.
    #[cfg(feature = "fault-injection")]
    fn emit_planted(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
        for (sent, event) in events.iter().enumerate() {
            let (message, me) = (event.name() == MESSAGE_NEW, self.id.as_str());
            if message
                && (fault_injection::occurs(Fault::DropFrame, 500)
                    || fault_injection::hold_back(me, event.payload().get()))
            {
                continue;
            }
            let held = if message { fault_injection::held_back(me) } else { None };
            let held = held.map(|payload| Event::new(event.name().to_owned().into(), payload));
            for event in [Some(event), held.as_ref()].into_iter().flatten() {
                if let (_, Some(error)) = self.emit_all(std::slice::from_ref(event)) {
                    return (sent, Some(error));
                }
            }
        }
        (events.len(), None)
    }
}

/// Whether a connection took so many frames that lie one behind the other, as an outlet says it; `None`: perhaps some.
fn whole_sent(sent: Result<bool, Gone>, of: usize) -> Option<(usize, Option<NotQueued>)> {
    match sent {
        Ok(true) => Some((of, None)),
        Ok(false) => None,
        Err(Gone) => Some((0, Some(NotQueued::Closed))),
    }
}

/// What a connection took of so many frames, as an outlet says it.
fn all_sent(sent: Result<usize, Gone>, of: usize) -> (usize, Option<NotQueued>) {
    match sent {
        Ok(sent) if sent == of => (sent, None),
        Ok(sent) => (sent, Some(NotQueued::Full)),
        Err(Gone) => (0, Some(NotQueued::Closed)),
    }
}

impl Outlet for Client {
    fn id(&self) -> Sid {
        self.id
    }

    fn user(&self) -> &UserId {
        &self.identity.user.id
    }

    fn emit(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
        #[cfg(feature = "fault-injection")]
        return self.emit_planted(events);
        #[cfg(not(feature = "fault-injection"))]
        self.emit_all(events)
    }

    #[cfg(not(feature = "fault-injection"))]
    fn emit_whole(&self, events: &[Event], whole: &Bytes) -> (usize, Option<NotQueued>) {
        let sent = self.direct().and_then(|connection| whole_sent(connection.send_whole(whole), events.len()));
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
        // What passes may be missed: a socket that is full has other worries.
        let _ = self.emit_one(event);
    }
}
