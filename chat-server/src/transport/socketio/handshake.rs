//! From a connection to a client: authentication, and the queueing of what the client sends.
//!
//! socketioxide runs every asynchronous handler as a task of its own, which would lose the order in which a client sent
//! its requests. So one handler for all events only queues them; one worker a client serves them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{State, StateNotFound};
use socketioxide::handler::{ConnectHandler, FromConnectParts, MessageHandler};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{ParserConfig, SocketIo};
use socketioxide_core::Value;
use tower::Layer;

use super::arrivals::Start;
use super::auth::Auth;
use super::client::Client;
use super::connection::Connection;
use super::context::Context;
use super::guest::NewGuest;
use super::outbox::Outbox;
use super::polling::query;
use super::protocol::Packet;
use super::upgrade::{SocketService, UPGRADE_TIMEOUT};
use super::{outbox, revocation, worker};
use crate::delivery::Outlet;
use crate::domain::address::Stranger;
use crate::domain::error::Code;
use crate::domain::id::ConnectionId;
use crate::observability::metrics::Ended;
use crate::service::identity::{Credentials, Identity, SessionError};

/// How often a ping goes to each client. Both sides take each other for gone when nothing came for
/// this and [`PING_TIMEOUT`].
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long its answer may take: a client that reads nothing for half a minute is still kept.
pub const PING_TIMEOUT: Duration = Duration::from_secs(40);
/// How often the expiry of open sessions is put off.
const KEEP_ALIVE: Duration = Duration::from_secs(6 * 3600);
/// How long a connection may take to become a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection waits for a store that is in trouble.
const TROUBLE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Sets up Socket.IO for a node. The handle closes everything.
pub fn build(context: Arc<Context>) -> (SocketService, SocketIo) {
    let limits = context.limits;
    let (layer, io) = SocketIo::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .upgrade_timeout(UPGRADE_TIMEOUT)
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

/// Authenticates a client before it is told that it is connected. What it sends from then on is queued from here on.
async fn authenticate(Shared(context, socket): Shared, RawAuth(auth): RawAuth) -> Result<(), Word> {
    let Auth { credentials, positions } = Auth::parse(auth.as_deref()).map_err(|refusal| Word(refusal.code))?;
    let id = ConnectionId::parse(socket.id.as_str()).ok_or(Word(Code::Unavailable))?;
    let outbox = context.outboxes.of(id);
    if let Some(connection) = own_connection(&socket) {
        outbox.connected(connection);
    }
    let mut identity = match identify(&context, credentials, &outbox).await {
        Ok(identity) => identity,
        Err(word) => {
            context.outboxes.release(id);
            return Err(word);
        }
    };
    let stranger = socket.req_parts().extensions.get::<Stranger>().copied().unwrap_or_default();
    let guest = NewGuest::new(identity.unstored.take(), stranger);
    let resume = std::mem::take(&mut identity.resume);
    // The transport's own word that the socket is connected, which comes next, is before all of ours.
    outbox.admit(0);
    let client = Arc::new(Client::new(id, identity, guest, &socket, outbox, context.answers.clone()));
    socket.on_fallback(Inbox { context: context.clone(), client: client.clone() });
    let (on_close, its_context) = (client.clone(), context.clone());
    socket.on_disconnect(async move |reason: DisconnectReason| {
        worker::close(&its_context, &on_close, ended(&on_close, reason));
    });
    context.arrivals.insert(Start { client, positions, resume });
    Ok(())
}

/// The connection of a socket that began as a WebSocket.
fn own_connection(socket: &Socket) -> Option<Connection> {
    let request = socket.req_parts();
    let polls = query(&request.uri, "transport").as_deref() != Some("websocket");
    let ConnectInfo(connection) = request.extensions.get::<ConnectInfo<Connection>>().filter(|_| !polls)?;
    Some(connection.clone())
}

/// A refusal would stop a stock client for good, so an unavailable store is waited for. A connection that does not become
/// a session in [`CONNECT_TIMEOUT`] is closed, which clients answer by trying again; sooner where the store is known to be
/// in trouble, so that the next handshake tells the client.
async fn identify(context: &Context, credentials: Credentials, outbox: &Outbox) -> Result<Identity, Word> {
    let begun = tokio::time::Instant::now();
    let until = begun + CONNECT_TIMEOUT * 2;
    loop {
        match context.sessions.authenticate(credentials.clone()).await {
            Ok(identity) => return Ok(identity),
            Err(SessionError::Unauthenticated | SessionError::Revoked(_)) => return Err(Word(Code::Unauthenticated)),
            Err(SessionError::Store(error)) if tokio::time::Instant::now() > until => {
                tracing::warn!(%error, "a connection could not become a session");
                return Err(Word(Code::Unavailable));
            }
            Err(SessionError::Store(_))
                if begun.elapsed() > TROUBLE_TIMEOUT && context.stores.health.trouble().is_some() =>
            {
                outbox.hand_over();
                // The transport ends first: the client must not hear the refusal.
                tokio::time::sleep(CONNECT_TIMEOUT).await;
                return Err(Word(Code::Unavailable));
            }
            Err(SessionError::Store(_)) => tokio::time::sleep(worker::RETRY).await,
        }
    }
}

async fn connected(Shared(context, socket): Shared) {
    let id = ConnectionId::parse(socket.id.as_str());
    if let Some(start) = id.and_then(|id| context.arrivals.take(id)) {
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
        DisconnectReason::ServerNSDisconnect => Ended::Revoked,
        DisconnectReason::ClosingServer => Ended::Stopped,
        DisconnectReason::TransportError
        | DisconnectReason::PacketParsingError
        | DisconnectReason::MultipleHttpPollingError => Ended::Broken,
    }
}

/// Puts off the expiry of all open sessions and their guests, one after the other, until the task is dropped.
pub async fn keep_sessions(context: Arc<Context>) {
    loop {
        tokio::time::sleep(KEEP_ALIVE).await;
        for client in context.clients.all() {
            let Identity { session, user, .. } = &client.identity;
            match context.sessions.keep_alive(session, &user.id, client.guest.unstored().as_ref()).await {
                Ok(()) => {}
                Err(SessionError::Revoked(reason)) => revocation::end(&client, reason),
                Err(error) => tracing::debug!(%error, "the expiry of a session could not be put off"),
            }
        }
    }
}

/// Queues the requests of a client in their order: the transport calls this before it reads on. Dropped with the socket.
struct Inbox {
    context: Arc<Context>,
    client: Arc<Client>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let Self { context, client } = self;
        // The transport does not tell of the end of a socket that went before it was connected.
        if context.arrivals.forget(client) {
            context.outboxes.release(client.id());
        }
    }
}

