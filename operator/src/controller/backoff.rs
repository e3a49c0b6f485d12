//! Backoff of reconciliations and watches, with jitter.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;

use crate::api::spec::ChatCluster;

/// Delay after the first failure.
const INITIAL: Duration = Duration::from_secs(1);
/// Longest delay.
const MAX: Duration = Duration::from_secs(120);

/// Consecutive failures of each ChatCluster.
#[derive(Default)]
pub(super) struct Backoff(Mutex<HashMap<ObjectRef<ChatCluster>, u32>>);

impl Backoff {
    /// Counts a failure and returns the delay, which doubles each time. The jitter spreads the
    /// retries of ChatClusters that failed together.
    pub(super) fn next(&self, cluster: &ObjectRef<ChatCluster>) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(cluster.clone()).or_default();
        *count += 1;
        delay(INITIAL, MAX, *count)
    }

    /// Number of ChatClusters whose last reconciliation failed.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Resets the failures of a ChatCluster.
    pub(super) fn forget(&self, cluster: &ObjectRef<ChatCluster>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }
}

/// Backoff of a watch. It is short, because an API server that restarts is soon back.
#[derive(Default)]
pub(super) struct WatchBackoff {
    failures: u32,
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.failures += 1;
        Some(delay(Duration::from_millis(500), Duration::from_secs(8), self.failures))
    }
}

impl kube::runtime::utils::Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// No backoff of the controller as a whole: each watch has its own. By default, failures of a dozen
/// watches in turn delay all of them for minutes.
pub(super) struct NoBackoff;

impl Iterator for NoBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

impl kube::runtime::utils::Backoff for NoBackoff {
    fn reset(&mut self) {}
}

fn delay(initial: Duration, max: Duration, failures: u32) -> Duration {
    let delay = initial.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(max);
    delay.mul_f64(0.5 + 0.5 * jitter())
}

/// A random number from 0 to 1; 1 without a source of random numbers.
pub(super) fn jitter() -> f64 {
    let mut bytes = [u8::MAX; 2];
    let _ = getrandom::fill(&mut bytes);
    f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_a_maximum_and_resets_after_a_success() {
        let backoff = Backoff::default();
        let cluster = ObjectRef::new("a").within("b");
        let initial = backoff.next(&cluster);
        assert!(initial >= INITIAL / 2 && initial <= INITIAL);
        for _ in 0..20 {
            assert!(backoff.next(&cluster) <= MAX);
        }
        assert!(backoff.next(&cluster) >= MAX / 2);
        backoff.forget(&cluster);
        assert!(backoff.next(&cluster) <= INITIAL);
    }
}
