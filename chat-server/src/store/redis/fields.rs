//! [`FieldStore`] and [`ReadMarks`] on Redis.

use async_trait::async_trait;

use super::keys::TopicKeys;
use super::replies::{number, optional};
use super::store::{RedisStore, ttl};
use super::{MAX_LIMIT, MAX_OFFSET};
use crate::domain::id::UserId;
use crate::domain::position::Offset;
use crate::store::{FieldStore, Fields, ReadMarks, StoreError, Topic};

#[async_trait]
impl FieldStore for RedisStore {
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError> {
        let reply: Vec<String> =
            self.run(&self.scripts.read_fields, vec![self.keyspace.keys(topic).fields], names.to_vec()).await?;
        let mut reply = reply.into_iter();
        let now = number(&reply.next().unwrap_or_default())?;
        Ok(Fields { now, values: reply.map(|value| optional(&value)).collect() })
    }

    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let TopicKeys { fields, index, .. } = self.keyspace.keys(topic);
        let from = match after {
            Some(after) if after >= prefix => format!("({after}"),
            _ => format!("[{prefix}"),
        };
        let args = vec![prefix.to_owned(), from, limit.min(MAX_LIMIT).to_string()];
        self.run(&self.scripts.list_fields, vec![fields, index], args).await
    }

    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError> {
        let TopicKeys { fields, index, .. } = self.keyspace.keys(topic);
        let args = vec![prefix.to_owned(), format!("[{prefix}"), "count".to_owned()];
        self.run(&self.scripts.list_fields, vec![fields, index], args).await
    }

    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError> {
        let exists: u64 = self.run(&self.scripts.touch, self.keyspace.keys(topic).all(), vec![ttl(ttl_ms)]).await?;
        Ok(exists == 1)
    }
}

#[async_trait]
impl ReadMarks for RedisStore {
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<u64, StoreError> {
        let TopicKeys { fields, log, .. } = self.keyspace.keys(topic);
        let args = vec![user.to_string(), offset.min(MAX_OFFSET).to_string(), self.max_age()];
        self.run(&self.scripts.mark_read, vec![fields, log], args).await
    }

    async fn unread(&self, topics: &[Topic], user: &UserId) -> Result<Vec<u64>, StoreError> {
        // In one write: fred combines the commands that are queued.
        let each = topics.iter().map(|topic| {
            self.run(&self.scripts.unread, vec![self.keyspace.keys(topic).fields], vec![user.to_string()])
        });
        futures_util::future::try_join_all(each).await
    }
}
