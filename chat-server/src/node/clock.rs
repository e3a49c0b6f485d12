//! Estimating how far the store's clock is ahead of this machine's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::domain::id::NodeId;
use crate::observability::metrics::Metrics;
use crate::observability::store_clock::{StoreClock, local_millis};
use crate::store::{FieldStore, Topic};

/// How often the store is asked for its time: clocks drift slowly.
const INTERVAL: Duration = Duration::from_secs(10);
/// Of the last so many answers the quickest counts: the store's time was read somewhere between question and answer.
const SAMPLES: usize = 6;

/// Keeps `clock` right, until the task is dropped.
pub(super) async fn follow_store_clock(node: NodeId, store: Arc<dyn FieldStore>, clock: StoreClock, metrics: Metrics) {
    let topic = Topic::Node(node, 0);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut samples: VecDeque<(Duration, i64)> = VecDeque::with_capacity(SAMPLES);
    loop {
        ticks.tick().await;
        let (asked_at, begun) = (local_millis(), Instant::now());
        let store_time = match store.fields(&topic, &[]).await {
            Ok(fields) => i64::try_from(fields.now).unwrap_or(i64::MAX),
            Err(error) => {
                tracing::debug!(%error, "the store's clock could not be read");
                continue;
            }
        };
        let took = begun.elapsed();
        let halfway = i64::try_from(took.as_millis() / 2).unwrap_or_default();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back((took, store_time.saturating_sub(asked_at.saturating_add(halfway))));
        let Some((_, ahead)) = samples.iter().min_by_key(|(took, _)| *took) else { continue };
        clock.set_ahead(*ahead);
        // A few hours at most: an f64 counts that.
        #[allow(clippy::cast_precision_loss)]
        metrics.clock_offset.set(*ahead as f64 / 1000.0);
    }
}
