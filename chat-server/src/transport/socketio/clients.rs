//! The clients of a node, by user.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::Client;
use crate::delivery::Outlet;
use crate::domain::id::UserId;
use crate::domain::position::Millis;
use crate::domain::rate_limit::{Budget, Rates};
use crate::observability::metrics::Metrics;
use crate::store::{Bus, StoreError, Topic};

/// How long a user is remembered, and the node subscribed to the user's notices, after the last client went.
const FORGET_AFTER: Duration = Duration::from_secs(20);
/// How long a handshake keeps its place: the transport closes a connection that takes longer to become a session.
const RESERVED_FOR: Duration = Duration::from_secs(12);
/// Locks of subscriptions: users of different shards don't wait for each other.
const SHARDS: usize = 64;

/// The clients of a node, by user. Clones are the same.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    rates: Rates,
    users: Mutex<HashMap<UserId, User>>,
    /// The users whose notices the node is subscribed to. A lock is held while the bus is asked, so that subscribing and
    /// unsubscribing can't overtake each other.
    subscribed: Vec<tokio::sync::Mutex<HashSet<UserId>>>,
    hasher: RandomState,
    count: AtomicUsize,
    /// Places of handshakes whose sessions are not open yet, and until when each is kept.
    reserved: Mutex<VecDeque<Instant>>,
}

struct User {
    clients: Vec<Arc<Client>>,
    budget: Arc<Mutex<Budget>>,
}

impl Clients {
    /// No clients yet; each user acts at these `rates` at most.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, metrics: Metrics, rates: Rates) -> Self {
        Self(Arc::new(Inner {
            bus,
            metrics,
            rates,
            users: Mutex::default(),
            subscribed: std::iter::repeat_with(tokio::sync::Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            reserved: Mutex::default(),
        }))
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, User>> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many clients are connected.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Keeps a place for a client whose handshake begins, if there are fewer than `limit` with those on their way; 0 is no
    /// limit. The place is its client's once it is added, and free again if that does not happen in time.
    #[must_use]
    pub fn reserve(&self, limit: usize) -> bool {
        if limit == 0 {
            return true;
        }
        let now = Instant::now();
        let mut reserved = self.0.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        while reserved.front().is_some_and(|until| *until <= now) {
            reserved.pop_front();
        }
        let free = self.count() + reserved.len() < limit;
        if free {
            reserved.push_back(now + RESERVED_FOR);
        }
        free
    }

    /// Every client.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.users().values().flat_map(|user| user.clients.iter().cloned()).collect()
    }

    /// The clients of a user.
    pub(super) fn of(&self, user: &UserId) -> Vec<Arc<Client>> {
        self.users().get(user).map(|user| user.clients.clone()).unwrap_or_default()
    }

    /// Adds a client. Returns the budget that limits how often its user may send, which all clients of the user share.
    pub(super) fn add(&self, client: &Arc<Client>, now: Millis) -> Arc<Mutex<Budget>> {
        let mut users = self.users();
        let user = users.entry(client.user().clone()).or_insert_with(|| User {
            clients: Vec::with_capacity(1),
            budget: Arc::new(Mutex::new(Budget::new(self.0.rates, now))),
        });
        user.clients.push(client.clone());
        let budget = user.budget.clone();
        drop(users);
        {
            // One place is another's as good as its own.
            let mut reserved = self.0.reserved.lock().unwrap_or_else(PoisonError::into_inner);
            reserved.pop_front();
            self.0.count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.metrics.connections.inc();
        budget
    }

    /// Removes a client; false if it was not there. The budget of its user stays a while, so that to reconnect does not
    /// fill it.
    pub(super) fn remove(&self, client: &Arc<Client>) -> bool {
        let id = client.user();
        let last = {
            let mut users = self.users();
            let Some(user) = users.get_mut(id) else { return false };
            let before = user.clients.len();
            user.clients.retain(|other| other.id() != client.id());
            if user.clients.len() == before {
                return false;
            }
            user.clients.is_empty()
        };
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.connections.dec();
        if last {
            let (clients, id) = (self.clone(), id.clone());
            tokio::spawn(async move {
                tokio::time::sleep(FORGET_AFTER).await;
                clients.forget(id).await;
            });
        }
        true
    }

    /// Subscribes to the notices to a user, until some time after the user's last client went.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn subscribe(&self, user: &UserId) -> Result<(), StoreError> {
        let mut subscribed = self.shard(user).lock().await;
        if !subscribed.contains(user) {
            self.0.bus.subscribe(&[Topic::User(user.clone())]).await?;
            subscribed.insert(user.clone());
        }
        Ok(())
    }

    async fn forget(&self, id: UserId) {
        let mut subscribed = self.shard(&id).lock().await;
        match self.users().entry(id.clone()) {
            Entry::Occupied(user) if user.get().clients.is_empty() => user.remove(),
            _ => return,
        };
        if subscribed.remove(&id)
            && let Err(error) = self.0.bus.unsubscribe(&[Topic::User(id)]).await
        {
            tracing::debug!(%error, "the notices to a user could not be unsubscribed from");
        }
    }

    fn shard(&self, user: &UserId) -> &tokio::sync::Mutex<HashSet<UserId>> {
        // The remainder is below the number of shards, which fits.
        #[allow(clippy::cast_possible_truncation)]
        let shard = (self.0.hasher.hash_one(user) % SHARDS as u64) as usize;
        &self.0.subscribed[shard]
    }
}
