//! Socket.IO: what a client says is read here, handed on, and answered.
//!
//! socketioxide runs every asynchronous handler as a task of its own, which would lose the order in
//! which a socket sent its requests. So one handler for all events only queues them; one worker a
//! socket does the work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::ConnectInfo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{State, StateNotFound};
use socketioxide::handler::{ConnectHandler, FromConnectParts, MessageHandler};
use socketioxide::service::SocketIoService;
use socketioxide::socket::{DisconnectReason, Sid, Socket};
use socketioxide::{ParserConfig, SocketIo};
use socketioxide_core::Value;
use tower::Layer;

use crate::delivery::{Hub, Outlet};
use crate::domain::error::Code;
use crate::domain::id::{NodeId, RoomId};
use crate::domain::position::{Millis, Offset, Position};
use crate::domain::rate_limit::Rate;
use crate::node::lifecycle::Lifecycle;
use crate::observability::metrics::{Ended, Metrics};
use crate::observability::traces::Traces;
use crate::service::analytics::Analytics;
use crate::service::identity::{Credentials, Identity, SessionError, Sessions};
use crate::service::presence::Presence;
use crate::service::rooms::Rooms;
use crate::store::Stores;
use crate::transport::socketio::connection::Connection;
use auth::Auth;
use client::Client;
use outbox::Outboxes;
use protocol::Request;

mod auth;
pub mod client;
mod connect;
pub mod connection;
pub mod event;
pub mod handover;
mod jobs;
mod messages;
pub mod outbox;
#[doc(hidden)]
pub mod parsers;
pub mod polling;
mod protocol;
mod rooms;
mod typing;
pub mod upgrade;
mod worker;

/// How often a ping goes to each client. Both sides take each other for gone when nothing came for
/// this and [`PING_TIMEOUT`].
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long its answer may take: a client that reads nothing for half a minute is still kept.
pub const PING_TIMEOUT: Duration = Duration::from_secs(40);
/// How often the lives of open sessions are prolonged.
const KEEP_ALIVE: Duration = Duration::from_secs(6 * 3600);
/// How long a connection may take to become a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest text, in bytes of UTF-8.
    pub max_message_bytes: usize,
    /// Largest packet, in bytes.
    pub max_payload: usize,
    /// How often one user may send on this node.
    pub rate: Rate,
}

/// What the handlers of all sockets of a node share.
pub struct Context {
    /// The node's name.
    pub node: NodeId,
    /// What a client may send.
    pub limits: Limits,
    /// The bus and the store.
    pub stores: Stores,
    /// Who is who.
    pub sessions: Sessions,
    /// What happens in rooms.
    pub rooms: Rooms,
    /// Who is there.
    pub presence: Presence,
    /// The way to the sockets.
    pub hub: Hub,
    /// Those that are about to begin.
    pub arrivals: Arrivals,
    /// What waits for each of them.
    pub outboxes: Outboxes,
    /// What goes on, for those who run the chat.
    pub analytics: Analytics,
    /// What is counted.
    pub metrics: Metrics,
    /// What is followed.
    pub traces: Traces,
    /// Where the node is in its life.
    pub lifecycle: Arc<Lifecycle>,
}

impl Context {
    /// The node's clock. Only for rates and for telling clients how far theirs is off; what is
    /// stored has the broker's time.
    #[must_use]
    pub fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }
}

/// An answer that is to be sent before a room's events begin to flow.
struct After {
    answer: serde_json::Value,
    then: Then,
}

/// What follows an answer.
enum Then {
    /// Nothing.
    Nothing,
    /// The events of a room begin, after this position.
    Hear(RoomId, Position),
    /// `room:added` says where the events of a room begin; the offset is that of the joining.
    Added(RoomId, Offset),
}

/// What serves `/socket.io/`.
pub type SocketService = SocketIoService<Router>;

/// Sets up Socket.IO for a node. The handle closes everything.
pub fn build(context: Arc<Context>) -> (SocketService, SocketIo) {
    let limits = context.limits;
    let (layer, io) = SocketIo::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .upgrade_timeout(upgrade::UPGRADE_TIMEOUT)
        .max_buffer_size(outbox::TRANSPORT_QUEUE)
        .max_payload(limits.max_payload as u64)
        .ws_max_message_size(limits.max_payload)
        .ws_max_frame_size(limits.max_payload)
        // A connection reads more at a time and keeps the rest; this is there for as long as the connection.
        .ws_read_buffer_size(128)
        // Bytes are refused with an answer; these bounds are for those who send them all the same.
        .with_parser(ParserConfig::common().max_incoming_binaries(16).max_incoming_binary_buf_size(limits.max_payload))
        .with_state(context)
        .build_layer();
    io.ns("/", connected.with(authenticate));
    (layer.layer(Router::new()), io)
}

