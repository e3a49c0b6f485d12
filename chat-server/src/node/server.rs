//! A node, put together: its broker, its sockets, its two ports, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::delivery::Hub;
use crate::domain::id::NodeId;
use crate::node::config::Config;
use crate::node::lifecycle::{Lifecycle, State};
use crate::observability::metrics::Metrics;
use crate::observability::traces::{Traces, Tracing};
use crate::service::analytics::Analytics;
use crate::service::identity::{Sessions, new_id};
use crate::service::presence::Presence;
use crate::service::rooms::Rooms;
use crate::store::memory::MemoryStore;
use crate::store::metered::metered;
use crate::store::redis::RedisStore;
use crate::store::{BusEvent, StoreError, Stores};
use crate::transport::http::admin_token::AdminToken;
use crate::transport::http::{analytics, api, gate, health, web};
use crate::transport::socketio::connection::{Connection, Connections};
use crate::transport::socketio::handover::{self, Pace, Which};
use crate::transport::socketio::outbox::Outboxes;
use crate::transport::socketio::polling::{self, Polling};
use crate::transport::socketio::{self, Arrivals, Context, Limits, PING_INTERVAL, PING_TIMEOUT, upgrade};

/// How long it waits for transports to close that were not handed over.
const CLOSE: Duration = Duration::from_secs(2);
/// How often a broker that is away at the start is tried again.
const START_RETRY: Duration = Duration::from_millis(500);
/// How often it is looked at again whether the broker's store is set up as it has to be.
const CHECK: Duration = Duration::from_secs(60);

/// Why a node could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The broker's address can't be used, or a name could not be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name was counted twice.
    #[error("failed to register the metrics")]
    Metrics(#[from] prometheus::Error),
    /// The collector's address can't be used.
    #[error("failed to set up traces: {0}")]
    Traces(String),
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
        None => NodeId::parse(&new_id("n")?).map_err(|error| StoreError::Corrupt(error.to_string()))?,
    };
    let (stores, bus) = open_store(&config).await?;
    #[cfg(feature = "fault-injection")]
    let stores = crate::store::faulty::faulty(stores);
    let metrics = Metrics::new()?;
    let traces = follow(&config, &node, &metrics)?;
    let stores = metered(stores, &metrics, &traces);
    let lifecycle = Arc::new(Lifecycle::default());
    let context = context(&config, node.clone(), stores.clone(), metrics.clone(), traces.clone(), lifecycle.clone());
    let context = Arc::new(context);
    let (service, io) = socketio::build(context.clone());

    // Whatever way this function ends, so do they.
    let mut tasks = JoinSet::new();
    tasks.spawn(context.hub.clone().run(bus));
    tasks.spawn(context.hub.clone().watch_tails());
    tasks.spawn(context.hub.clone().watch_clock());
    tasks.spawn(metrics.clone().watch_lag());
    tasks.spawn(context.analytics.clone().run({
        let hub = context.hub.clone();
        move || hub.sockets()
    }));
    tasks.spawn(context.outboxes.clone().end_silent(PING_INTERVAL + PING_TIMEOUT));
    tasks.spawn(context.presence.clone().run());
    tasks.spawn(socketio::keep_sessions(context.clone()));
    tasks.spawn(prepare(context.clone()));
    tasks.spawn(stay_clear(context.clone(), config.drain_pace()));
    tasks.spawn(stay_heard(context.clone(), config.drain_pace()));
    let drained = tokio::spawn(drain(context.clone(), config.drain_pace()));

    let origins = Arc::new(gate::Origins::new(config.allowed_origins.clone(), config.trusted_proxies.clone()));
    let gate = gate::Gate {
        lifecycle: lifecycle.clone(),
        health: stores.health.clone(),
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
        .layer(from_fn_with_state(Polling::new(context.outboxes.clone()), polling::split_long_answers))
        .layer(from_fn_with_state(service.clone(), upgrade::take_over));
    let public = Router::new()
        .route_service("/socket.io/", service)
        .layer(sockets)
        .fallback_service(Router::new().fallback(web::public_page).layer(CompressionLayer::new()))
        .layer(CatchPanicLayer::new())
        .layer(map_response(async |mut response: axum::response::Response| {
            response.headers_mut().remove(axum::http::header::SERVER);
            response
        }));

    tracing::info!(
        node = %node,
        listen = %listener.local_addr()?,
        adminListen = %admin.local_addr()?,
        broker = if config.redis.url.is_some() { "redis" } else { "memory" },
        version = env!("CARGO_PKG_VERSION"),
        "ready to take connections",
    );
    let (stop, stopped) = watch::channel(false);
    let listener = Connections::new(listener, PING_INTERVAL + PING_TIMEOUT);
    let public = axum::serve(listener, public.into_make_service_with_connect_info::<Connection>())
        .with_graceful_shutdown(wait_for(stopped.clone()));
    let public = tokio::spawn(public.into_future());
    let token = AdminToken::of(config.admin_token_file);
    let routes = health::router(lifecycle.clone(), stores.health, metrics)
        .merge(api::router(lifecycle, token.clone()))
        .merge(analytics::router(context.analytics.clone(), token));
    let admin = axum::serve(admin, routes).with_graceful_shutdown(wait_for(stopped));
    let admin = tokio::spawn(admin.into_future());

    shutdown.await;
    tracing::info!(sockets = context.hub.sockets(), "stopping");
    context.lifecycle.drain();
    // It does not panic; were it to, the node ends all the same.
    let _ = drained.await;
    // A peer that reads nothing must not hold the node.
    if tokio::time::timeout(CLOSE, io.close()).await.is_err() {
        tracing::warn!("some transports did not close in time");
    }
    stop.send_replace(true);
    // What holds a port open now is no longer waited for.
    public.abort();
    admin.abort();
    traces.end().await;
    tracing::info!("stopped");
    Ok(())
}

