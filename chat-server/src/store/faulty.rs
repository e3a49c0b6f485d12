//! A store with an injected fault. Compiled in by the feature `fault-injection` only.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::activity::{Activity, Report};
use crate::domain::id::{NodeId, UserId};
use crate::domain::position::{Offset, Position};
use crate::fault_injection::{Fault, is_injected};
use crate::store::{
    ActivityStore, Bus, Commit, Committed, Entry, FieldStore, Fields, Health, Keep, LogStore, PresenceStore, Range,
    ReadMarks, Slice, Store, StoreError, Topic, Traffic,
};

/// A broker with a bug.
pub struct FaultyStore(pub Arc<dyn Store>);

#[async_trait]
impl LogStore for FaultyStore {
    async fn commit(&self, topic: &Topic, mut commit: Commit) -> Result<Committed, StoreError> {
        if let Some(append) = &mut commit.append
            && append.counted
        {
            if is_injected(Fault::ForgetNonce) {
                append.nonce = None;
            }
            if is_injected(Fault::AckBeforeStore) {
                let range = Range { after: Offset::MAX - 1, before: None, limit: 1, keep: Keep::Oldest };
                let slice = self.0.read(topic, range).await?;
                let (broker, topic) = (self.0.clone(), topic.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let _ = broker.commit(&topic, commit).await;
                });
                let position = Position { epoch: slice.lineage.epoch, offset: slice.top + 1 };
                return Ok(Committed::Done { entry: Some((position, 0)) });
            }
        }
        self.0.commit(topic, commit).await
    }

    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError> {
        if is_injected(Fault::ForgetNonce) {
            return Ok(None);
        }
        self.0.find_nonce(topic, by, nonce).await
    }

    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError> {
        if is_injected(Fault::LoseLastFrame) {
            return Err(StoreError::Unavailable("not compared, on purpose".to_owned()));
        }
        self.0.tops(topics).await
    }

    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError> {
        self.0.read(topic, range).await
    }
}

#[async_trait]
impl FieldStore for FaultyStore {
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError> {
        self.0.fields(topic, names).await
    }

    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.0.list(topic, prefix, after, limit).await
    }

    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError> {
        self.0.count(topic, prefix).await
    }

    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError> {
        self.0.touch(topic, ttl_ms).await
    }
}

#[async_trait]
impl ReadMarks for FaultyStore {
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<u64, StoreError> {
        self.0.mark_read(topic, user, offset).await
    }

    async fn unread(&self, topics: &[Topic], user: &UserId) -> Result<Vec<u64>, StoreError> {
        self.0.unread(topics, user).await
    }
}

#[async_trait]
impl Bus for FaultyStore {
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError> {
        self.0.signal(topic, payload).await
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        self.0.subscribe(topics).await
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        self.0.unsubscribe(topics).await
    }

    fn probes(&self, node: &NodeId) -> Vec<Topic> {
        self.0.probes(node)
    }

    async fn renew_bus(&self, topic: &Topic) {
        self.0.renew_bus(topic).await;
    }
}

#[async_trait]
impl PresenceStore for FaultyStore {
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError> {
        self.0.set_presence(node, user, card).await
    }

    async fn beat(&self, node: &NodeId, ttl_ms: u64) -> Result<(), StoreError> {
        self.0.beat(node, ttl_ms).await
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError> {
        self.0.presence(users).await
    }

    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError> {
        self.0.online(after, limit).await
    }

    async fn online_count(&self) -> Result<u64, StoreError> {
        self.0.online_count().await
    }

    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.0.reap(limit).await
    }
}

#[async_trait]
impl ActivityStore for FaultyStore {
    async fn record(&self, activity: &Activity) -> Result<(), StoreError> {
        self.0.record(activity).await
    }

    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError> {
        self.0.activity(hours, days).await
    }
}

#[async_trait]
impl Health for FaultyStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.0.check().await
    }

    fn trouble(&self) -> Option<&'static str> {
        self.0.trouble()
    }

    fn is_available(&self) -> bool {
        self.0.is_available()
    }

    fn traffic(&self) -> Traffic {
        self.0.traffic()
    }
}
