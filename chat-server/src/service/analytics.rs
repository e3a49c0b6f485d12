//! Usage analytics: each node counts, and adds its counts to the store at intervals.
//!
//! A message or a new socket costs two lookups in sets, and a node runs one script every ten seconds. When a node is
//! killed, its counts since the last script are lost: at most ten seconds.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::activity::{Activity, Report};
use crate::domain::id::{NodeId, RoomId, UserId};
use crate::store::{ActivityStore, StoreError, Stores};

/// How often a node tells.
const EVERY: Duration = Duration::from_secs(10);
/// So many users and rooms are noted in between; further ones are not counted.
const NOTED: usize = 20_000;

/// What happens on a node. Clones note into the same.
#[derive(Clone)]
pub struct Analytics(Arc<Inner>);

struct Inner {
    activity: Arc<dyn ActivityStore>,
    node: NodeId,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    messages: u64,
    users: HashSet<UserId>,
    rooms: HashSet<RoomId>,
}

impl Analytics {
    /// Those of a node where nothing has happened yet.
    #[must_use]
    pub fn new(stores: &Stores, node: NodeId) -> Self {
        Self(Arc::new(Inner { activity: stores.activity.clone(), node, noted: Mutex::default() }))
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody came.
    pub fn came(&self, user: &UserId) {
        note(&mut self.noted().users, user);
    }

    /// Somebody said something, which is stored.
    pub fn said(&self, user: &UserId, room: &RoomId) {
        let mut noted = self.noted();
        noted.messages += 1;
        note(&mut noted.users, user);
        note(&mut noted.rooms, room);
    }

    /// Adds the counts to the store at intervals, for ever, with the number of sockets at that time.
    pub async fn run(self, sockets: impl Fn() -> usize) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.tell(sockets() as u64).await {
                tracing::debug!(%error, "what happened could not be told");
            }
        }
    }

    async fn tell(&self, connections: u64) -> Result<(), StoreError> {
        let Noted { messages, users, rooms } = std::mem::take(&mut *self.noted());
        let activity = Activity {
            node: self.0.node.clone(),
            connections,
            messages,
            users: users.into_iter().collect(),
            rooms: rooms.into_iter().collect(),
        };
        let told = self.0.activity.record(&activity).await;
        if told.is_err() {
            // The next time. Should it have arrived all the same, these messages count twice: there is no nonce for
            // numbers.
            let mut noted = self.noted();
            noted.messages += activity.messages;
            activity.users.iter().for_each(|user| note(&mut noted.users, user));
            activity.rooms.iter().for_each(|room| note(&mut noted.rooms, room));
        }
        told
    }

    /// What happened in the whole chat, by so many hours and days.
    ///
    /// # Errors
    /// The store's.
    pub async fn report(&self, hours: u32, days: u32) -> Result<Report, StoreError> {
        self.0.activity.activity(hours, days).await
    }
}

/// Most often it is there: then nothing is copied.
fn note<T: Clone + Eq + std::hash::Hash>(all: &mut HashSet<T>, one: &T) {
    if !all.contains(one) && all.len() < NOTED {
        all.insert(one.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Retention;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn what_is_noted_is_told_once() {
        let stores = Stores::new(Arc::new(MemoryStore::new(Retention::default()).0));
        let analytics = Analytics::new(&stores, NodeId::parse("n1").unwrap());
        let (ann, bob) = (UserId::parse("ann").unwrap(), UserId::parse("bob").unwrap());
        analytics.came(&ann);
        analytics.said(&bob, &RoomId::lobby());
        analytics.said(&bob, &RoomId::lobby());
        analytics.tell(7).await.unwrap();
        analytics.tell(3).await.unwrap();
        let report = analytics.report(2, 2).await.unwrap();
        assert_eq!(report.hours.iter().map(|hour| hour.messages).sum::<u64>(), 2);
        assert_eq!(report.hours.iter().map(|hour| hour.peak_connections).max(), Some(7));
        assert_eq!(report.days.last().unwrap().active_users_week, 2);
    }
}
