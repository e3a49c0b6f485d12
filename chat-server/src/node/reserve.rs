//! Watches how much of the store's memory is in use.

use std::sync::Arc;
use std::time::Duration;

use crate::observability::metrics::Metrics;
use crate::service::reserve::Reserve;
use crate::store::Health;

/// How often the store is asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often while it may become full before the next answer.
const CLOSE_INTERVAL: Duration = Duration::from_millis(200);
/// The share from which on that may be.
const CLOSE: f64 = 0.7;

/// Keeps `reserve` right, until the task is dropped.
pub(super) async fn watch_memory(health: Arc<dyn Health>, reserve: Reserve, metrics: Metrics) {
    let mut warned = false;
    loop {
        let used = match health.memory_used().await {
            Ok(used) => used.unwrap_or(0.0),
            Err(error) => {
                tracing::debug!(%error, "the store's memory could not be read");
                tokio::time::sleep(INTERVAL).await;
                continue;
            }
        };
        reserve.note(used);
        metrics.memory_used.set(used);
        let percent = reserve.in_use();
        if let Some(percent) = percent.filter(|_| !warned) {
            tracing::warn!(percent, "the store is almost full: only messages are taken");
        }
        warned = percent.is_some();
        tokio::time::sleep(if used < CLOSE { INTERVAL } else { CLOSE_INTERVAL }).await;
    }
}
