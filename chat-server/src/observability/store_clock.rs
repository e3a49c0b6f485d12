//! The store's clock, as a node sees it: entries bear its time, and their latencies are measured by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::position::Millis;

/// How far the store's clock is ahead of this machine's, in milliseconds. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct StoreClock(Arc<AtomicI64>);

impl StoreClock {
    /// How long ago something happened, by the store's clock. Nothing is from the future.
    #[must_use]
    pub fn since(&self, at: Millis) -> Duration {
        let now = local_millis().saturating_add(self.0.load(Ordering::Relaxed));
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Duration::from_millis(u64::try_from(now.saturating_sub(at)).unwrap_or_default())
    }

    /// Sets how far the store's clock is ahead, in milliseconds.
    pub fn set_ahead(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

/// The time of this machine's clock, in milliseconds since 1970.
#[must_use]
pub fn local_millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_measured_by_the_clock_that_stamped_it() {
        let clock = StoreClock::default();
        clock.set_ahead(60_000);
        let at = u64::try_from(local_millis()).unwrap() + 60_000 - 500;
        let age = clock.since(at);
        assert!(age >= Duration::from_millis(500) && age < Duration::from_secs(30), "{age:?}");
        assert_eq!(clock.since(Millis::MAX), Duration::ZERO);
    }
}
