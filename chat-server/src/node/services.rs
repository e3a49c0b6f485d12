//! Opening the store and building what the transports use.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::config::Config;
use crate::delivery::{Batching, Hub, Shared};
use crate::domain::id::NodeId;
use crate::lifecycle::Lifecycle;
use crate::observability::metrics::Metrics;
use crate::observability::store_clock::StoreClock;
use crate::observability::traces::Traces;
use crate::service::analytics::Analytics;
use crate::service::identity::Sessions;
use crate::service::messages::Messages;
use crate::service::presence::Presence;
use crate::service::recovery::Recovery;
use crate::service::reserve::Reserve;
use crate::service::rooms::Rooms;
use crate::store::memory::MemoryStore;
#[cfg(feature = "redis")]
use crate::store::redis::RedisStore;
use crate::store::{BusEvent, StoreError, Stores};
use crate::transport::socketio::outbox::Outboxes;
use crate::transport::socketio::{Answers, Arrivals, Clients, Context, Limits, encode};

/// Opens the store of the configuration, and its bus.
pub(super) async fn open_store(config: &Config) -> Result<(Stores, mpsc::Receiver<BusEvent>), StoreError> {
    #[cfg(feature = "redis")]
    if let Some(redis) = config.redis() {
        let (store, bus) = RedisStore::connect(redis).await?;
        return Ok((Stores::new(Arc::new(store)), bus));
    }
    let (store, bus) = MemoryStore::new(config.retention());
    Ok((Stores::new(Arc::new(store)), bus))
}

/// What a node is built from.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) node: NodeId,
    pub(super) stores: Stores,
    pub(super) metrics: Metrics,
    pub(super) traces: Traces,
    pub(super) clock: StoreClock,
}

/// Builds the services, and what the clients of the node share.
pub(super) fn build(parts: Parts<'_>) -> Context {
    let Parts { config, node, stores, metrics, traces, clock } = parts;
    let batching = Batching::default();
    let hub = Hub::new(Shared {
        log: stores.log.clone(),
        bus: stores.bus.clone(),
        metrics: metrics.clone(),
        clock,
        batching: batching.clone(),
        encode,
    });
    let (rooms, analytics) =
        (Rooms::new(&stores).with_received_at(config.rates().change), Analytics::new(&stores, node.clone()));
    let max_message_bytes = config.max_message_bytes as usize;
    Context {
        limits: Limits { max_message_bytes, max_payload: config.max_payload(), rates: config.rates() },
        sessions: Sessions::new(&stores, config.session_keys.clone()),
        presence: Presence::new(&stores, rooms.clone(), node.clone()),
        answers: Answers::new(batching.clone()),
        clients: Clients::new(stores.bus.clone(), metrics.clone(), config.rates()),
        messages: Messages::new(&stores, rooms.clone(), analytics.clone(), metrics.clone(), max_message_bytes),
        recovery: Recovery::new(&stores),
        analytics,
        arrivals: Arrivals::default(),
        reserve: Reserve::default(),
        strangers: config.strangers(),
        outboxes: Outboxes::default(),
        lifecycle: Arc::new(Lifecycle::default()),
        batching,
        hub,
        node,
        stores,
        rooms,
        metrics,
        traces,
    }
}
