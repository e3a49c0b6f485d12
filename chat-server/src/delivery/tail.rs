//! Whether each room's feed is where its log is. A frame that is lost shows as a hole with the next
//! one; the last frame of a quiet room has no next one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Handle, Hub, Mail};
use crate::store::{StoreError, Topic};

/// How often all rooms of the node are compared, in one go.
const EVERY: Duration = Duration::from_secs(5);
/// How many sockets a second look up their rooms anew after an interruption.
const REVIEWS_PER_SECOND: u32 = 200;

impl Hub {
    /// Compares for ever.
    pub async fn watch_tails(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.compare().await {
                tracing::debug!(%error, "the rooms could not be compared with their logs");
            }
        }
    }

    async fn compare(&self) -> Result<(), StoreError> {
        let (topics, handles): (Vec<_>, Vec<Handle>) = {
            let rooms = self.lock_rooms();
            rooms.iter().map(|(room, handle)| (Topic::room(room), handle.clone())).unzip()
        };
        // Where the feeds are now; what comes later in the logs is on its way.
        let before: Vec<_> = handles.iter().map(Handle::position).collect();
        let tops = self.0.log.tops(&topics).await?;
        for ((handle, before), top) in handles.iter().zip(before).zip(tops) {
            let (Some(before), Some(top)) = (before, top) else { continue };
            // One that moved while the logs were asked is no quiet room.
            if top != before && handle.position().is_some_and(|now| now == before) {
                self.0.metrics.tails_missed.inc();
                handle.check();
            }
        }
        Ok(())
    }

    /// After an interruption of the bus: each feed compares with its log, and each socket looks
    /// whether its person joined a room without its hearing of it.
    pub(super) fn recover_bus(&self) {
        let handles: Vec<Handle> = self.lock_rooms().values().cloned().collect();
        tracing::info!(rooms = handles.len(), "the bus was interrupted; comparing with the logs");
        for handle in handles {
            handle.check();
        }
        let clients = self.clients();
        tokio::spawn(async move {
            for client in clients {
                client.review();
                sleep(Duration::from_secs(1) / REVIEWS_PER_SECOND).await;
            }
        });
    }
}

impl Handle {
    /// Has the feed compare itself with the log, now or as soon as it can.
    fn check(&self) {
        self.missed.store(true, Ordering::Relaxed);
        // A full mailbox will see the mark.
        let _ = self.mail.try_send(Mail::Check);
    }
}