/// Follows some of the messages, if there is a collector.
fn follow(config: &Config, node: &NodeId, metrics: &Metrics) -> Result<Traces, ServerError> {
    let Some(endpoint) = config.telemetry.otlp_endpoint.as_deref() else { return Ok(Traces::default()) };
    let store = config.redis.url.is_some().then_some("redis");
    let tracing = Tracing { endpoint, ratio: config.telemetry.trace_sample_ratio, store };
    Traces::to(tracing, node, metrics.clone()).map_err(|error| ServerError::Traces(error.to_string()))
}

async fn open_store(config: &Config) -> Result<(Stores, tokio::sync::mpsc::Receiver<BusEvent>), StoreError> {
    match config.redis() {
        None => {
            let (store, bus) = MemoryStore::new(config.retention());
            Ok((Stores::new(Arc::new(store)), bus))
        }
        Some(redis) => {
            let (store, bus) = RedisStore::connect(redis).await?;
            Ok((Stores::new(Arc::new(store)), bus))
        }
    }
}

fn context(
    config: &Config,
    node: NodeId,
    stores: Stores,
    metrics: Metrics,
    traces: Traces,
    lifecycle: Arc<Lifecycle>,
) -> Context {
    let rooms = Rooms::new(&stores);
    Context {
        limits: Limits {
            max_message_bytes: config.max_message_bytes as usize,
            max_payload: config.max_payload(),
            rate: config.rate(),
        },
        sessions: Sessions::new(&stores, config.session_keys.clone()),
        presence: Presence::new(&stores, rooms.clone(), node.clone()),
        hub: Hub::new(node.clone(), &stores, metrics.clone(), traces.clone(), config.rate()),
        analytics: Analytics::new(&stores, node.clone()),
        arrivals: Arrivals::default(),
        outboxes: Outboxes::default(),
        node,
        stores,
        rooms,
        metrics,
        traces,
        lifecycle,
    }
}

/// Makes sure of what every socket needs, for as long as it takes.
async fn prepare(context: Arc<Context>) {
    let mut told = false;
    loop {
        let prepared = async {
            context.stores.health.check().await?;
            context.rooms.ensure_lobby().await?;
            context.sessions.keys().await.map(drop)
        };
        match prepared.await {
            Ok(()) => break context.lifecycle.start(),
            Err(error) => {
                context.lifecycle.wait(error.to_string());
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "waiting for the broker; clients are told to try again until it is there");
                }
                tokio::time::sleep(START_RETRY).await;
            }
        }
    }
    tracing::info!("the broker is there; taking sockets");
    stay_fit(&context).await;
}

/// Says when the broker's store is no longer set up as it was found at the start, as after a failover
/// to another one. That alone is no reason to send everybody away.
async fn stay_fit(context: &Context) {
    let mut told = false;
    loop {
        tokio::time::sleep(CHECK).await;
        match context.stores.health.check().await {
            Err(error @ StoreError::Misconfigured(_)) if !std::mem::replace(&mut told, true) => {
                tracing::warn!("{error}");
            }
            Ok(()) => told = false,
            Err(_) => {}
        }
    }
}

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone: stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Hands the sockets over once the node drains.
async fn drain(context: Arc<Context>, (per_second, at_most): (u32, Duration)) {
    context.lifecycle.drain_begun().await;
    handover::run(&context, Pace { per_second, at_most }, Which::All, || true).await;
}

/// Hands over the sockets that poll, whenever the node is cordoned, and then says that it is
/// clear: were the node unready before, proxies would cut them all at once.
async fn stay_clear(context: Arc<Context>, (per_second, at_most): (u32, Duration)) {
    loop {
        let cordon = context.lifecycle.cordon_begun().await;
        tracing::info!("cordoned: no new sockets are taken");
        let holds = || context.lifecycle.is_under(cordon);
        let per_second = cordon.per_second.map_or(per_second, |asked| asked.min(per_second));
        handover::run(&context, Pace { per_second, at_most }, Which::Polling, holds).await;
        if context.lifecycle.clear(cordon) {
            tracing::info!(sockets = context.hub.sockets(), "no socket polls; the node is not ready any more");
        } else {
            tracing::info!(state = context.lifecycle.state().as_str(), "the cordon is over");
        }
    }
}

/// Makes sure that the node hears, and hands its sockets over while it does not.
async fn stay_heard(context: Arc<Context>, (per_second, at_most): (u32, Duration)) {
    let prove = context.hub.clone().prove(&context.lifecycle);
    let hand_over = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // A node that drains hands them over anyway.
            if context.lifecycle.is_deaf() && context.lifecycle.state() != State::Draining {
                let deaf = || context.lifecycle.is_deaf();
                handover::run(&context, Pace { per_second, at_most }, Which::All, deaf).await;
            }
        }
    };
    tokio::join!(prove, hand_over);
}
