//! Comparing the feeds with the ends of their logs. A lost entry shows as a hole with the next one; the last entry of a
//! quiet room has no next one.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::hub::Hub;
use super::mailbox::FeedHandle;
use crate::store::{StoreError, Topic};

/// How often all rooms of the node are compared, in one call of the store.
const INTERVAL: Duration = Duration::from_secs(5);

/// Compares all feeds with their logs from time to time, until the task is dropped.
pub async fn compare_tails(hub: Hub) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = compare(&hub).await {
            tracing::debug!(%error, "the rooms could not be compared with their logs");
        }
    }
}

async fn compare(hub: &Hub) -> Result<(), StoreError> {
    let (topics, feeds): (Vec<_>, Vec<FeedHandle>) =
        hub.registry().all().into_iter().map(|(room, feed)| (Topic::Room(room), feed)).unzip();
    // Where the feeds are now: what is appended later is on its way.
    let before: Vec<_> = feeds.iter().map(FeedHandle::position).collect();
    let tops = hub.shared().log.tops(&topics).await?;
    for ((feed, before), top) in feeds.iter().zip(before).zip(tops) {
        let (Some(before), Some(top)) = (before, top) else { continue };
        // A feed that moved meanwhile is of no quiet room.
        if top != before && feed.position().is_some_and(|now| now == before) {
            hub.shared().metrics.tails_missed.inc();
            feed.backfill();
        }
    }
    Ok(())
}
