//! [`RedisStore`]: the state behind all parts of the store. Each part has a file of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fred::types::scripts::Script;
use fred::types::{FromValue, Value};
use tokio::sync::mpsc;

use super::append::batcher::Batcher;
use super::append::coalescer::Coalescer;
use super::cluster::router::Router;
use super::cluster::shard::{Call, Query};
use super::connect::client::ClientFactory;
use super::connect::config::RedisConfig;
use super::connect::url::Topology;
use super::keys::Keyspace;
use super::pubsub::shared::Shared;
use super::scripts::Scripts;
use super::{MAX_OFFSET, MAX_TTL_MS};
use crate::store::{BUS_CAPACITY, BusEvent, Retention, StoreError};

/// The store on Redis, which many nodes share.
pub struct RedisStore {
    pub(super) router: Arc<Router>,
    pub(super) keyspace: Keyspace,
    pub(super) scripts: Scripts,
    pub(super) coalescer: Coalescer,
    pub(super) batcher: Batcher,
    /// How often it was probed.
    pub(super) probes: AtomicU64,
    retention: Retention,
}

impl RedisStore {
    /// A store on the Redis of `config`, and the events that its node receives. If Redis can't be reached, the store
    /// goes on connecting in the background for ever; until then each call is `Unavailable` at once.
    ///
    /// # Errors
    /// The configuration can't be used.
    pub async fn connect(config: RedisConfig) -> Result<(Self, mpsc::Receiver<BusEvent>), StoreError> {
        let clients = ClientFactory::new(&config)?;
        let keyspace = Keyspace::new(config.key_prefix, clients.address.database);
        let (events, received) = mpsc::channel(BUS_CAPACITY);
        let sharded = clients.address.topology == Topology::Cluster;
        let shared = Shared { keyspace: keyspace.clone(), subscriptions: Default::default(), events, sharded };
        let router = Arc::new(Router::connect(clients, Arc::new(shared)).await?);
        let (scripts, retention) = (Scripts::new(sharded), config.retention);
        let limits = [retention.max_age_ms, retention.max_entries].map(|limit| limit.min(MAX_OFFSET).to_string());
        let batcher = Batcher::new(router.clone(), scripts.append.clone(), limits);
        let (coalescer, probes) = (Coalescer::default(), AtomicU64::new(0));
        Ok((Self { router, keyspace, scripts, coalescer, batcher, probes, retention }, received))
    }

    /// Runs a script.
    pub(super) async fn run<R: FromValue + Send>(
        &self,
        script: &Script,
        keys: Vec<String>,
        args: Vec<String>,
    ) -> Result<R, StoreError> {
        self.router.run(Call { script, keys, args, durable: false }).await
    }

    /// Runs a script whose writes count only once they are as durable as configured.
    pub(super) async fn run_durably<R: FromValue + Send>(
        &self,
        script: &Script,
        keys: Vec<String>,
        args: Vec<String>,
    ) -> Result<R, StoreError> {
        self.router.run(Call { script, keys, args, durable: true }).await
    }

    /// Reads one key by a command.
    pub(super) async fn query<R: FromValue + Send>(
        &self,
        command: &'static str,
        key: String,
        args: Vec<Value>,
    ) -> Result<R, StoreError> {
        self.router.run(Query { command, key, args }).await
    }

    /// The maximum age of an entry in milliseconds, if there is one.
    pub(super) fn limited_age(&self) -> Option<u64> {
        Some(self.retention.max_age_ms).filter(|age| *age > 0)
    }

    /// The maximum age of an entry, as the scripts take it.
    pub(super) fn max_age(&self) -> String {
        self.retention.max_age_ms.min(MAX_OFFSET).to_string()
    }

    /// The maximum number of entries, as the scripts take it.
    pub(super) fn max_entries(&self) -> String {
        self.retention.max_entries.min(MAX_OFFSET).to_string()
    }
}

/// A time to live, as the scripts take it.
pub(super) fn ttl(ms: u64) -> String {
    ms.min(MAX_TTL_MS).to_string()
}

/// A boolean, as the scripts take it.
pub(super) fn flag(set: bool) -> String {
    if set { "1".to_owned() } else { "0".to_owned() }
}
