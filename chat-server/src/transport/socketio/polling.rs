//! Long-polling answers of a size that every client takes.
//!
//! python-engineio refuses an answer of more than 16 packets and drops the connection, while the
//! transport puts all that waits into one answer. What is over is kept here for the next poll.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::connection::Connection;
use super::connection::frame::is_counted;
use super::outbox::Outboxes;
use crate::domain::id::ConnectionId;

/// Most packets in an answer.
const PACKETS: usize = 16;
const SEPARATOR: u8 = 0x1e;
/// The packet by which a client closes its session.
pub(super) const ENGINE_CLOSE: &str = "1";
/// What nobody fetched in this time belongs to a session that is gone.
const STALE: Duration = Duration::from_secs(60);
/// How often an upgrade looks whether the rest was fetched.
const UPGRADE_RETRY: Duration = Duration::from_millis(10);

/// What is known of sessions that poll.
#[derive(Clone)]
pub struct Polling {
    /// What is left over for them.
    leftovers: Leftovers,
    /// What waits for them.
    outboxes: Outboxes,
}

impl Polling {
    /// Nothing is left over yet.
    #[must_use]
    pub fn new(outboxes: Outboxes) -> Self {
        Self { leftovers: Leftovers::default(), outboxes }
    }
}

/// What is left over for sessions that poll.
#[derive(Clone, Default)]
struct Leftovers(Arc<Mutex<Shelf>>);

#[derive(Default)]
struct Shelf {
    left: HashMap<String, (VecDeque<Vec<u8>>, Instant)>,
    /// Sessions that are changing to a WebSocket: they won't come for a rest, so none is kept.
    upgrading: HashSet<String>,
}

impl Leftovers {
    fn with<T>(&self, act: impl FnOnce(&mut Shelf) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, sid: &str) -> Option<Vec<u8>> {
        self.with(|shelf| {
            let (left, _) = shelf.left.get_mut(sid)?;
            let next = left.pop_front();
            if left.is_empty() {
                shelf.left.remove(sid);
            }
            next
        })
    }

    /// Keeps all but the first part of an answer.
    fn split(&self, sid: &str, body: Vec<u8>) -> Vec<u8> {
        let packets: Vec<&[u8]> = body.split(|byte| *byte == SEPARATOR).collect();
        if packets.len() <= PACKETS {
            return body;
        }
        let mut parts: VecDeque<Vec<u8>> = packets.chunks(PACKETS).map(|part| part.join(&SEPARATOR)).collect();
        self.with(|shelf| {
            if shelf.upgrading.contains(sid) {
                return body.clone();
            }
            let now = Instant::now();
            shelf.left.retain(|_, (_, since)| now.duration_since(*since) < STALE);
            let first = parts.pop_front().unwrap_or_default();
            shelf.left.insert(sid.to_owned(), (parts, now));
            first
        })
    }

    fn forget(&self, sid: &str) {
        self.with(|shelf| {
            shelf.left.remove(sid);
            shelf.upgrading.remove(sid);
        });
    }

    /// An upgrade waits until the rest was fetched, and for as long as it goes on nothing is kept.
    async fn begin_upgrade(&self, sid: &str) {
        let until = Instant::now() + STALE;
        loop {
            let begun = self.with(|shelf| {
                let free = !shelf.left.contains_key(sid) || Instant::now() > until;
                if free {
                    shelf.upgrading.insert(sid.to_owned());
                }
                free
            });
            if begun {
                return;
            }
            tokio::time::sleep(UPGRADE_RETRY).await;
        }
    }
}

