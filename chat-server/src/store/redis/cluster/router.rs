//! Routes each call to the shard that owns its slot.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fred::error::Error;
use fred::interfaces::PubsubInterface;
use fred::types::FromValue;
use futures_util::future::join_all;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::shard::{Ask, Shard};
use super::slot_table::SlotTable;
use crate::domain::id::NodeId;
use crate::domain::trouble::Trouble;
use crate::store::redis::connect::client::ClientFactory;
use crate::store::redis::connect::connection::{failed, is_replica};
use crate::store::redis::connect::url::Topology;
use crate::store::redis::pubsub::shared::Shared;
use crate::store::redis::pubsub::subscriptions::Subscriptions;
use crate::store::redis::slots::{self, Redirect};
use crate::store::redis::{COMMAND_TIMEOUT, CONNECT_TIMEOUT, durability, server_check};
use crate::store::{StoreError, Topic, Traffic};

/// The pause before a call is repeated whose keys are being moved from one shard to another.
const RETRY: Duration = Duration::from_millis(50);
/// The error of a server that redirects although it was taken for a single Redis. The operator matches on these words
/// (operator/src/controller/status/redis.rs).
const A_CLUSTER: &str = "this Redis belongs to a Redis Cluster: redis-cluster:// has to stand in --redis-url";
/// Topics that are tried to find one on each shard; enough for all but the very smallest shards.
const MAX_PROBES: u16 = 4096;

/// Routes each call to the shard that owns its slot.
pub(crate) struct Router {
    table: Arc<SlotTable>,
    /// The task that refreshes the table of a Redis Cluster.
    refresh: Option<AbortHandle>,
}

impl Router {
    /// Starts to connect, and waits a little: mostly Redis is there, and the first call finds it.
    pub(crate) async fn connect(clients: ClientFactory, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let clustered = clients.address.topology == Topology::Cluster;
        let table = Arc::new(SlotTable::new(clients, shared));
        let refresh = if clustered {
            table.refresh().await;
            Some(tokio::spawn(table.clone().keep_fresh()).abort_handle())
        } else {
            table.start_only()?;
            None
        };
        let this = Self { table, refresh };
        let shards = this.table.shards();
        let connections = shards.iter().flat_map(|shard| shard.connections());
        join_all(connections.map(|connection| connection.wait(CONNECT_TIMEOUT))).await;
        this.check_durability().await?;
        Ok(this)
    }

    /// Whether each server that can be reached can give the durability. `check` covers one that is reached later.
    async fn check_durability(&self) -> Result<(), StoreError> {
        let Some(requirement) = self.table.clients.requirement else { return Ok(()) };
        for shard in self.table.shards() {
            let Ok(client) = shard.client() else { continue };
            match server_check::durability_method(client, requirement).await {
                Err(error @ StoreError::Misconfigured(_)) => return Err(error),
                // `check` reports why it does not answer, for as long as it does not.
                _ => durability::log_advice(client, requirement).await,
            }
        }
        Ok(())
    }

    /// Asks the shard of a key, and follows redirections.
    pub(crate) async fn run<R: FromValue + Send>(&self, call: impl Ask) -> Result<R, StoreError> {
        let Some(slot) = self.slot(call.key()) else {
            let shard = self.table.owner(0)?;
            let done = call.ask(&shard, false).await;
            if let Err(error) = &done {
                shard.refusing.note(error.details());
                if is_replica(error) && shard.refusing.should_renew(Instant::now()) {
                    // The former primary is a replica now. A new connection may lead to the new primary.
                    shard.commands.renew().await;
                }
            }
            return match done {
                Err(error) if matches!(Redirect::read(error.details()), Some(Redirect::Moved(..))) => {
                    Err(StoreError::Misconfigured(A_CLUSTER.to_owned()))
                }
                done => done.map_err(failed),
            };
        };
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let mut asked: Option<Arc<Shard>> = None;
        loop {
            let (shard, asking) = match asked.take() {
                Some(shard) => (shard, true),
                None => (self.table.owner(slot)?, false),
            };
            match call.ask(&shard, asking).await {
                Ok(answer) => return Ok(answer),
                Err(error) => asked = self.redirected(error, &shard, slot, deadline).await?,
            }
        }
    }

    /// Publishes a message on a channel.
    pub(crate) async fn publish(&self, channel: &str, text: String) -> Result<(), StoreError> {
        let Some(slot) = self.slot(channel) else {
            let shard = self.table.owner(0)?;
            return shard.commands.client()?.publish(channel, text).await.map_err(|error: Error| {
                shard.refusing.note(error.details());
                failed(error)
            });
        };
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        loop {
            let shard = self.table.owner(slot)?;
            match shard.commands.client()?.spublish(channel, text.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => self.redirected(error, &shard, slot, deadline).await.map(drop)?,
            }
        }
    }

