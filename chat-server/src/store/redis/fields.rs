//! [`FieldStore`] and [`ReadMarks`] on Redis.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use fred::types::Value;
use futures_util::future::try_join_all;

use super::keys::TopicKeys;
use super::replies::{number, optional};
use super::store::{RedisStore, ttl};
use super::topic_head::{self, Unread};
use super::{MAX_LIMIT, MAX_OFFSET};
use crate::domain::id::UserId;
use crate::domain::position::{Epoch, Offset};
use crate::store::{FieldStore, Fields, Marked, ReadMarks, Seen, StoreError, Topic};

/// Topics that are read in one write.
const TOPICS_AT_ONCE: usize = 1_000;
/// Topics that one script verifies: Redis does nothing else meanwhile.
const VERIFIED_AT_ONCE: usize = 200;

impl RedisStore {
    /// Reads the same fields of many topics. Each is one command, and they go in one write: fred combines those that are
    /// queued.
    pub(super) async fn read_fields(
        &self,
        topics: &[Topic],
        names: &[Value],
    ) -> Result<Vec<Vec<Option<Value>>>, StoreError> {
        let mut all = Vec::with_capacity(topics.len());
        for some in topics.chunks(TOPICS_AT_ONCE) {
            let each = some.iter().map(|topic| self.query("HMGET", self.keyspace.keys(topic).fields, names.to_vec()));
            all.extend(try_join_all(each).await?);
        }
        Ok(all)
    }

    /// What is unread in a log, less what is past the maximum age: until the next commit nobody removes that. The log is
    /// asked only where it began before.
    async fn not_too_old(&self, topic: &Topic, found: Unread) -> Result<u64, StoreError> {
        let Unread { unread, counted, since } = found;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let begins_too_early = self.limited_age().is_some_and(|age| u128::from(since.saturating_add(age)) <= now);
        if unread == 0 || !begins_too_early {
            return Ok(unread);
        }
        let TopicKeys { fields, log, .. } = self.keyspace.keys(topic);
        let gone: u64 = self.run(&self.scripts.count_gone, vec![fields, log], vec![self.max_age()]).await?;
        Ok(unread.min(counted.saturating_sub(gone)))
    }
}

fn texts(values: impl IntoIterator<Item = Option<Value>>) -> Vec<Option<String>> {
    values.into_iter().map(|value| value.and_then(Value::into_string)).collect()
}

#[async_trait]
impl FieldStore for RedisStore {
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError> {
        let reply: Vec<String> =
            self.run(&self.scripts.read_fields, vec![self.keyspace.keys(topic).fields], names.to_vec()).await?;
        let mut reply = reply.into_iter();
        let now = number(&reply.next().unwrap_or_default())?;
        Ok(Fields { now, values: reply.map(|value| optional(&value)).collect() })
    }

    async fn values(&self, topics: &[Topic], names: &[String]) -> Result<Vec<Vec<Option<String>>>, StoreError> {
        if names.is_empty() {
            return Ok(vec![Vec::new(); topics.len()]);
        }
        let names: Vec<Value> = names.iter().map(|name| name.as_str().into()).collect();
        Ok(self.read_fields(topics, &names).await?.into_iter().map(texts).collect())
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
        // No byte of UTF-8 is 255: everything that starts with the prefix comes before.
        let end = if prefix.is_empty() { b"+".to_vec() } else { [b"(", prefix.as_bytes(), &[255]].concat() };
        let bounds = vec![format!("[{prefix}").into(), Value::Bytes(end.into())];
        self.query("ZLEXCOUNT", self.keyspace.keys(topic).index, bounds).await
    }

    async fn verify(&self, held: &[(Topic, String)]) -> Result<Vec<bool>, StoreError> {
        // In a Redis Cluster each topic has a call of its own: their keys are in different slots.
        let at_once = if self.router.is_sharded() { 1 } else { VERIFIED_AT_ONCE };
        let each = held.chunks(at_once).map(|some| async {
            let keys = some.iter().flat_map(|(topic, _)| {
                let TopicKeys { fields, index, .. } = self.keyspace.keys(topic);
                [fields, index]
            });
            let names = some.iter().map(|(_, name)| name.clone()).collect();
            let found: Vec<u64> = self.run(&self.scripts.verify_fields, keys.collect(), names).await?;
            Ok::<_, StoreError>(found.into_iter().map(|there| there == 1))
        });
        Ok(try_join_all(each).await?.into_iter().flatten().collect())
    }

    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError> {
        let exists: u64 = self.run(&self.scripts.touch, self.keyspace.keys(topic).all(), vec![ttl(ttl_ms)]).await?;
        Ok(exists == 1)
    }
}

#[async_trait]
impl ReadMarks for RedisStore {
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<Marked, StoreError> {
        let TopicKeys { fields, log, .. } = self.keyspace.keys(topic);
        let args = vec![user.to_string(), offset.min(MAX_OFFSET).to_string(), self.max_age()];
        let (offset, epoch, unread): (String, String, String) =
            self.run(&self.scripts.mark_read, vec![fields, log], args).await?;
        Ok(Marked { offset: number(&offset)?, epoch: Epoch::new(&epoch), unread: number(&unread)? })
    }

    async fn readers(
        &self,
        topic: &Topic,
        cursor: &str,
        limit: usize,
    ) -> Result<(Vec<UserId>, Option<String>), StoreError> {
        let cursor = if cursor.is_empty() { "0" } else { cursor };
        let args =
            vec![cursor.into(), "MATCH".into(), topic_head::any_marks(), "COUNT".into(), limit.to_string().into()];
        let (next, found): (String, Vec<Value>) = self.query("HSCAN", self.keyspace.keys(topic).fields, args).await?;
        // Names and values take turns. Who wrote something and has a mark is found twice.
        let mut readers: Vec<UserId> = found.iter().step_by(2).filter_map(topic_head::reader).collect();
        readers.sort_unstable();
        readers.dedup();
        Ok((readers, (next != "0").then_some(next)))
    }

    async fn forget(&self, topic: &Topic, users: &[UserId]) -> Result<(), StoreError> {
        for some in users.chunks(TOPICS_AT_ONCE) {
            let names: Vec<Value> = some.iter().flat_map(topic_head::kept_of).collect();
            let _: u64 = self.query("HDEL", self.keyspace.keys(topic).fields, names).await?;
        }
        Ok(())
    }

    async fn seen(&self, topics: &[Topic], user: &UserId, names: &[String]) -> Result<Vec<Seen>, StoreError> {
        let asked: Vec<Value> =
            topic_head::marks_of(user).into_iter().chain(names.iter().map(|name| name.as_str().into())).collect();
        let found = self.read_fields(topics, &asked).await?;
        let seen = topics.iter().zip(found).map(async |(topic, values)| {
            let mut values = values.into_iter();
            let unread = topic_head::unread(std::array::from_fn(|_| values.next().flatten()))?;
            Ok(Seen { unread: self.not_too_old(topic, unread).await?, values: texts(values) })
        });
        try_join_all(seen).await
    }
}
