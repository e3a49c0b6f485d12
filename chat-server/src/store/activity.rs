//! Usage analytics.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::activity::{Activity, Report};

/// Usage analytics, by hour and day of the store's clock.
#[async_trait]
pub trait ActivityStore: Send + Sync + 'static {
    /// Adds the activity of a node to the present hour and day. Not idempotent.
    async fn record(&self, activity: &Activity) -> Result<(), StoreError>;

    /// Returns the activity of the last `hours` and `days`, the present ones included; at most [`MOST_HOURS`] and
    /// [`MOST_DAYS`].
    ///
    /// [`MOST_HOURS`]: crate::domain::activity::MOST_HOURS
    /// [`MOST_DAYS`]: crate::domain::activity::MOST_DAYS
    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError>;
}