/// Splits long answers; to be put around the Socket.IO layer.
pub async fn split_long_answers(State(polling): State<Polling>, request: Request, next: Next) -> Response {
    let Polling { leftovers, outboxes } = polling;
    let Some(sid) = query(request.uri(), "sid") else { return next.run(request).await };
    let session = ConnectionId::parse(&sid);
    if query(request.uri(), "transport").as_deref() == Some("websocket") {
        if let (Some(session), Some(ConnectInfo(connection))) = (session, request.extensions().get()) {
            outboxes.of(session).connected(Connection::clone(connection));
        }
        leftovers.begin_upgrade(&sid).await;
        // The transport answers at once and goes on by itself; a moment later nobody polls.
        let response = next.run(request).await;
        tokio::spawn(async move {
            tokio::time::sleep(STALE).await;
            leftovers.forget(&sid);
            session.inspect(|session| outboxes.remove_unused(*session));
        });
        return response;
    }
    let outbox = session.and_then(|session| outboxes.get(session));
    if outbox.as_ref().is_some_and(|outbox| outbox.is_handed_over()) {
        return end(request.uri().clone(), next).await;
    }
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    if let Some(part) = leftovers.take(&sid) {
        return ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], part).into_response();
    }
    let uri = request.uri().clone();
    let over = async {
        match &outbox {
            Some(outbox) => outbox.handed_over().await,
            None => std::future::pending().await,
        }
    };
    let response = tokio::select! {
        // What waits is given first.
        biased;
        response = next.clone().run(request) => response,
        () = over => return end(uri, next).await,
    };
    if response.status() != StatusCode::OK {
        leftovers.forget(&sid);
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The transport bounds its own answers, by `max_payload`.
    match to_bytes(body, usize::MAX).await {
        Ok(body) => {
            // A poll may have waited since before the socket was let in, and take the first of what it was sent.
            if let Some(outbox) = outbox.or_else(|| outboxes.get(session?)) {
                outbox.took(body.split(|byte| *byte == SEPARATOR).filter(|packet| is_counted(packet)).count());
            }
            let body = leftovers.split(&sid, body.into());
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(body))
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Refuses a poll of a session that was handed over, which a stock client takes as a reason to connect
/// anew, and closes the session in its place: it would last until its heartbeat fails.
async fn end(uri: Uri, next: Next) -> Response {
    let mut close = Request::new(Body::from(ENGINE_CLOSE));
    *close.method_mut() = Method::POST;
    *close.uri_mut() = uri;
    next.run(close).await;
    (StatusCode::BAD_REQUEST, "this session goes on elsewhere\n").into_response()
}

/// A parameter of a request.
pub(super) fn query(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::Service;

    use super::*;

    fn packets(count: usize) -> Vec<u8> {
        (0..count).map(|n| format!("4{n}")).collect::<Vec<_>>().join("\u{1e}").into_bytes()
    }

    #[test]
    fn a_long_answer_comes_in_parts_of_sixteen_and_in_order() {
        let leftovers = Leftovers::default();
        let mut parts = vec![leftovers.split("a", packets(40))];
        while let Some(part) = leftovers.take("a") {
            parts.push(part);
        }
        let sizes: Vec<_> = parts.iter().map(|part| part.split(|byte| *byte == SEPARATOR).count()).collect();
        assert_eq!(sizes, [16, 16, 8]);
        assert_eq!(parts.join(&SEPARATOR), packets(40));
        assert_eq!(leftovers.take("a"), None);
    }

    #[tokio::test]
    async fn what_a_poll_takes_counts_though_it_waited_since_before_its_socket_was_let_in() {
        let (sid, outboxes) = (ConnectionId::parse("0123456789abcdef").unwrap(), Outboxes::default());
        let in_transport = outboxes.clone();
        let let_in = move || async move {
            in_transport.of(sid).admit(1);
            "42[\"session\",{}]"
        };
        let polling = from_fn_with_state(Polling::new(outboxes.clone()), split_long_answers);
        let mut routes = Router::new().route("/", get(let_in)).layer(polling);
        let poll = Request::get(format!("/?transport=polling&sid={sid}")).body(Body::empty()).unwrap();
        assert_eq!(routes.call(poll).await.unwrap().status(), StatusCode::OK);
        assert!(!outboxes.of(sid).holds_something());
    }

    #[tokio::test]
    async fn an_upgrade_waits_for_the_rest_and_loses_nothing_after_it() {
        let leftovers = Leftovers::default();
        leftovers.split("a", packets(20));
        let upgrade = tokio::spawn({
            let leftovers = leftovers.clone();
            async move { leftovers.begin_upgrade("a").await }
        });
        tokio::task::yield_now().await;
        assert!(!upgrade.is_finished());
        assert!(leftovers.take("a").is_some());
        upgrade.await.unwrap();
        assert_eq!(leftovers.split("a", packets(40)), packets(40));
    }
}