/// The node's context and the socket itself, for the connect handlers.
struct Shared(Arc<Context>, Arc<Socket>);

impl FromConnectParts<LocalAdapter> for Shared {
    type Error = StateNotFound<Arc<Context>>;

    fn from_connect_parts(socket: &Arc<Socket>, auth: &Option<Value>) -> Result<Self, Self::Error> {
        let State(context) = State::from_connect_parts(socket, auth)?;
        Ok(Self(context, socket.clone()))
    }
}

/// The `auth` as the client sent it. Never refuses, so that what is wrong is told in our words.
struct RawAuth(Option<String>);

impl FromConnectParts<LocalAdapter> for RawAuth {
    type Error = std::convert::Infallible;

    fn from_connect_parts(_: &Arc<Socket>, auth: &Option<Value>) -> Result<Self, Self::Error> {
        Ok(Self(auth.as_ref().and_then(Value::as_str).map(|text| text.to_string())))
    }
}

/// A code as the message of a CONNECT_ERROR.
struct Word(Code);

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Sockets that were let in and wait for their first worker.
#[derive(Default)]
pub struct Arrivals(Mutex<HashMap<Sid, worker::Start>>);

impl Arrivals {
    fn insert(&self, sid: Sid, start: worker::Start) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(sid, start);
    }

    fn take(&self, sid: Sid) -> Option<worker::Start> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&sid)
    }

    /// Lets go of a socket that will not begin; false if it did.
    fn forget(&self, client: &Client) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = all.get(&client.id()).is_some_and(|start| std::ptr::eq(&*start.client, client));
        waits && all.remove(&client.id()).is_some()
    }
}

/// Finds out who connects, before the client is told that it is connected. What it sends from
/// then on is queued from here on.
async fn authenticate(Shared(context, socket): Shared, RawAuth(auth): RawAuth) -> Result<(), Word> {
    let Auth { credentials, positions } = Auth::parse(auth.as_deref()).map_err(|refusal| Word(refusal.code))?;
    let mut identity = identify(&context, credentials).await?;
    let resume = std::mem::take(&mut identity.resume);
    let outbox = context.outboxes.of(socket.id);
    if let Some(connection) = own_connection(&socket) {
        outbox.connected(connection);
    }
    // The transport's own word that the socket is connected, which comes next, is before all of ours.
    outbox.admit(0);
    let client = Arc::new(Client::new(context, identity, &socket, outbox));
    socket.on_fallback(Inbox(client.clone()));
    let on_close = client.clone();
    socket.on_disconnect(async move |reason: DisconnectReason| closed(&on_close, ended(&on_close, reason)));
    client.context.arrivals.insert(socket.id, worker::Start { client: client.clone(), positions, resume });
    Ok(())
}

/// The connection of a socket that began as a WebSocket.
fn own_connection(socket: &Socket) -> Option<Connection> {
    let request = socket.req_parts();
    let polls = polling::query(&request.uri, "transport").as_deref() != Some("websocket");
    let ConnectInfo(connection) = request.extensions.get::<ConnectInfo<Connection>>().filter(|_| !polls)?;
    Some(connection.clone())
}

/// A refusal would stop a stock client for good, so a broker that is away is waited for. A
/// connection that does not become a session in [`CONNECT_TIMEOUT`] is closed, which clients
/// answer by trying again.
async fn identify(context: &Context, credentials: Credentials) -> Result<Identity, Word> {
    let until = tokio::time::Instant::now() + CONNECT_TIMEOUT * 2;
    loop {
        match context.sessions.authenticate(credentials.clone()).await {
            Ok(identity) => return Ok(identity),
            Err(SessionError::Unauthenticated) => return Err(Word(Code::Unauthenticated)),
            Err(SessionError::Store(error)) if tokio::time::Instant::now() > until => {
                tracing::warn!(%error, "a connection could not become a session");
                return Err(Word(Code::Unavailable));
            }
            Err(SessionError::Store(_)) => tokio::time::sleep(worker::RETRY).await,
        }
    }
}

async fn connected(Shared(context, socket): Shared) {
    if let Some(start) = context.arrivals.take(socket.id) {
        worker::run(&context, start).await;
    }
}

