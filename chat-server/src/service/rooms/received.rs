//! How often others may do something to a person, whoever they are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::domain::bucket_table::BucketTable;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::UserId;
use crate::domain::limits::Limit;
use crate::domain::rate_limit::Rate;

/// What was done to each person on this node lately. Clones are the same. By default nothing is limited.
#[derive(Clone, Default)]
pub(super) struct Received(Option<Arc<Lately>>);

struct Lately {
    begun: Instant,
    buckets: Mutex<BucketTable<UserId>>,
}

impl Received {
    pub(super) fn at(rate: Rate) -> Self {
        let lately = |buckets| Arc::new(Lately { begun: Instant::now(), buckets: Mutex::new(buckets) });
        Self(BucketTable::new(rate).map(lately))
    }

    /// Counts an invitation, or a new direct message.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one may come.
    pub(super) fn count(&self, to: &UserId) -> Result<(), Refusal> {
        let Some(lately) = &self.0 else { return Ok(()) };
        let mut buckets = lately.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.take(to.clone(), lately.begun.elapsed());
        taken.map_err(|wait| {
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            let what = "others invite this person or write to them too often; wait";
            Refusal::new(Code::RateLimited, what).at(Limit::Received).retry_after_ms(wait)
        })
    }
}
