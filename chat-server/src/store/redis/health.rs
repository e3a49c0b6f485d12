//! [`Health`] of Redis.

use async_trait::async_trait;

use super::store::RedisStore;
use crate::store::{Health, StoreError, Traffic};

#[async_trait]
impl Health for RedisStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.router.check().await
    }

    fn trouble(&self) -> Option<&'static str> {
        self.router.trouble()
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
