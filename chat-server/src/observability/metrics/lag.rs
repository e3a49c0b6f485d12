//! Whether the node's threads get to what is to be done.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Metrics;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(250);

impl Metrics {
    /// Measures, for ever, how late a timer runs.
    pub async fn watch_lag(self) {
        loop {
            let due = Instant::now() + EVERY;
            sleep_until(due).await;
            self.loop_lag.observe(due.elapsed());
        }
    }
}
