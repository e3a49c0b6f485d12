//! What people do with messages, a file a use case.

use std::sync::Arc;

use crate::observability::metrics::Metrics;
use crate::service::analytics::Analytics;
use crate::service::rooms::Rooms;
use crate::store::{LogStore, ReadMarks, Stores};

pub mod history;
mod read;
pub mod send;

/// The messages of a cluster.
#[derive(Clone)]
pub struct Messages {
    log: Arc<dyn LogStore>,
    marks: Arc<dyn ReadMarks>,
    rooms: Rooms,
    analytics: Analytics,
    metrics: Metrics,
    /// Longest text, in bytes of UTF-8.
    max_message_bytes: usize,
}

impl Messages {
    /// The messages that a store keeps, each of at most `max_message_bytes` of UTF-8.
    #[must_use]
    pub fn new(
        stores: &Stores,
        rooms: Rooms,
        analytics: Analytics,
        metrics: Metrics,
        max_message_bytes: usize,
    ) -> Self {
        let Stores { log, marks, .. } = stores.clone();
        Self { log, marks, rooms, analytics, metrics, max_message_bytes }
    }
}
