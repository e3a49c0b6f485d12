//! [`LogStore`] on Redis.

use async_trait::async_trait;
use fred::types::Value;
use futures_util::future::try_join_all;

use super::append::coalescer::{self, Wakeup};
use super::keys::TopicKeys;
use super::replies::{RawEntry, ends, entry, number};
use super::store::RedisStore;
use super::topic_head;
use super::{MAX_LIMIT, MAX_OFFSET};
use crate::domain::id::UserId;
use crate::domain::position::{Epoch, Lineage, Position};
use crate::store::{Commit, Committed, Entry, Head, Keep, LogStore, Range, Slice, StoreError, Topic, new_epoch};

mod commit;

/// Logs that are asked for their last positions in one write.
const TOPICS_AT_ONCE: usize = 1_000;
/// Logs whose heads one script reads: Redis does nothing else meanwhile.
const HEADS_AT_ONCE: usize = 100;

#[async_trait]
impl LogStore for RedisStore {
    async fn commit(&self, topic: &Topic, commit: Commit) -> Result<Committed, StoreError> {
        if !coalescer::can_coalesce(&commit) {
            return self.commit_alone(topic, commit).await;
        }
        let leader = match self.coalescer.enter(topic, commit) {
            Ok(leader) => leader,
            Err(wakeup) => match wakeup.await {
                Ok(Wakeup::Committed(answer)) => return answer,
                Ok(Wakeup::Lead(leader)) => leader,
                Err(_) => return Err(StoreError::Unavailable("the caller that sent the commit gave up".to_owned())),
            },
        };
        self.commit_as_leader(topic, leader).await
    }

    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError> {
        let TopicKeys { log, nonces, .. } = self.keyspace.keys(topic);
        let args = vec![format!("{by}={nonce}"), self.max_age()];
        let found: Vec<String> = self.run_durably(&self.scripts.find_nonce, vec![log, nonces], args).await?;
        let Ok([epoch, offset, at, event, by, payload]) = <[String; 6]>::try_from(found) else { return Ok(None) };
        entry((epoch, offset, at, event, by, payload)).map(Some)
    }

    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError> {
        let TopicKeys { fields, log, .. } = self.keyspace.keys(topic);
        let keep = match range.keep {
            Keep::Oldest => "oldest",
            Keep::NewestCounted => "counted",
            Keep::OldestCounted => "oldest counted",
        };
        let args = vec![
            range.after.min(MAX_OFFSET).to_string(),
            range.before.map(|before| before.min(MAX_OFFSET).to_string()).unwrap_or_default(),
            range.limit.min(MAX_LIMIT).to_string(),
            keep.to_owned(),
            self.max_age(),
            new_epoch()?.as_str().to_owned(),
        ];
        let (epoch, ended, top, first, entries, more): (String, String, String, String, Vec<RawEntry>, u64) =
            self.run(&self.scripts.read_log, vec![fields, log], args).await?;
        let entries = entries.into_iter().map(entry).collect::<Result<_, _>>()?;
        let lineage = Lineage { epoch: Epoch::new(&epoch), ended: ends(&ended)? };
        Ok(Slice { lineage, top: number(&top)?, first: number(&first)?, entries, more: more == 1 })
    }

    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError> {
        let mut tops = Vec::with_capacity(topics.len());
        for some in topics.chunks(TOPICS_AT_ONCE) {
            // In one write: fred combines the commands that are queued.
            let each = some.iter().map(|topic| async {
                let key = self.keyspace.keys(topic).fields;
                let head: Option<Value> = self.query("HGET", key, vec![topic_head::head()]).await?;
                topic_head::position(head.as_ref())
            });
            tops.extend(futures_util::future::join_all(each).await);
        }
        match tops.iter().find_map(|top| top.as_ref().err()) {
            Some(error) if tops.iter().all(Result::is_err) => Err(error.clone()),
            _ => Ok(tops.into_iter().map(Result::ok).collect()),
        }
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Head>, StoreError> {
        // In a Redis Cluster each topic has a call of its own: their keys are in different slots.
        let at_once = if self.router.is_sharded() { 1 } else { HEADS_AT_ONCE };
        let each = topics.chunks(at_once).map(|some| async {
            let keys = some.iter().map(|topic| self.keyspace.keys(topic).fields).collect();
            let epochs = some.iter().map(|_| Ok(new_epoch()?.as_str().to_owned()));
            let found: Vec<(String, String, String)> =
                self.run(&self.scripts.read_heads, keys, epochs.collect::<Result<_, StoreError>>()?).await?;
            let heads = found.into_iter().map(|(epoch, ended, top)| {
                Ok(Head { lineage: Lineage { epoch: Epoch::new(&epoch), ended: ends(&ended)? }, top: number(&top)? })
            });
            heads.collect::<Result<Vec<Head>, StoreError>>()
        });
        Ok(try_join_all(each).await?.into_iter().flatten().collect())
    }
}