/// Why a socket ended, as far as the node knows.
fn ended(client: &Client, reason: DisconnectReason) -> Ended {
    match reason {
        DisconnectReason::ClientNSDisconnect => Ended::Left,
        _ if client.is_handed_over() => Ended::HandedOver,
        DisconnectReason::TransportClose => Ended::Closed,
        DisconnectReason::HeartbeatTimeout => Ended::Silent,
        DisconnectReason::ServerNSDisconnect | DisconnectReason::ClosingServer => Ended::Stopped,
        DisconnectReason::TransportError
        | DisconnectReason::PacketParsingError
        | DisconnectReason::MultipleHttpPollingError => Ended::Broken,
    }
}

fn closed(client: &Arc<Client>, why: Ended) {
    let context = &client.context;
    client.close();
    context.outboxes.remove(client.id());
    if context.hub.remove(client) {
        context.metrics.sockets_ended.of(why).inc();
        context.presence.went(&client.identity.user.id);
    }
}

/// Puts off the ends of all open sessions and their guests, one after the other, until the task is dropped.
pub async fn keep_sessions(context: Arc<Context>) {
    loop {
        tokio::time::sleep(KEEP_ALIVE).await;
        for client in context.hub.clients() {
            let Identity { session, user, .. } = &client.identity;
            if let Err(error) = context.sessions.keep_alive(session, &user.id).await {
                tracing::debug!(%error, "a session could not be prolonged");
            }
        }
    }
}

/// Queues what a socket asks for, in the order in which it does: the transport calls this before it reads on. It goes with
/// the socket.
struct Inbox(Arc<Client>);

impl Drop for Inbox {
    fn drop(&mut self) {
        let Self(client) = self;
        // The transport does not tell of the end of one that went before it was connected.
        if client.context.arrivals.forget(client) {
            client.context.outboxes.remove(client.id());
        }
    }
}

impl MessageHandler<LocalAdapter, ()> for Inbox {
    fn call(&self, _: Arc<Socket>, value: Value, ack: Option<i64>) {
        if let Value::Str(text, attachments) = value {
            self.0.enqueue(Request::parse(&text, attachments.is_some()), ack, text.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;
    use tower::Service;

    use super::*;
    use crate::store::Retention;
    use crate::store::memory::MemoryStore;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn context() -> Arc<Context> {
        let (store, bus) = MemoryStore::new(Retention { max_entries: 10, max_age_ms: 0 });
        let stores = Stores::new(Arc::new(store));
        let rate = Rate { per_second: 0, burst: 0 };
        let (node, metrics) = (NodeId::parse("n").unwrap(), Metrics::new().unwrap());
        let (rooms, hub) =
            (Rooms::new(&stores), Hub::new(node.clone(), &stores, metrics.clone(), Traces::default(), rate));
        tokio::spawn(hub.clone().run(bus));
        Arc::new(Context {
            limits: Limits { max_message_bytes: 100, max_payload: 1000, rate },
            sessions: Sessions::new(&stores, Vec::new()),
            presence: Presence::new(&stores, rooms.clone(), node.clone()),
            analytics: Analytics::new(&stores, node.clone()),
            arrivals: Arrivals::default(),
            outboxes: Outboxes::default(),
            traces: Traces::default(),
            lifecycle: Arc::default(),
            node,
            stores,
            rooms,
            hub,
            metrics,
        })
    }

    /// A client that connects and goes at once, or after it heard that its session is open.
    async fn visit(service: &SocketService, stays: bool) {
        let (ours, theirs) = tokio::io::duplex(4096);
        let request = axum::http::Request::get("/socket.io/?EIO=4&transport=websocket").body(()).unwrap();
        Service::call(&mut service.clone(), (ours, request)).await.unwrap();
        let mut client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        client.send(Message::text("40{\"name\":\"Ada\"}")).await.unwrap();
        while stays && !client.next().await.unwrap().unwrap().to_text().unwrap().contains("\"session\"") {}
    }

    #[tokio::test]
    async fn nothing_is_left_of_sockets_that_went() {
        let context = context();
        context.rooms.ensure_lobby().await.unwrap();
        let (service, _io) = build(context.clone());
        let before = Arc::strong_count(&context);
        for visitor in 0..20 {
            visit(&service, visitor % 2 == 0).await;
        }
        // Each client of a socket holds it.
        let gone = async {
            while Arc::strong_count(&context) > before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("a socket was kept");
        assert_eq!(context.hub.sockets(), 0);
    }
}
