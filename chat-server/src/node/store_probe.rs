//! Finding out whether the store takes writes, where nobody writes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::domain::id::NodeId;
use crate::store::Health;

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Probes the store until the task is dropped.
pub(super) async fn probe_store(health: Arc<dyn Health>, node: NodeId) {
    loop {
        sleep(INTERVAL).await;
        health.probe(&node).await;
    }
}
