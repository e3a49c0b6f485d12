//! How much the chat is used.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::activity::{Activity, Report};

/// How much the chat is used. [`Store`](super::Store) states what all implementations guarantee.
#[async_trait]
pub trait ActivityStore: Send + Sync + 'static {
    /// Adds to what is known of what goes on, under the hour and the day of the broker's clock. Not idempotent.
    async fn record(&self, activity: &Activity) -> Result<(), StoreError>;

    /// What went on in the last `hours` and `days`, the present ones among them; at most [`MOST_HOURS`] and
    /// [`MOST_DAYS`].
    ///
    /// [`MOST_HOURS`]: crate::domain::activity::MOST_HOURS
    /// [`MOST_DAYS`]: crate::domain::activity::MOST_DAYS
    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError>;
}
