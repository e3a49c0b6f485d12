//! The channels that the node subscribes to, whichever server publishes them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::store::redis::slots;

/// The desired subscriptions, the shards on which they are in force, and the shards that own the slots. A shard is
/// known by its number.
#[derive(Default)]
pub(crate) struct Subscriptions {
    /// The shard on which each is in force, if any.
    channels: Mutex<HashMap<String, Option<u64>>>,
    /// The shard that publishes, by slot; one element where there are no slots.
    owners: RwLock<Vec<Option<u64>>>,
    slots_moved: Notify,
}

impl Subscriptions {
    fn channels(&self) -> MutexGuard<'_, HashMap<String, Option<u64>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds channels; returns those that are new.
    pub(crate) fn add(&self, channels: &[String]) -> Vec<String> {
        let mut known = self.channels();
        let new = channels.iter().filter(|channel| !known.contains_key(*channel)).cloned().collect::<Vec<_>>();
        known.extend(new.iter().map(|channel| (channel.clone(), None)));
        new
    }

    /// Removes channels; returns those that were there.
    pub(crate) fn remove(&self, channels: &[String]) -> Vec<String> {
        let mut known = self.channels();
        channels.iter().filter(|channel| known.remove(*channel).is_some()).cloned().collect()
    }

    pub(super) fn contains(&self, channel: &str) -> bool {
        self.channels().contains_key(channel)
    }

    /// Notes that channels are subscribed on a shard.
    pub(super) fn set_in_force(&self, channels: &[String], shard: u64) {
        let mut known = self.channels();
        for channel in channels {
            if let Some(at) = known.get_mut(channel) {
                *at = Some(shard);
            }
        }
    }

    /// Notes that a shard lost all subscriptions, with its connection.
    pub(super) fn set_lost(&self, shard: u64) {
        for at in self.channels().values_mut().filter(|at| **at == Some(shard)) {
            *at = None;
        }
    }

    /// The channels that should be subscribed on a shard and are not.
    pub(super) fn missing(&self, shard: u64) -> Vec<String> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        let owner = |channel: &str| match &owners[..] {
            [only] => *only,
            all => all.get(slots::of(channel)).copied().flatten(),
        };
        let channels = self.channels();
        let missing = channels.iter().filter(|(channel, at)| **at != Some(shard) && owner(channel) == Some(shard));
        missing.map(|(channel, _)| channel.clone()).collect()
    }

    /// Sets the owner of each slot; returns whether that is a change.
    pub(crate) fn set_owners(&self, owners: Vec<Option<u64>>) -> bool {
        let mut known = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *known != owners;
        *known = owners;
        changed
    }

    /// Reports that slots have moved.
    pub(crate) fn report_moved(&self) {
        self.slots_moved.notify_one();
    }

    /// Waits for [`Subscriptions::report_moved`].
    pub(crate) async fn moved(&self) {
        self.slots_moved.notified().await;
    }
}