impl MessageHandler<LocalAdapter, ()> for Inbox {
    fn call(&self, _: Arc<Socket>, value: Value, ack: Option<i64>) {
        let Self { context, client } = self;
        if let Value::Str(text, attachments) = value {
            context.batching.note_input();
            let request = Packet::parse(&text, attachments.is_some());
            worker::wake(context, client, client.jobs.request(request, ack, text.len()));
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
    use crate::delivery::{Batching, BusHandler, Hub, Router as BusRouter, Shared as FeedShared};
    use crate::domain::id::{NodeId, UserId};
    use crate::domain::rate_limit::Rates;
    use crate::observability::metrics::Metrics;
    use crate::observability::store_clock::StoreClock;
    use crate::observability::traces::Traces;
    use crate::service::actor::Actor;
    use crate::service::analytics::Analytics;
    use crate::service::identity::Sessions;
    use crate::service::messages::Messages;
    use crate::service::presence::Presence;
    use crate::service::recovery::Recovery;
    use crate::service::reserve::Reserve;
    use crate::service::rooms::Rooms;
    use crate::store::memory::MemoryStore;
    use crate::store::{Notice, Retention, Stores, Topic};
    use crate::transport::socketio::answers::Answers;
    use crate::transport::socketio::arrivals::Arrivals;
    use crate::transport::socketio::clients::Clients;
    use crate::transport::socketio::context::Limits;
    use crate::transport::socketio::event;
    use crate::transport::socketio::outbox::Outboxes;
    use crate::transport::socketio::strangers::Strangers;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn context() -> Arc<Context> {
        let (store, bus) = MemoryStore::new(Retention { max_entries: 10, max_age_ms: 0 });
        let stores = Stores::new(Arc::new(store));
        let (node, metrics) = (NodeId::parse("n").unwrap(), Metrics::new().unwrap());
        let (rooms, batching) = (Rooms::new(&stores), Batching::default());
        let hub = Hub::new(FeedShared {
            log: stores.log.clone(),
            bus: stores.bus.clone(),
            metrics: metrics.clone(),
            clock: StoreClock::default(),
            batching: batching.clone(),
            encode: event::encode,
        });
        let analytics = Analytics::new(&stores, node.clone());
        let unlimited = Rates::UNLIMITED.message;
        tokio::spawn(BusRouter::new(hub.clone(), Traces::default(), Ignore).run(bus));
        Arc::new(Context {
            limits: Limits { max_message_bytes: 100, max_payload: 1000, rates: Rates::UNLIMITED },
            sessions: Sessions::new(&stores, Vec::new()),
            presence: Presence::new(&stores, rooms.clone(), node.clone()),
            messages: Messages::new(&stores, rooms.clone(), analytics.clone(), metrics.clone(), 100),
            recovery: Recovery::new(&stores),
            analytics,
            answers: Answers::new(batching.clone()),
            clients: Clients::new(stores.bus.clone(), metrics.clone(), Rates::UNLIMITED),
            arrivals: Arrivals::default(),
            reserve: Reserve::default(),
            strangers: Strangers::new(unlimited, unlimited),
            outboxes: Outboxes::default(),
            traces: Traces::default(),
            lifecycle: Arc::default(),
            batching,
            node,
            stores,
            rooms,
            hub,
            metrics,
        })
    }

    struct Ignore;

    impl BusHandler for Ignore {
        fn notice(&self, _: &UserId, _: Notice) {}
        fn probe(&self, _: &Topic, _: &str) {}
        fn interrupted(&self) {}
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
        assert_eq!(context.clients.count(), 0);
    }

    /// No notice comes through to [`Ignore`].
    #[tokio::test]
    async fn a_socket_whose_session_was_revoked_is_closed_though_the_notice_was_lost() {
        let context = context();
        context.rooms.ensure_lobby().await.unwrap();
        let (service, _io) = build(context.clone());
        let (ours, theirs) = tokio::io::duplex(4096);
        let request = axum::http::Request::get("/socket.io/?EIO=4&transport=websocket").body(()).unwrap();
        Service::call(&mut service.clone(), (ours, request)).await.unwrap();
        let mut client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        client.send(Message::text("40{\"name\":\"Ada\"}")).await.unwrap();
        while !client.next().await.unwrap().unwrap().to_text().unwrap().contains("\"session\"") {}

        let identity = context.clients.all()[0].identity.clone();
        let actor = Actor::unlimited((*identity.user).clone());
        context.sessions.revoke(&actor, &identity.session, &identity.session).await.unwrap();
        let task = tokio::spawn(revocation::end_revoked(context.clone()));
        let mut heard = Vec::new();
        while let Some(Ok(message)) = client.next().await {
            heard.push(message.to_string());
            if heard.last().is_some_and(|said| said == "41") {
                break;
            }
        }
        let told = heard.iter().rev().nth(1).expect("a word before the goodbye");
        assert!(told.contains("session:revoked") && told.contains("requested"), "{heard:?}");
        let gone = async {
            while context.clients.count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("the socket is there still");
        task.abort();
    }
}
