//! A store with an injected fault. The feature `fault-injection` compiles it in.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::id::UserId;
use crate::domain::position::{Offset, Position};
use crate::fault_injection::{Fault, is_injected};
use crate::store::{Commit, Committed, Entry, Head, Keep, LogStore, Range, Slice, StoreError, Stores, Topic};

/// Injects the chosen fault into a store.
#[must_use]
pub fn faulty(stores: Stores) -> Stores {
    Stores { log: Arc::new(FaultyStore(stores.log)), ..stores }
}

/// A log with the injected fault.
struct FaultyStore(Arc<dyn LogStore>);

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
                let (log, topic) = (self.0.clone(), topic.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let _ = log.commit(&topic, commit).await;
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

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Head>, StoreError> {
        self.0.heads(topics).await
    }

    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError> {
        self.0.read(topic, range).await
    }
}
