//! Long-polling responses of a size that every client takes.
//!
//! python-engineio refuses a response of more than 16 packets and drops the connection, while the transport puts all that
//! waits into one response. The packets above 16 are kept here for the next polls.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::connection::frame::is_counted;
use super::engine_error::EngineError;
use super::outbox::polls::Interruption;
use super::outbox::{Outbox, Outboxes};
use crate::domain::id::ConnectionId;

/// The most packets of a response.
const MAX_PACKETS: usize = 16;
/// Between two packets of a response.
pub(super) const SEPARATOR: u8 = 0x1e;
/// The packet by which a client closes its session.
const ENGINE_CLOSE: &str = "1";
/// The packet that ends a poll and says nothing.
const ENGINE_NOOP: &str = "6";
/// Packets that were not fetched in this time belong to a session that is gone.
const STALE: Duration = Duration::from_secs(60);
/// How often such packets are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(5);
/// The most bytes of the packet that opens a session.
const MAX_OPEN_PACKET: usize = 4096;

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

/// A session that polls, in a request to change to a WebSocket.
#[derive(Clone)]
pub(super) struct PollingSession {
    sid: ConnectionId,
    pub(super) outbox: Arc<Outbox>,
    split: SplitResponses,
}

impl PollingSession {
    /// The parts of responses that were not fetched, in their order.
    pub(super) fn take_parts(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.split.take(self.sid)).collect()
    }
}

/// The later parts of responses that were split, by session.
#[derive(Clone, Default)]
struct SplitResponses(Arc<Mutex<Parts>>);

#[derive(Default)]
struct Parts {
    /// The parts of a session, and since when they wait.
    waiting: HashMap<ConnectionId, (VecDeque<Vec<u8>>, Instant)>,
    /// When those of sessions that are gone were forgotten.
    purged: Option<Instant>,
}

impl SplitResponses {
    fn with<T>(&self, act: impl FnOnce(&mut Parts) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, sid: ConnectionId) -> Option<Vec<u8>> {
        self.with(|parts| {
            let (waiting, _) = parts.waiting.get_mut(&sid)?;
            let next = waiting.pop_front();
            if waiting.is_empty() {
                parts.waiting.remove(&sid);
            }
            next
        })
    }

    /// Keeps all but the first part of a response, which is returned.
    fn split(&self, sid: ConnectionId, body: Vec<u8>) -> Vec<u8> {
        let packets: Vec<&[u8]> = body.split(|byte| *byte == SEPARATOR).collect();
        if packets.len() <= MAX_PACKETS {
            return body;
        }
        let mut chunks: VecDeque<Vec<u8>> = packets.chunks(MAX_PACKETS).map(|chunk| chunk.join(&SEPARATOR)).collect();
        let first = chunks.pop_front().unwrap_or_default();
        self.with(|parts| parts.waiting.insert(sid, (chunks, Instant::now())));
        first
    }

    fn forget(&self, sid: ConnectionId) {
        self.with(|parts| parts.waiting.remove(&sid));
    }

    /// Forgets from time to time what belongs to sessions that are gone.
    fn forget_stale(&self) {
        self.with(|parts| {
            if parts.purged.is_some_and(|purged| purged.elapsed() < PURGE_EVERY) {
                return;
            }
            parts.purged = Some(Instant::now());
            parts.waiting.retain(|_, (_, since)| since.elapsed() < STALE);
        });
    }
}

/// Answers requests of sessions that poll: splits long responses, and knows which sessions there are. A layer around the
/// Socket.IO service.
pub async fn serve_polling(State(polling): State<Polling>, mut request: Request, next: Next) -> Response {
    let Some(sid) = query(request.uri(), "sid") else { return open_session(&polling, request, next).await };
    // Nothing is kept for a session that is not open: anyone can make one up.
    let session = ConnectionId::parse(&sid).and_then(|sid| Some((sid, polling.outboxes.get(sid)?)));
    let Some((sid, outbox)) = session else { return EngineError::UnknownSession.into_response() };
    if query(request.uri(), "transport").as_deref() == Some("websocket") {
        request.extensions_mut().insert(PollingSession { sid, outbox, split: polling.split });
        return next.run(request).await;
    }
    if outbox.is_handed_over() {
        return end(request.uri().clone(), next).await;
    }
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    poll(&polling.split, (sid, &outbox), request, next).await
}

/// A handshake over polling: its session is known from here on, as an upgrade may come before its client is let in.
async fn open_session(polling: &Polling, request: Request, next: Next) -> Response {
    let polls = query(request.uri(), "transport").as_deref() == Some("polling") && request.method() == Method::GET;
    let response = next.run(request).await;
    if !polls || response.status() != StatusCode::OK {
        return response;
    }
    polling.split.forget_stale();
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_OPEN_PACKET).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if let Some(sid) = opened(&body) {
        polling.outboxes.of(sid);
    }
    Response::from_parts(parts, Body::from(body))
}

