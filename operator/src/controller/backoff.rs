//! How long to wait before what failed is tried again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;

use crate::api::spec::ChatCluster;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// At most.
const LAST: Duration = Duration::from_secs(120);

/// The failures in a row of each ChatCluster.
#[derive(Default)]
pub(super) struct Backoff(Mutex<HashMap<ObjectRef<ChatCluster>, u32>>);

impl Backoff {
    /// Counts a failure and says how long to wait: twice as long each time, and between half of that
    /// and all of it, so that those that failed together don't come back together.
    pub(super) fn next(&self, cluster: &ObjectRef<ChatCluster>) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(cluster.clone()).or_default();
        *count += 1;
        delay(FIRST, LAST, *count)
    }

    /// How many ChatClusters failed the last time.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// It went well.
    pub(super) fn forget(&self, cluster: &ObjectRef<ChatCluster>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }
}

/// How long a watch waits before it begins anew: an API server that restarts is soon there again.
#[derive(Default)]
pub(super) struct Watch {
    failures: u32,
}

impl Iterator for Watch {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.failures += 1;
        Some(delay(Duration::from_millis(500), Duration::from_secs(8), self.failures))
    }
}

impl kube::runtime::utils::Backoff for Watch {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// How long all watches wait for the trouble of one: not at all, each waits by itself. By default the
/// trouble of a dozen, one after the other, holds up everything for minutes.
pub(super) struct Unaffected;

impl Iterator for Unaffected {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

impl kube::runtime::utils::Backoff for Unaffected {
    fn reset(&mut self) {}
}

/// After so many failures in a row.
fn delay(first: Duration, last: Duration, failures: u32) -> Duration {
    let delay = first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(last);
    delay.mul_f64(0.5 + 0.5 * fraction())
}

/// Something between 0 and 1; 1 where the machine gives no random numbers.
pub(super) fn fraction() -> f64 {
    let mut bytes = [u8::MAX; 2];
    let _ = getrandom::fill(&mut bytes);
    f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_a_bound_and_starts_anew_after_a_success() {
        let backoff = Backoff::default();
        let cluster = ObjectRef::new("a").within("b");
        let first = backoff.next(&cluster);
        assert!(first >= FIRST / 2 && first <= FIRST);
        for _ in 0..20 {
            assert!(backoff.next(&cluster) <= LAST);
        }
        assert!(backoff.next(&cluster) >= LAST / 2);
        backoff.forget(&cluster);
        assert!(backoff.next(&cluster) <= FIRST);
    }
}
