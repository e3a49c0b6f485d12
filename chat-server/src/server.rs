//! A node, put together: its broker, its sockets, its two ports, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::serve::ListenerExt;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::broker::memory::MemoryBroker;
use crate::broker::redis::{RedisBroker, RedisConfig};
use crate::broker::{Broker, BrokerError, Heard};
use crate::config::Config;
use crate::domain::id::NodeId;
use crate::http::{gate, health, web};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::room::Rooms;
use crate::session::{Sessions, new_id};
use crate::socket::deliver::Hub;
use crate::socket::{self, Context, Limits, PING_INTERVAL, PING_TIMEOUT, polling};

/// How long the node waits for requests under way when it stops.
const FINISH: Duration = Duration::from_secs(5);
/// How long no request may have come before the node believes that none is on its way any more:
/// clients send until they hear that the node stops.
const QUIET: Duration = Duration::from_millis(500);
/// How long it waits for the transports to close.
const CLOSE: Duration = Duration::from_secs(5);
/// Over how long the clients of a node that stops come back elsewhere, in milliseconds.
const RECONNECT_SPREAD_MS: u64 = 2_000;
/// How often a broker that is away at the start is tried again.
const START_RETRY: Duration = Duration::from_millis(500);
/// How much the kernel keeps for a client that does not read, in bytes.
const SEND_BUFFER: usize = 256 * 1024;

/// Why a node could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The broker's address can't be used, or a name could not be made.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A name was counted twice.
    #[error("failed to register the metrics")]
    Metrics(#[from] prometheus::Error),
    /// A port failed.
    #[error("failed to serve")]
    Serve(#[from] std::io::Error),
}

/// Runs a node on the given ports until `shutdown` ends, then lets its clients go and returns.
///
/// # Errors
/// See [`ServerError`]. A broker that is away is none: the node waits for it.
pub async fn run(
    config: Config,
    listener: TcpListener,
    admin: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    let node = match config.node_id.clone() {
        Some(node) => node,
        None => NodeId::parse(&new_id("n")?).map_err(|error| BrokerError::Corrupt(error.to_string()))?,
    };
    let (broker, bus) = open_broker(&config).await?;
    let metrics = Metrics::new()?;
    let lifecycle = Arc::new(Lifecycle::default());
    let context = Arc::new(context(&config, node.clone(), broker.clone(), metrics.clone(), lifecycle.clone()));
    let (layer, io) = socket::build(context.clone());

    let hub = tokio::spawn(context.hub.clone().run(bus));
    let presence = tokio::spawn(context.presence.clone().run());
    let preparing = tokio::spawn(prepare(context.clone()));

    let origins = Arc::new(gate::Origins::new(config.allowed_origins.clone(), config.trusted_proxies.clone()));
    let gate = gate::Gate {
        lifecycle: lifecycle.clone(),
        broker,
        metrics: metrics.clone(),
        origins: origins.clone(),
        sockets: Arc::new({
            let hub = context.hub.clone();
            move || hub.sockets()
        }),
        max_connections: config.max_connections,
    };
    let sockets = ServiceBuilder::new()
        .layer(gate::cors(origins))
        .layer(from_fn_with_state(gate, gate::guard))
        .layer(from_fn_with_state(polling::Leftovers::default(), polling::split_long_answers))
        .layer(layer);
    let public = Router::new()
        .route("/socket.io/", axum::routing::any(async || axum::http::StatusCode::NOT_FOUND))
        .layer(sockets)
        .fallback_service(Router::new().fallback(web::page).layer(CompressionLayer::new()))
        .layer(CatchPanicLayer::new())
        .layer(map_response(async |mut response: axum::response::Response| {
            response.headers_mut().remove(axum::http::header::SERVER);
            response
        }));

    tracing::info!(
        node = %node,
        listen = %listener.local_addr()?,
        adminListen = %admin.local_addr()?,
        broker = if config.redis_url.is_some() { "redis" } else { "memory" },
        version = env!("CARGO_PKG_VERSION"),
        "ready to take connections",
    );
    let (stop, stopped) = watch::channel(false);
    let public = axum::serve(listener.tap_io(tune), public.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(wait_for(stopped.clone()));
    let public = tokio::spawn(public.into_future());
    let admin = axum::serve(admin, health::router(lifecycle, metrics)).with_graceful_shutdown(wait_for(stopped));
    let admin = tokio::spawn(admin.into_future());

    shutdown.await;
    drain(&context, &io).await;
    stop.send_replace(true);
    presence.abort();
    preparing.abort();
    hub.abort();
    // What holds a port open now is no longer waited for.
    public.abort();
    admin.abort();
    tracing::info!("stopped");
    Ok(())
}

async fn open_broker(config: &Config) -> Result<(Arc<dyn Broker>, tokio::sync::mpsc::Receiver<Heard>), BrokerError> {
    match &config.redis_url {
        None => {
            let (broker, bus) = MemoryBroker::new(config.retention());
            Ok((Arc::new(broker), bus))
        }
        Some(url) => {
            let redis = RedisConfig { url: url.clone(), retention: config.retention() };
            let (broker, bus) = RedisBroker::connect(redis).await?;
            Ok((Arc::new(broker), bus))
        }
    }
}

fn context(
    config: &Config,
    node: NodeId,
    broker: Arc<dyn Broker>,
    metrics: Metrics,
    lifecycle: Arc<Lifecycle>,
) -> Context {
    let rooms = Rooms::new(broker.clone());
    Context {
        limits: Limits {
            max_message_bytes: config.max_message_bytes as usize,
            max_payload: config.max_payload(),
            rate: config.rate(),
        },
        sessions: Sessions::new(broker.clone(), config.session_keys.clone()),
        presence: Presence::new(broker.clone(), rooms.clone(), node.clone()),
        hub: Hub::new(broker.clone(), metrics.clone(), config.rate()),
        node,
        broker,
        rooms,
        metrics,
        lifecycle,
    }
}

/// Makes sure of what every socket needs, for as long as it takes.
async fn prepare(context: Arc<Context>) {
    let mut told = false;
    loop {
        let prepared = async {
            context.rooms.ensure_lobby().await?;
            context.sessions.keys().await.map(drop)
        };
        match prepared.await {
            Ok(()) => break context.lifecycle.start(),
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "waiting for the broker; clients are told to try again until it is there");
                }
                tokio::time::sleep(START_RETRY).await;
            }
        }
    }
    tracing::info!("the broker is there; taking sockets");
}