/// The session of an open packet.
fn opened(packet: &[u8]) -> Option<ConnectionId> {
    #[derive(serde::Deserialize)]
    struct Open {
        sid: String,
    }
    let open: Open = serde_json::from_slice(packet.strip_prefix(b"0")?).ok()?;
    ConnectionId::parse(&open.sid)
}

/// Answers a poll, with a part of an earlier response if there is one.
async fn poll(
    split: &SplitResponses,
    (sid, outbox): (ConnectionId, &Outbox),
    request: Request,
    next: Next,
) -> Response {
    let Some(_counted) = outbox.begin_poll() else { return text(ENGINE_NOOP) };
    if let Some(part) = split.take(sid) {
        return text(part);
    }
    let uri = request.uri().clone();
    let response = tokio::select! {
        // Packets that wait are sent first.
        biased;
        response = next.clone().run(request) => response,
        why = outbox.interruption() => return match why {
            Interruption::HandedOver => end(uri, next).await,
            Interruption::Upgrade => text(ENGINE_NOOP),
        },
    };
    if response.status() != StatusCode::OK {
        split.forget(sid);
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The transport bounds its own answers, by `max_payload`.
    match to_bytes(body, usize::MAX).await {
        Ok(body) => {
            outbox.took(body.split(|byte| *byte == SEPARATOR).filter(|packet| is_counted(packet)).count());
            let body = split.split(sid, body.into());
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(body))
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A payload of packets that are text.
fn text(payload: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], payload.into()).into_response()
}

/// Refuses a poll of a session that was handed over, which a stock client takes as a reason to connect
/// anew, and closes the session in its place: it would last until its heartbeat fails.
async fn end(uri: Uri, next: Next) -> Response {
    let mut close = Request::new(Body::from(ENGINE_CLOSE));
    *close.method_mut() = Method::POST;
    *close.uri_mut() = uri;
    next.run(close).await;
    EngineError::UnknownSession.into_response()
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

    const SID: &str = "0123456789abcdef";

    fn sid() -> ConnectionId {
        ConnectionId::parse(SID).unwrap()
    }

    fn packets(count: usize) -> Vec<u8> {
        (0..count).map(|n| format!("4{n}")).collect::<Vec<_>>().join("\u{1e}").into_bytes()
    }

    #[test]
    fn a_long_response_comes_in_parts_of_sixteen_and_in_order() {
        let split = SplitResponses::default();
        let mut parts = vec![split.split(sid(), packets(40))];
        while let Some(part) = split.take(sid()) {
            parts.push(part);
        }
        let sizes: Vec<_> = parts.iter().map(|part| part.split(|byte| *byte == SEPARATOR).count()).collect();
        assert_eq!(sizes, [16, 16, 8]);
        assert_eq!(parts.join(&SEPARATOR), packets(40));
        assert_eq!(split.take(sid()), None);
    }

    /// The layer around a transport that answers each request with `answer`.
    fn around(outboxes: &Outboxes, answer: &'static str) -> Router {
        let layer = from_fn_with_state(Polling::new(outboxes.clone()), serve_polling);
        Router::new().route("/", get(move || async move { answer })).layer(layer)
    }

    async fn status(routes: &mut Router, address: &str) -> StatusCode {
        routes.call(Request::get(address).body(Body::empty()).unwrap()).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_session_is_known_from_its_handshake_on() {
        let outboxes = Outboxes::default();
        let mut routes = around(&outboxes, "0{\"sid\":\"0123456789abcdef\",\"upgrades\":[]}");
        let poll = format!("/?transport=polling&sid={SID}");
        assert_eq!(status(&mut routes, &poll).await, StatusCode::BAD_REQUEST);
        assert_eq!(status(&mut routes, "/?transport=polling").await, StatusCode::OK);
        assert_eq!(status(&mut routes, &poll).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn nothing_is_kept_for_sessions_that_are_not_open() {
        let outboxes = Outboxes::default();
        let polling = Polling::new(outboxes.clone());
        let layer = from_fn_with_state(polling.clone(), serve_polling);
        let mut routes = Router::new().route("/", get(|| async { "6" })).layer(layer);
        for sid in [SID, "x", &"x".repeat(60_000)] {
            for transport in ["websocket", "polling"] {
                let address = format!("/?EIO=4&transport={transport}&sid={sid}");
                assert_eq!(status(&mut routes, &address).await, StatusCode::BAD_REQUEST);
            }
        }
        assert_eq!(outboxes.count(), 0);
        polling.split.with(|parts| assert!(parts.waiting.is_empty()));
    }

    #[tokio::test]
    async fn packets_of_a_poll_count_as_fetched() {
        let outboxes = Outboxes::default();
        outboxes.of(sid()).admit(1);
        let mut routes = around(&outboxes, "42[\"session\",{}]");
        assert_eq!(status(&mut routes, &format!("/?transport=polling&sid={SID}")).await, StatusCode::OK);
        assert!(!outboxes.of(sid()).holds_something());
    }
}
