//! [`Health`] of Redis.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::store::RedisStore;
use crate::domain::id::NodeId;
use crate::domain::trouble::Trouble;
use crate::store::{Commit, Health, LogStore, StoreError, Traffic};

/// The field that a probe writes.
const PROBE: &str = "probe";
/// How long what a probe wrote is kept: nobody reads it.
const PROBE_TTL_MS: u64 = 60_000;
/// Every so many probes the permissions are checked, too.
const PERMISSIONS_EVERY: u64 = 5;

#[async_trait]
impl Health for RedisStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.router.check().await
    }

    fn trouble(&self) -> Option<Trouble> {
        self.router.trouble()
    }

    async fn probe(&self, node: &NodeId) {
        let round = self.probes.fetch_add(1, Ordering::Relaxed);
        let topics = self.router.probes(node);
        let each = topics.iter().map(|topic| {
            let key = self.keyspace.keys(topic).fields;
            async move {
                let set = vec![(PROBE.to_owned(), Some(String::new()))];
                let commit = Commit { set, ttl_ms: Some(PROBE_TTL_MS), ..Commit::default() };
                let write = async { self.commit(topic, commit).await.map(drop) };
                self.router.probe(&key, round.is_multiple_of(PERMISSIONS_EVERY), write).await;
            }
        });
        join_all(each).await;
    }

    fn is_available(&self) -> bool {
        self.router.is_available()
    }

    async fn memory_used(&self) -> Result<Option<f64>, StoreError> {
        self.router.memory_used().await
    }

    fn traffic(&self) -> Traffic {
        self.router.traffic()
    }
}
