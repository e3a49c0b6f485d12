//! One connected socket: who is behind it, what waits for its worker, and the way out to it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use socketioxide::extract::AckSender;
use socketioxide::handler::FromMessageParts;
use socketioxide::socket::{Sid, Socket};
use socketioxide::{SendError, SocketError};
use socketioxide_core::Value;
use tokio::sync::mpsc;

use crate::domain::id::{RoomId, UserId};
use crate::room::{Access, Notice, Signal};
use crate::session::Identity;
use crate::socket::deliver::{NotQueued, Outlet};
use crate::socket::protocol::Request;

/// Requests that may wait for a socket's worker.
pub(crate) const QUEUED_REQUESTS: usize = 1024;
/// And their size, in bytes, unless one alone is larger.
const QUEUED_BYTES: usize = 1 << 20;
/// Requests over these that are still answered.
const REFUSED_REQUESTS: usize = 16_384;
/// How soon a full socket is tried again by one who must not lose what it sends.
const FULL_RETRY: Duration = Duration::from_millis(100);
/// Users whose last presence a socket remembers, so as not to tell it twice.
const PRESENCE_REMEMBERED: usize = 1024;

/// What a socket's worker does, one after the other.
pub(crate) enum Job {
    /// A request, to be answered if it has an ack id.
    Request { request: Request, ack: Option<i64>, bytes: usize },
    /// Something told to all sockets of the person.
    Notice(Notice),
}

/// A connected socket.
pub struct Client {
    pub(crate) identity: Identity,
    socket: Arc<Socket>,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    queued_bytes: AtomicUsize,
    /// What is believed of the person's rights; a commit that uses them checks them.
    pub(crate) rights: Mutex<HashMap<RoomId, Access>>,
    presence: Mutex<HashMap<UserId, u64>>,
    heard: Mutex<HashSet<RoomId>>,
    /// Ack ids of requests for which there was no room; the worker answers them.
    refused: Mutex<Vec<i64>>,
}

impl Client {
    pub(crate) fn new(identity: Identity, socket: Arc<Socket>, jobs: mpsc::Sender<Job>) -> Self {
        Self {
            identity,
            socket,
            jobs: Mutex::new(Some(jobs)),
            queued_bytes: AtomicUsize::new(0),
            rights: Mutex::default(),
            presence: Mutex::default(),
            heard: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// Queues a request; false if too much waits already.
    pub(crate) fn enqueue(&self, request: Request, ack: Option<i64>, bytes: usize) -> bool {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.queued_bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > QUEUED_BYTES {
            return false;
        }
        let Some(jobs) = jobs.as_ref() else { return false };
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let queued = jobs.try_send(Job::Request { request, ack, bytes }).is_ok();
        if !queued {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        queued
    }

    pub(crate) fn dequeued(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Queues a notice behind the requests that wait; in its own time where the queue is full.
    pub(crate) fn notice(&self, notice: Notice) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(jobs) = jobs else { return };
        if let Err(mpsc::error::TrySendError::Full(job)) = jobs.try_send(Job::Notice(notice)) {
            tokio::spawn(async move { jobs.send(job).await });
        }
    }

    /// Notes a request that has to be refused. A socket that has this many open does not wait for
    /// its answers, and gets no more of them.
    pub(crate) fn refuse(&self, ack: i64) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < REFUSED_REQUESTS {
            refused.push(ack);
        }
    }

    /// The requests that have to be refused, in the order in which they came.
    pub(crate) fn refused(&self) -> Vec<i64> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that a room's feed knows the socket.
    pub(crate) fn hears(&self, room: &RoomId) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(room.clone());
    }

    /// The rooms whose feeds may know the socket.
    pub(crate) fn heard(&self) -> Vec<RoomId> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// Takes no more jobs: the worker does what waits and ends.
    pub(crate) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether the transport is still there.
    pub(crate) fn is_open(&self) -> bool {
        self.socket.connected()
    }

    /// Answers a request. Waits while the socket's queue is full; an answer is never dropped
    /// while the socket is there.
    pub(crate) async fn ack(&self, ack: Option<i64>, answer: &serde_json::Value) {
        let Some(ack) = ack else { return };
        while try_ack(&self.socket, ack, answer) == Err(NotQueued::Full) {
            tokio::time::sleep(FULL_RETRY).await;
        }
    }

    /// Sends an event, waiting while the queue is full. False if the socket is gone.
    pub(crate) async fn send<T: Serialize + ?Sized>(&self, event: &str, payload: &T) -> bool {
        loop {
            match queued(self.socket.emit(event, payload)) {
                Ok(()) => return true,
                Err(NotQueued::Closed) => return false,
                Err(NotQueued::Full) => tokio::time::sleep(FULL_RETRY).await,
            }
        }
    }

    /// Sends an event if the queue has room.
    pub(crate) fn try_send<T: Serialize + ?Sized>(&self, event: &str, payload: &T) -> Result<(), NotQueued> {
        queued(self.socket.emit(event, payload))
    }
}

impl Outlet for Client {
    fn id(&self) -> Sid {
        self.socket.id
    }

    fn user(&self) -> &UserId {
        &self.identity.user.id
    }

    fn emit(&self, event: &str, payload: &RawValue) -> Result<(), NotQueued> {
        self.try_send(event, payload)
    }

    fn emit_signal(&self, signal: &Signal) {
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
        let _ = self.try_send(&signal.event, &signal.payload);
    }
}

/// Answers a request of a socket if its queue has room.
fn try_ack(socket: &Arc<Socket>, ack: i64, answer: &serde_json::Value) -> Result<(), NotQueued> {
    match AckSender::from_message_parts(socket, &mut Value::Str("".into(), None), &Some(ack)) {
        Ok(sender) => queued(sender.send(answer)),
        Err(never) => match never {},
    }
}

fn queued(result: Result<(), SendError>) -> Result<(), NotQueued> {
    match result {
        Ok(()) => Ok(()),
        Err(SendError::Socket(SocketError::InternalChannelFull)) => Err(NotQueued::Full),
        Err(SendError::Socket(SocketError::Closed)) => Err(NotQueued::Closed),
        Err(SendError::Serialize(error)) => {
            tracing::error!(%error, "something could not be written as JSON");
            Ok(())
        }
    }
}
