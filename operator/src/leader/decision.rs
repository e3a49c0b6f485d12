//! Decides whether to take a Lease. Pure. It does not depend on the clocks of others: what counts
//! is how long this replica has observed the Lease unchanged.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;

/// What to do with a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Take it: nobody holds it, or it has expired.
    Acquire,
    /// Renew it: this replica holds it.
    Renew,
    /// Wait: another replica holds it.
    Wait,
}

/// Decides for the replica `me`, which has observed the Lease unchanged for this long.
#[must_use]
pub fn decide(lease: &LeaseSpec, me: &str, unchanged: Duration) -> Decision {
    match lease.holder_identity.as_deref().unwrap_or_default() {
        "" => Decision::Acquire,
        holder if holder == me => Decision::Renew,
        _ => {
            let seconds = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            if unchanged > Duration::from_secs(seconds.unwrap_or_default()) {
                Decision::Acquire
            } else {
                Decision::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str) -> LeaseSpec {
        LeaseSpec { holder_identity: Some(holder.into()), lease_duration_seconds: Some(15), ..LeaseSpec::default() }
    }

    #[test]
    fn an_unheld_lease_is_acquired() {
        assert_eq!(decide(&LeaseSpec::default(), "a", Duration::ZERO), Decision::Acquire);
        assert_eq!(decide(&lease(""), "a", Duration::ZERO), Decision::Acquire);
    }

    #[test]
    fn an_own_lease_is_renewed() {
        assert_eq!(decide(&lease("a"), "a", Duration::from_secs(60)), Decision::Renew);
    }

    #[test]
    fn a_lease_of_another_is_acquired_only_after_it_was_observed_to_expire() {
        assert_eq!(decide(&lease("b"), "a", Duration::ZERO), Decision::Wait);
        assert_eq!(decide(&lease("b"), "a", Duration::from_secs(15)), Decision::Wait);
        assert_eq!(decide(&lease("b"), "a", Duration::from_millis(15_001)), Decision::Acquire);
    }
}
