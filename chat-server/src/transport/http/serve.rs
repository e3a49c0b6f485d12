//! Serves HTTP/1.1 on a port, within bounds on what a connection may use before its request is complete.
//!
//! Strangers can open connections and say nothing, or only a half of a request. Each step of a request has a time-out,
//! and where a port has no place for another connection, the oldest one whose request is not complete makes room: who
//! means it is done within milliseconds. HTTP/2 is not spoken, neither by prior knowledge.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::observability::metrics::{Cut, Metrics};
use crate::transport::socketio::connection::Connection;
use crate::transport::socketio::connection::listener::{Connections, Io};
use crate::transport::socketio::connection::phase::Phase;

/// Time from the first byte of a request's head, or from the begin of a connection, to the head's end.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from the end of a request's head to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time without a request. Longer than nginx and ingress-nginx keep a connection to a node (60 s): were it shorter, a
/// request could meet a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How often a connection is looked at.
const CHECK: Duration = Duration::from_secs(2);
/// Bytes of a request's head, and of what is read ahead of a body.
const MAX_HEAD: usize = 32 * 1024;
/// Connections beyond a port's bound that are taken while others make room.
const OVERFLOW: usize = 32;
/// How long a connection is let be that could make room: many times what a request takes to come over a slow line.
const GRACE: Duration = Duration::from_millis(100);
/// How soon a port without room looks again.
const PAUSE: Duration = Duration::from_millis(2);

const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 49\r\n\r\n\
    the head of a request must be complete in 10 s.\r\n";
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 38\r\n\r\n\
    this node has no place: try another.\r\n";

/// The connections of a port that speak HTTP, in the order in which they came.
#[derive(Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Connection>,
}

/// Whether a connection could make room for another.
enum Room {
    /// One did.
    Made,
    /// One will, in a moment.
    Soon,
    /// All are in use.
    None,
}

/// A port that is served.
#[derive(Clone)]
pub struct Port {
    open: Arc<Mutex<Open>>,
    /// The most connections, WebSockets included.
    limit: usize,
    metrics: Metrics,
}

impl Port {
    /// A port that takes `limit` connections at most, WebSockets included.
    #[must_use]
    pub fn new(limit: usize, metrics: Metrics) -> Self {
        Self { open: Arc::default(), limit, metrics }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, connection: &Connection) -> u64 {
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.connections.insert(number, connection.clone());
        number
    }

    /// Ends the oldest connection whose request is not complete, or else the oldest that has none.
    fn make_room(&self) -> Room {
        let mut open = self.open();
        let oldest = |wanted: &[Phase]| {
            let mut all = open.connections.iter().map(|(number, connection)| (*number, connection.phase()));
            all.find(|(_, (phase, _))| wanted.contains(phase))
        };
        let Some((number, (_, since))) = oldest(&[Phase::Head, Phase::Body]).or_else(|| oldest(&[Phase::Idle])) else {
            return Room::None;
        };
        if since < GRACE {
            return Room::Soon;
        }
        let connection = open.connections.remove(&number);
        drop(open);
        if let Some(connection) = connection {
            connection.end_with(FULL);
            self.metrics.connection_cut(Cut::Displaced);
        }
        Room::Made
    }

    /// Waits until there is a place for a connection that was accepted, while others make room; false if all are in use.
    async fn has_room(&self, listener: &Connections) -> bool {
        while listener.open() > self.limit {
            match self.make_room() {
                Room::Made if listener.open() <= self.limit + OVERFLOW => return true,
                // Places are free once the tasks of their connections have run.
                Room::Made | Room::Soon => tokio::time::sleep(PAUSE).await,
                Room::None => return false,
            }
        }
        true
    }

    /// Serves `routes` to the connections of `listener`, until `stopped`.
    pub async fn serve(self, mut listener: Connections, routes: Router, mut stopped: watch::Receiver<bool>) {
        loop {
            let (connection, io) = tokio::select! {
                accepted = listener.accept() => accepted,
                // An error means that the sender is gone: stop as well.
                _ = stopped.wait_for(|stopped| *stopped) => return,
            };
            if self.has_room(&listener).await {
                tokio::spawn(self.clone().one(connection, io, routes.clone(), stopped.clone()));
            } else {
                connection.end_with(FULL);
                self.metrics.connection_cut(Cut::Refused);
            }
        }
    }

    async fn one(self, connection: Connection, io: Io, routes: Router, mut stopped: watch::Receiver<bool>) {
        let number = self.add(&connection);
        let peer = connection.clone();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            let (peer, routes) = (peer.clone(), routes.clone());
            peer.enter(Phase::Serving);
            request.extensions_mut().insert(ConnectInfo(peer.clone()));
            async move {
                let response: Result<Response, Infallible> = routes.oneshot(request.map(Body::new)).await;
                peer.enter(Phase::Idle);
                response
            }
        });
        let mut http = http1::Builder::new();
        http.max_buf_size(MAX_HEAD).header_read_timeout(None);
        let mut served = pin!(http.serve_connection(TokioIo::new(io), service).with_upgrades());
        let mut check = tokio::time::interval(CHECK);
        let mut stops = false;
        loop {
            tokio::select! {
                // An error is the client's: it went, or what it sent is not HTTP.
                _ = &mut served => break,
                _ = check.tick() => if self.ends_overdue(&connection) {
                    break;
                },
                _ = stopped.wait_for(|stopped| *stopped), if !stops => {
                    stops = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        }
        self.open().connections.remove(&number);
    }

    /// Ends a connection that took too long for what it is at.
    fn ends_overdue(&self, connection: &Connection) -> bool {
        let (phase, since) = connection.phase();
        let (limit, why, word) = match phase {
            Phase::Head => (HEAD_TIMEOUT, Cut::Head, TOO_SLOW),
            Phase::Idle => (IDLE_TIMEOUT, Cut::Idle, &[][..]),
            // A body has its time-out in `whole_body`, which answers.
            Phase::Body | Phase::Serving => return false,
        };
        let overdue = since > limit;
        if overdue {
            connection.end_with(word);
            self.metrics.connection_cut(why);
        }
        overdue
    }
}

/// Takes in the body of a request before it is served: all of it within a time-out, and at most `limit` bytes.
pub async fn whole_body(State(limit): State<usize>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let connection =
        request.extensions().get::<ConnectInfo<Connection>>().map(|ConnectInfo(connection)| connection.clone());
    let enter = |phase| connection.iter().for_each(|connection: &Connection| connection.enter(phase));
    enter(Phase::Body);
    let (parts, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await;
    enter(Phase::Serving);
    match body {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body.to_bytes()))).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {limit} bytes\n")).into_response()
        }
        Ok(Err(_)) => (StatusCode::BAD_REQUEST, "the body broke off\n").into_response(),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "a body must be complete in 30 s\n").into_response(),
    }
}
