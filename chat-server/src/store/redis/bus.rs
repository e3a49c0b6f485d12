//! [`Bus`] on Redis: each topic is a channel, published by the server that owns its slot.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::COMMAND_TIMEOUT;
use super::cluster::router::Router;
use super::cluster::shard::Shard;
use super::pubsub::frames;
use super::pubsub::subscribe::SubscribeError;
use super::store::RedisStore;
use crate::domain::id::NodeId;
use crate::store::{Bus, StoreError, Topic};

#[async_trait]
impl Bus for RedisStore {
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError> {
        self.router.publish(&self.keyspace.channel(topic), frames::signal(&payload)).await
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        if topics.is_empty() {
            return Ok(());
        }
        let subscriptions = self.router.subscriptions();
        let channels: Vec<String> = topics.iter().map(|topic| self.keyspace.channel(topic)).collect();
        // Added before the server is asked, so that a reconnect in between subscribes to them, too.
        let new = subscriptions.add(&channels);
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        loop {
            let subscribed = async {
                let each = by_shard(&self.router, &channels)?.into_iter();
                let each = each.map(|(shard, some)| async move { shard.subscriber().subscribe(&some).await });
                join_all(each).await.into_iter().collect::<Result<(), SubscribeError>>()
            };
            let error = match subscribed.await {
                Ok(()) => return Ok(()),
                Err(SubscribeError::Moved) if Instant::now() < deadline => {
                    self.router.refresh_slots().await;
                    continue;
                }
                Err(SubscribeError::Moved) => StoreError::Unavailable("the channel's slot is on its way".to_owned()),
                Err(SubscribeError::Failed(error)) => error,
            };
            subscriptions.remove(&new);
            return Err(error);
        }
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        let channels: Vec<String> = topics.iter().map(|topic| self.keyspace.channel(topic)).collect();
        match by_shard(&self.router, &channels) {
            Ok(each) => {
                let each = each.into_iter();
                join_all(each.map(|(shard, some)| async move { shard.subscriber().unsubscribe(&some).await })).await;
            }
            // No shard owns them. Messages that still arrive are dropped, because the channels are not in the list.
            Err(_) => drop(self.router.subscriptions().remove(&channels)),
        }
        Ok(())
    }

    fn probes(&self, node: &NodeId) -> Vec<Topic> {
        self.router.probes(node)
    }

    async fn renew_bus(&self, topic: &Topic) {
        if let Ok(shard) = self.router.shard_of(&self.keyspace.channel(topic)) {
            shard.subscriber().connection().renew().await;
        }
    }
}

type ByShard = Vec<(Arc<Shard>, Vec<String>)>;

/// The channels of each shard.
fn by_shard(router: &Router, channels: &[String]) -> Result<ByShard, StoreError> {
    let mut each = ByShard::new();
    for channel in channels {
        let shard = router.shard_of(channel)?;
        match each.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &shard)) {
            Some((_, some)) => some.push(channel.clone()),
            None => each.push((shard, vec![channel.clone()])),
        }
    }
    Ok(each)
}
