//! Long-polling responses of a size that every client takes.
//!
//! python-engineio refuses a response of more than 16 packets and drops the connection, while the transport puts all that
//! waits into one response. The packets above 16 are kept here for the next polls.

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

/// The most packets of a response.
const MAX_PACKETS: usize = 16;
const SEPARATOR: u8 = 0x1e;
/// The packet by which a client closes its session.
pub(super) const ENGINE_CLOSE: &str = "1";
/// Packets that were not fetched in this time belong to a session that is gone.
const STALE: Duration = Duration::from_secs(60);
/// How often an upgrade looks whether the packets were fetched.
const UPGRADE_RETRY: Duration = Duration::from_millis(10);

/// The sessions that poll.
#[derive(Clone)]
pub struct Polling {
    split: SplitResponses,
    outboxes: Outboxes,
}

impl Polling {
    /// The sessions of these outboxes.
    #[must_use]
    pub fn new(outboxes: Outboxes) -> Self {
        Self { split: SplitResponses::default(), outboxes }
    }
}

/// The later parts of responses that were split, by session.
#[derive(Clone, Default)]
struct SplitResponses(Arc<Mutex<Parts>>);

#[derive(Default)]
struct Parts {
    /// The parts of a session, and since when they wait.
    waiting: HashMap<String, (VecDeque<Vec<u8>>, Instant)>,
    /// Sessions that are being upgraded: they poll no more, so nothing is kept for them.
    upgrading: HashSet<String>,
}

impl SplitResponses {
    fn with<T>(&self, act: impl FnOnce(&mut Parts) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, sid: &str) -> Option<Vec<u8>> {
        self.with(|parts| {
            let (waiting, _) = parts.waiting.get_mut(sid)?;
            let next = waiting.pop_front();
            if waiting.is_empty() {
                parts.waiting.remove(sid);
            }
            next
        })
    }

    /// Keeps all but the first part of a response, which is returned.
    fn split(&self, sid: &str, body: Vec<u8>) -> Vec<u8> {
        let packets: Vec<&[u8]> = body.split(|byte| *byte == SEPARATOR).collect();
        if packets.len() <= MAX_PACKETS {
            return body;
        }
        let mut chunks: VecDeque<Vec<u8>> = packets.chunks(MAX_PACKETS).map(|chunk| chunk.join(&SEPARATOR)).collect();
        self.with(|parts| {
            if parts.upgrading.contains(sid) {
                return body.clone();
            }
            let now = Instant::now();
            parts.waiting.retain(|_, (_, since)| now.duration_since(*since) < STALE);
            let first = chunks.pop_front().unwrap_or_default();
            parts.waiting.insert(sid.to_owned(), (chunks, now));
            first
        })
    }

    fn forget(&self, sid: &str) {
        self.with(|parts| {
            parts.waiting.remove(sid);
            parts.upgrading.remove(sid);
        });
    }

    /// Waits until all parts were fetched; during the upgrade nothing is kept.
    async fn begin_upgrade(&self, sid: &str) {
        let until = Instant::now() + STALE;
        loop {
            let begun = self.with(|parts| {
                let free = !parts.waiting.contains_key(sid) || Instant::now() > until;
                if free {
                    parts.upgrading.insert(sid.to_owned());
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

/// Splits long responses; a layer around the Socket.IO service.
pub async fn split_long_responses(State(polling): State<Polling>, request: Request, next: Next) -> Response {
    let Polling { split, outboxes } = polling;
    let Some(sid) = query(request.uri(), "sid") else { return next.run(request).await };
    let session = ConnectionId::parse(&sid);
    if query(request.uri(), "transport").as_deref() == Some("websocket") {
        if let (Some(session), Some(ConnectInfo(connection))) = (session, request.extensions().get()) {
            outboxes.of(session).connected(Connection::clone(connection));
        }
        split.begin_upgrade(&sid).await;
        // The transport answers at once and goes on by itself; a moment later nobody polls.
        let response = next.run(request).await;
        tokio::spawn(async move {
            tokio::time::sleep(STALE).await;
            split.forget(&sid);
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
    if let Some(part) = split.take(&sid) {
        return ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], part).into_response();
    }
    let uri = request.uri().clone();
    let handed_over = async {
        match &outbox {
            Some(outbox) => outbox.handed_over().await,
            None => std::future::pending().await,
        }
    };
    let response = tokio::select! {
        // Packets that wait are sent first.
        biased;
        response = next.clone().run(request) => response,
        () = handed_over => return end(uri, next).await,
    };
    if response.status() != StatusCode::OK {
        split.forget(&sid);
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The transport bounds its own answers, by `max_payload`.
    match to_bytes(body, usize::MAX).await {
        Ok(body) => {
            // A poll may have waited since before the client was authenticated, and fetch the first packets sent to it.
            if let Some(outbox) = outbox.or_else(|| outboxes.get(session?)) {
                outbox.took(body.split(|byte| *byte == SEPARATOR).filter(|packet| is_counted(packet)).count());
            }
            let body = split.split(&sid, body.into());
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
    fn a_long_response_comes_in_parts_of_sixteen_and_in_order() {
        let split = SplitResponses::default();
        let mut parts = vec![split.split("a", packets(40))];
        while let Some(part) = split.take("a") {
            parts.push(part);
        }
        let sizes: Vec<_> = parts.iter().map(|part| part.split(|byte| *byte == SEPARATOR).count()).collect();
        assert_eq!(sizes, [16, 16, 8]);
        assert_eq!(parts.join(&SEPARATOR), packets(40));
        assert_eq!(split.take("a"), None);
    }

    #[tokio::test]
    async fn packets_count_as_fetched_by_a_poll_that_waited_since_before_the_authentication() {
        let (sid, outboxes) = (ConnectionId::parse("0123456789abcdef").unwrap(), Outboxes::default());
        let in_transport = outboxes.clone();
        let let_in = move || async move {
            in_transport.of(sid).admit(1);
            "42[\"session\",{}]"
        };
        let polling = from_fn_with_state(Polling::new(outboxes.clone()), split_long_responses);
        let mut routes = Router::new().route("/", get(let_in)).layer(polling);
        let poll = Request::get(format!("/?transport=polling&sid={sid}")).body(Body::empty()).unwrap();
        assert_eq!(routes.call(poll).await.unwrap().status(), StatusCode::OK);
        assert!(!outboxes.of(sid).holds_something());
    }

    #[tokio::test]
    async fn an_upgrade_waits_until_all_parts_were_fetched_and_loses_nothing_after_that() {
        let split = SplitResponses::default();
        split.split("a", packets(20));
        let upgrade = tokio::spawn({
            let split = split.clone();
            async move { split.begin_upgrade("a").await }
        });
        tokio::task::yield_now().await;
        assert!(!upgrade.is_finished());
        assert!(split.take("a").is_some());
        upgrade.await.unwrap();
        assert_eq!(split.split("a", packets(40)), packets(40));
    }
}
