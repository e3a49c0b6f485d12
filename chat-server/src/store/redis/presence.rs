//! [`PresenceStore`] on Redis.

use async_trait::async_trait;
use fred::types::FromValue;

use super::MAX_LIMIT;
use super::replies::optional;
use super::store::{RedisStore, flag, ttl};
use crate::domain::id::{NodeId, UserId};
use crate::domain::position::Millis;
use crate::store::{PresenceStore, StoreError};

/// How long a node that sent no heartbeat yet counts as alive.
const FIRST_TTL_MS: Millis = 15_000;

impl RedisStore {
    async fn run_presence<R: FromValue + Send>(&self, args: Vec<String>) -> Result<R, StoreError> {
        self.run(&self.scripts.presence, self.keyspace.presence(), args).await
    }
}

#[async_trait]
impl PresenceStore for RedisStore {
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError> {
        let args = vec![
            "set".to_owned(),
            node.to_string(),
            user.to_string(),
            flag(card.is_some()),
            card.unwrap_or_default().to_owned(),
            FIRST_TTL_MS.to_string(),
        ];
        let (was, is): (u64, u64) = self.run_presence(args).await?;
        Ok((was == 1, is == 1))
    }

    async fn beat(&self, node: &NodeId, ttl_ms: u64, occupied: bool) -> Result<bool, StoreError> {
        let args = vec!["beat".to_owned(), node.to_string(), ttl(ttl_ms), flag(occupied)];
        Ok(self.run_presence::<u64>(args).await? == 1)
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let args = std::iter::once("get".to_owned()).chain(users.iter().map(ToString::to_string)).collect();
        let cards: Vec<String> = self.run_presence(args).await?;
        Ok(cards.iter().map(|card| optional(card)).collect())
    }

    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError> {
        let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
        let listed: Vec<(String, String)> =
            self.run_presence(vec!["list".to_owned(), from, limit.min(MAX_LIMIT).to_string()]).await?;
        Ok(listed.into_iter().filter_map(|(user, card)| Some((UserId::parse(&user).ok()?, card))).collect())
    }

    async fn online_count(&self) -> Result<u64, StoreError> {
        self.run_presence(vec!["count".to_owned()]).await
    }

    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError> {
        let gone: Vec<String> = self.run_presence(vec!["reap".to_owned(), limit.min(MAX_LIMIT).to_string()]).await?;
        Ok(gone.iter().filter_map(|user| UserId::parse(user).ok()).collect())
    }
}
