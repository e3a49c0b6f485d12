//! Which shard owns which slot. In a Redis Cluster it is learnt from `CLUSTER SLOTS` and from redirections.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::CustomCommand;

use super::shard::Shard;
use crate::domain::trouble::Trouble;
use crate::store::StoreError;
use crate::store::redis::CONNECT_TIMEOUT;
use crate::store::redis::connect::client::ClientFactory;
use crate::store::redis::connect::connection::{Connection, TrafficCounters, failed};
use crate::store::redis::connect::url::Topology;
use crate::store::redis::pubsub::shared::Shared;
use crate::store::redis::slots::{self, Owned, SLOTS};

/// How often the table is refreshed. A writer finds out sooner about a slot that has moved, by a redirection; this is
/// for subscribers.
const REFRESH: Duration = Duration::from_secs(1);
/// Which shard owns which slot.
pub(super) struct SlotTable {
    pub(super) clients: ClientFactory,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<TrafficCounters>,
    /// The shard of each slot; one element where there are no slots.
    slots: RwLock<Vec<Option<Arc<Shard>>>>,
    /// Why no shard is known, if none is.
    unknown: Mutex<Trouble>,
    next_number: AtomicU64,
    next_asked: AtomicUsize,
}

impl SlotTable {
    /// A table without shards.
    pub(super) fn new(clients: ClientFactory, shared: Arc<Shared>) -> Self {
        let slots = if clients.address.topology == Topology::Cluster { SLOTS } else { 1 };
        Self {
            clients,
            shared,
            counters: Arc::default(),
            slots: RwLock::new(vec![None; slots]),
            unknown: Mutex::new(Trouble::Unreachable),
            next_number: AtomicU64::new(0),
            next_asked: AtomicUsize::new(0),
        }
    }

    /// Connects to the only server, where there are no slots.
    pub(super) fn start_only(&self) -> Result<(), StoreError> {
        let only = self.start(None)?;
        self.assign(|slots| slots.fill(Some(only.clone())));
        Ok(())
    }

    fn start(&self, at: Option<(String, u16)>) -> Result<Arc<Shard>, StoreError> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        Shard::start(at, number, &self.clients, &self.shared, &self.counters).map(Arc::new)
    }

    /// The shard that owns a slot.
    pub(super) fn owner(&self, slot: usize) -> Result<Arc<Shard>, StoreError> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(slot).cloned().flatten().ok_or_else(|| StoreError::Unavailable(Trouble::Unreachable.to_string()))
    }

    /// All shards, each once.
    pub(super) fn shards(&self) -> Vec<Arc<Shard>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let (mut seen, mut last) = (HashSet::new(), None);
        // Most slots have the same owner as the one before them.
        let mut is_new = |number| last.replace(number) != Some(number) && seen.insert(number);
        slots.iter().flatten().filter(|shard| is_new(shard.number)).cloned().collect()
    }

    /// Why no shard is known.
    pub(super) fn unknown(&self) -> Trouble {
        *self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shard at an address, which may be new.
    pub(super) fn shard_at(&self, at: (String, u16)) -> Result<Arc<Shard>, StoreError> {
        match self.shards().into_iter().find(|shard| shard.at.as_ref() == Some(&at)) {
            Some(shard) => Ok(shard),
            None => self.start(Some(at)),
        }
    }

    /// Notes that a slot has moved to a shard.
    pub(super) fn set_owner(&self, slot: usize, shard: &Arc<Shard>) {
        self.assign(|slots| slots[slot] = Some(shard.clone()));
        self.shared.subscriptions.report_moved();
    }

    /// Changes the owners. Subscriptions move with their slots.
    fn assign(&self, change: impl FnOnce(&mut Vec<Option<Arc<Shard>>>)) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut slots);
        let numbers: Vec<_> = slots.iter().map(|shard| shard.as_ref().map(|shard| shard.number)).collect();
        drop(slots);
        if self.shared.subscriptions.set_owners(numbers) {
            for shard in self.shards() {
                shard.subscriber().wake();
            }
        }
    }

    /// Asks for the slots: a shard that answers, another one each time; or the configured servers, if none answers.
    pub(super) async fn refresh(&self) {
        let mut shards = self.shards();
        if !shards.is_empty() {
            let next = self.next_asked.fetch_add(1, Ordering::Relaxed) % shards.len();
            shards.rotate_left(next);
        }
        for shard in &shards {
            if let (Ok(client), Some((host, _))) = (shard.commands.client(), &shard.at)
                && self.learn(client, host).await
            {
                return;
            }
        }
        for (host, port) in &self.clients.address.hosts {
            let Ok(client) = self.clients.client_of(host, *port) else { continue };
            let connection = Connection::start(client, "seed", self.counters.clone());
            connection.settled(CONNECT_TIMEOUT).await;
            if let Some(trouble) = connection.trouble() {
                *self.unknown.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
            } else if let Ok(client) = connection.client()
                && self.learn(client, host).await
            {
                return;
            }
        }
    }

    /// Asks one server for the slots. Returns whether it told them.
    async fn learn(&self, client: &Client, host: &str) -> bool {
        let command = CustomCommand::new_static("CLUSTER", None, false);
        let reply = client.custom(command, vec!["SLOTS"]).await;
        let owned = reply.map_err(failed).and_then(|reply| slots::read(reply, host));
        match owned.and_then(|owned| self.adopt(owned)) {
            Ok(()) => true,
            Err(error) => {
                let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::replace(&mut *unknown, Trouble::SlotsUnknown) != Trouble::SlotsUnknown {
                    tracing::warn!(%error, host, "a node of the Redis Cluster does not say who has which slots");
                }
                false
            }
        }
    }

    /// Takes over what a server told. It may lag behind, so no slot goes from a shard that is up to one that is not.
    fn adopt(&self, owned: Vec<Owned>) -> Result<(), StoreError> {
        let owned: Vec<_> = owned
            .into_iter()
            .map(|Owned { slots, at }| Ok((slots, self.shard_at(at)?)))
            .collect::<Result<_, StoreError>>()?;
        self.assign(|known| {
            for (slots, shard) in owned {
                let slots = usize::from(*slots.start())..=usize::from(*slots.end());
                for slot in known.get_mut(slots).into_iter().flatten() {
                    let stays = slot.as_ref().is_some_and(|now| now.commands.is_up() && !shard.commands.is_up());
                    if !stays {
                        *slot = Some(shard.clone());
                    }
                }
            }
        });
        Ok(())
    }

    /// Refreshes the table for ever.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(REFRESH, self.shared.subscriptions.moved()).await;
            self.refresh().await;
        }
    }
}
