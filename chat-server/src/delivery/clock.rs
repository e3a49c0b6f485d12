//! The broker's clock, as a node sees it: events bear its time, and how long one took to its socket is measured here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::{MissedTickBehavior, interval};

use super::Hub;
use crate::domain::position::Millis;
use crate::store::Topic;

/// How often it is asked for: clocks part slowly.
const EVERY: Duration = Duration::from_secs(10);
/// Of so many answers the quickest says most, for the answer is somewhere between the question and its coming back.
const KEPT: usize = 6;

/// How far the broker's clock is ahead of this machine's, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicI64);

impl Clock {
    /// How long ago something happened, by the broker's clock. Nothing is from the future.
    pub(super) fn since(&self, at: Millis) -> Duration {
        let now = here().saturating_add(self.0.load(Ordering::Relaxed));
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Duration::from_millis(u64::try_from(now.saturating_sub(at)).unwrap_or_default())
    }
}

/// This machine's clock.
fn here() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Hub {
    /// Compares the clocks for ever.
    pub async fn watch_clock(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answers: VecDeque<(Duration, i64)> = VecDeque::with_capacity(KEPT);
        loop {
            ticks.tick().await;
            let (asked, begun) = (here(), Instant::now());
            let topic = Topic::Node(self.0.node.clone(), 0);
            let there = match self.0.fields.fields(&topic, &[]).await {
                Ok(fields) => i64::try_from(fields.now).unwrap_or(i64::MAX),
                Err(error) => {
                    tracing::debug!(%error, "the broker's clock could not be read");
                    continue;
                }
            };
            let took = begun.elapsed();
            let halfway = i64::try_from(took.as_millis() / 2).unwrap_or_default();
            if answers.len() == KEPT {
                answers.pop_front();
            }
            answers.push_back((took, there.saturating_sub(asked.saturating_add(halfway))));
            let Some((_, ahead)) = answers.iter().min_by_key(|(took, _)| *took) else { continue };
            self.0.clock.0.store(*ahead, Ordering::Relaxed);
            // A few hours at most: an f64 counts that.
            #[allow(clippy::cast_precision_loss)]
            self.0.metrics.clock_offset.set(*ahead as f64 / 1000.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_by_a_clock_that_is_ahead_is_as_old_as_it_is() {
        let clock = Clock(AtomicI64::new(60_000));
        let at = u64::try_from(here()).unwrap() + 60_000 - 500;
        let age = clock.since(at);
        assert!(age >= Duration::from_millis(500) && age < Duration::from_secs(30), "{age:?}");
        assert_eq!(clock.since(Millis::MAX), Duration::ZERO);
    }
}