/// Connections of clients that vanished without a word end with the heartbeat, also while
/// something is being written to them.
fn tune(stream: &mut TcpStream) {
    let socket = socket2::SockRef::from(&*stream);
    let tuned = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER))
        .and_then(|()| set_user_timeout(&socket));
    if let Err(error) = tuned {
        tracing::debug!(%error, "a connection could not be tuned");
    }
}

#[cfg(target_os = "linux")]
fn set_user_timeout(socket: &socket2::SockRef<'_>) -> std::io::Result<()> {
    socket.set_tcp_user_timeout(Some(PING_INTERVAL + PING_TIMEOUT))
}

#[cfg(not(target_os = "linux"))]
fn set_user_timeout(_: &socket2::SockRef<'_>) -> std::io::Result<()> {
    Ok(())
}

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone: stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Takes no new sockets, tells those that are there, finishes what they asked for, and closes.
async fn drain(context: &Context, io: &socketioxide::SocketIo) {
    context.lifecycle.drain();
    let clients = context.hub.clients();
    tracing::info!(sockets = clients.len(), "stopping");
    let count = clients.len().max(1) as u64;
    for (n, client) in clients.iter().enumerate() {
        let after = RECONNECT_SPREAD_MS * n as u64 / count;
        // Who can't be told finds out when the transport closes.
        let _ = client.try_send("server:draining", &json!({ "reconnectAfterMs": after }));
    }
    let finished = tokio::time::timeout(FINISH, async {
        loop {
            let received = context.lifecycle.received_so_far();
            tokio::time::sleep(QUIET).await;
            if context.lifecycle.pending() == 0 && context.lifecycle.received_so_far() == received {
                return;
            }
        }
    });
    if finished.await.is_err() {
        tracing::warn!(pending = context.lifecycle.pending(), "stopping with requests under way");
    }
    // A peer that reads nothing must not hold the node.
    if tokio::time::timeout(CLOSE, io.close()).await.is_err() {
        tracing::warn!("some transports did not close in time");
    }
}
