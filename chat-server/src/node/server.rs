//! A node from start to stop: opens the store, builds the services, starts the tasks, serves the ports.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::bus_events::BusEvents;
use super::clock::follow_store_clock;
use super::config::Config;
use super::drain::{hand_over_on_drain, hand_over_polling_on_cordon, hand_over_while_bus_unhealthy};
use super::gone::forget_gone;
use super::listeners::Listeners;
use super::probe::Probe;
use super::reserve::watch_memory;
use super::restore::restore_what_is_lost;
use super::services::{self, Parts};
use super::startup::take_sockets_once_ready;
use super::store_probe::probe_store;
use crate::delivery::{Router, compare_tails};
use crate::domain::id::NodeId;
use crate::observability::metrics::Metrics;
use crate::observability::store_clock::StoreClock;
use crate::observability::traces::{Traces, Tracing};
use crate::service::identity::new_id;
use crate::store::metered::metered;
use crate::store::{BusEvent, StoreError};
use crate::transport::socketio::{self, Context, PING_INTERVAL, PING_TIMEOUT};

/// How long transports that were not handed over may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a node could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration of the store can't be used, or no identifier could be generated.
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

/// Runs a node on the given ports until `shutdown` ends, then hands its clients over and returns.
///
/// # Errors
/// See [`ServerError`]. A store that does not answer is none: the node waits for it.
pub async fn run(
    config: Config,
    public: TcpListener,
    admin: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    let node = match config.node_id.clone() {
        Some(node) => node,
        None => NodeId::parse(&new_id("n")?).map_err(|error| StoreError::Corrupt(error.to_string()))?,
    };
    let (stores, bus) = services::open_store(&config).await?;
    #[cfg(feature = "fault-injection")]
    let stores = crate::store::faulty::faulty(stores);
    let (metrics, clock) = (Metrics::new()?, StoreClock::default());
    let traces = traces(&config, &node, &metrics)?;
    let parts = Parts {
        config: &config,
        node: node.clone(),
        stores: metered(stores, &metrics, &traces),
        metrics: metrics.clone(),
        traces: traces.clone(),
        clock: clock.clone(),
    };
    let context = Arc::new(services::build(parts));
    let (service, io) = socketio::build(context.clone());

    let pace = config.drain_pace();
    // Whatever way this function ends, so do the tasks.
    let mut tasks = start_tasks(&context, clock, bus)?;
    tasks.spawn(hand_over_polling_on_cordon(context.clone(), pace));
    tasks.spawn(hand_over_while_bus_unhealthy(context.clone(), pace));
    let drained = tokio::spawn(hand_over_on_drain(context.clone(), pace));

    tracing::info!(
        node = %node,
        listen = %public.local_addr()?,
        adminListen = %admin.local_addr()?,
        broker = if config.redis.url.is_some() { "redis" } else { "memory" },
        version = env!("CARGO_PKG_VERSION"),
        "ready to take connections",
    );
    if let Some(advice) = config.advice() {
        tracing::warn!("{advice}");
    }
    let ports = Listeners::serve(config, &context, service, public, admin);

    shutdown.await;
    tracing::info!(sockets = context.clients.count(), "stopping");
    context.lifecycle.drain();
    // It does not panic; were it to, the node ends all the same.
    let _ = drained.await;
    // A peer that reads nothing must not hold the node.
    if tokio::time::timeout(CLOSE_TIMEOUT, io.close()).await.is_err() {
        tracing::warn!("some transports did not close in time");
    }
    ports.close();
    traces.end().await;
    tracing::info!("stopped");
    Ok(())
}

/// Traces some of the messages, if there is a collector.
fn traces(config: &Config, node: &NodeId, metrics: &Metrics) -> Result<Traces, ServerError> {
    let Some(endpoint) = config.telemetry.otlp_endpoint.as_deref() else { return Ok(Traces::default()) };
    let store = config.redis.url.is_some().then_some("redis");
    let tracing = Tracing { endpoint, ratio: config.telemetry.trace_sample_ratio, store };
    Traces::to(tracing, node, metrics.clone()).map_err(|error| ServerError::Traces(error.to_string()))
}

/// Starts what runs for as long as the node.
fn start_tasks(
    context: &Arc<Context>,
    clock: StoreClock,
    bus: mpsc::Receiver<BusEvent>,
) -> Result<JoinSet<()>, ServerError> {
    let (node, stores, metrics) = (&context.node, &context.stores, &context.metrics);
    let probe = Arc::new(Probe::new(node.clone(), stores.bus.clone(), metrics.clone(), new_id("p")?));
    let interrupted = Arc::new(Notify::new());
    let bus_events = BusEvents { context: context.clone(), probe: probe.clone(), interrupted: interrupted.clone() };
    let mut tasks = JoinSet::new();
    tasks.spawn(Router::new(context.hub.clone(), context.traces.clone(), bus_events).run(bus));
    tasks.spawn(compare_tails(context.hub.clone()));
    tasks.spawn(follow_store_clock(node.clone(), stores.fields.clone(), clock, metrics.clone()));
    tasks.spawn(watch_memory(stores.health.clone(), context.reserve.clone(), metrics.clone()));
    tasks.spawn(metrics.clone().watch_lag());
    tasks.spawn(probe_store(stores.health.clone(), node.clone()));
    tasks.spawn(context.analytics.clone().run({
        let clients = context.clients.clone();
        move || clients.count()
    }));
    tasks.spawn(context.outboxes.clone().end_silent(PING_INTERVAL + PING_TIMEOUT));
    tasks.spawn(context.presence.clone().run());
    tasks.spawn(socketio::keep_sessions(context.clone()));
    tasks.spawn(socketio::end_revoked(context.clone()));
    tasks.spawn(forget_gone(context.sessions.clone()));
    tasks.spawn(take_sockets_once_ready(context.clone()));
    tasks.spawn(restore_what_is_lost(context.clone(), interrupted));
    let lifecycle = context.lifecycle.clone();
    tasks.spawn(async move { probe.run(&lifecycle).await });
    Ok(tasks)
}