    /// Handles an error: returns `Ok` if the call is to be repeated, with a shard if only this repetition goes there.
    /// Redis has run nothing in these cases.
    async fn redirected(
        &self,
        error: Error,
        shard: &Shard,
        slot: usize,
        deadline: Instant,
    ) -> Result<Option<Arc<Shard>>, StoreError> {
        let redirect = Redirect::read(error.details()).filter(|_| Instant::now() < deadline);
        let to = |host: String, port: u16| match &shard.at {
            Some((same, _)) if host.is_empty() => (same.clone(), port),
            _ => (host, port),
        };
        match redirect {
            None => {
                shard.refusing.note(error.details());
                Err(failed(error))
            }
            Some(Redirect::Later) => {
                tokio::time::sleep(RETRY).await;
                Ok(None)
            }
            Some(Redirect::Moved(host, port)) => {
                let shard = self.table.shard_at(to(host, port))?;
                self.table.set_owner(slot, &shard);
                shard.commands.wait(deadline - Instant::now()).await;
                Ok(None)
            }
            Some(Redirect::Ask(host, port)) => {
                let shard = self.table.shard_at(to(host, port))?;
                shard.commands.wait(deadline - Instant::now()).await;
                Ok(Some(shard))
            }
        }
    }

    /// Whether keys belong to slots, so that one call can't name the keys of two topics.
    pub(crate) fn is_sharded(&self) -> bool {
        self.refresh.is_some()
    }

    /// Whether a write waits until it is durable.
    pub(crate) fn is_durable(&self) -> bool {
        self.table.clients.requirement.is_some()
    }

    pub(crate) fn subscriptions(&self) -> &Subscriptions {
        &self.table.shared.subscriptions
    }

    /// Asks which shard owns which slot.
    pub(crate) async fn refresh_slots(&self) {
        if self.refresh.is_some() {
            self.table.refresh().await;
        }
    }

    /// The shard of a key or a channel.
    pub(crate) fn shard_of(&self, name: &str) -> Result<Arc<Shard>, StoreError> {
        self.table.owner(self.slot(name).unwrap_or(0))
    }

    /// A topic on each shard, by which the node finds out whether it receives what is published there.
    pub(crate) fn probes(&self, node: &NodeId) -> Vec<Topic> {
        let topic = |number| Topic::Node(node.clone(), number);
        let mut left: HashSet<u64> = self.table.shards().iter().map(|shard| shard.number).collect();
        let mut found = Vec::new();
        for topic in (0..MAX_PROBES).map(topic) {
            if left.is_empty() {
                break;
            }
            let shard = self.shard_of(&self.table.shared.keyspace.channel(&topic));
            if shard.is_ok_and(|shard| left.remove(&shard.number)) {
                found.push(topic);
            }
        }
        if found.is_empty() { vec![topic(0)] } else { found }
    }

    /// Whether all shards are set up as the chat needs it.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let shards = self.table.shards();
        if shards.is_empty() {
            return self.table.owner(0).map(drop);
        }
        let (Shared { keyspace, sharded, .. }, requirement) = (&*self.table.shared, self.table.clients.requirement);
        let check =
            async |shard: &Shard| server_check::check(shard.commands.client()?, keyspace, *sharded, requirement).await;
        let checks = shards.iter().map(|shard| check(shard));
        join_all(checks).await.into_iter().collect()
    }

    /// Finds out whether the shard of this key refuses: `write` writes there. Whether the user may do everything is asked
    /// now and then, and always after it might not.
    pub(crate) async fn probe<W: Future<Output = Result<(), StoreError>>>(
        &self,
        key: &str,
        permissions: bool,
        write: W,
    ) {
        let Ok(shard) = self.shard_of(key) else { return };
        let lacked = shard.refusing.trouble() == Some(Trouble::NoPermission);
        // A refusal is noted where the write is done.
        if write.await.is_err() {
            return;
        }
        if permissions || lacked {
            let Ok(client) = shard.client() else { return };
            let Shared { keyspace, sharded, .. } = &*self.table.shared;
            match server_check::check_permissions(client, keyspace, *sharded).await {
                Ok(()) => {}
                Err(StoreError::Misconfigured(why)) => {
                    tracing::debug!(why);
                    return shard.refusing.note("NOPERM");
                }
                Err(_) => return,
            }
        }
        shard.refusing.clear(Instant::now());
    }

    /// How much of its memory the fullest shard uses, of those that have a limit.
    pub(crate) async fn memory_used(&self) -> Result<Option<f64>, StoreError> {
        let shards = self.table.shards();
        let ask = async |shard: &Shard| server_check::memory_used(shard.commands.client()?).await;
        let answers = join_all(shards.iter().map(|shard| ask(shard))).await;
        let all: Vec<Option<f64>> = answers.into_iter().collect::<Result<_, _>>()?;
        Ok(all.into_iter().flatten().reduce(f64::max))
    }

    /// Why not all shards can be used, if so.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let shards = self.table.shards();
        if shards.is_empty() {
            return Some(self.table.unknown());
        }
        let troubles: Vec<_> = shards.iter().filter_map(|shard| shard.trouble()).collect();
        match troubles.first() {
            Some(Trouble::Unreachable) if troubles.len() < shards.len() => Some(Trouble::ShardUnreachable),
            trouble => trouble.copied(),
        }
    }

    /// What went to all shards since the start.
    pub(crate) fn traffic(&self) -> Traffic {
        self.table.counters.traffic()
    }

    /// Whether any shard can be used.
    pub(crate) fn is_available(&self) -> bool {
        self.table.shards().iter().any(|shard| shard.trouble().is_none())
    }

    fn slot(&self, name: &str) -> Option<usize> {
        self.refresh.is_some().then(|| slots::of(name))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(refresh) = &self.refresh {
            refresh.abort();
        }
    }
}
