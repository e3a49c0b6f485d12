//! Whether to take a Lease. Pure; and without a look at anybody else's clock: what counts is for how
//! long this replica has seen the Lease unchanged.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;

/// What to do about a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nobody has it: take it.
    Acquire,
    /// We have it: renew it.
    Renew,
    /// Another has it.
    Wait,
}

/// Decides for the replica `me`, which has seen the Lease as it is for as long as `unchanged`.
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
    fn a_lease_of_nobody_is_taken() {
        assert_eq!(decide(&LeaseSpec::default(), "a", Duration::ZERO), Decision::Acquire);
        assert_eq!(decide(&lease(""), "a", Duration::ZERO), Decision::Acquire);
    }

    #[test]
    fn ones_own_is_renewed() {
        assert_eq!(decide(&lease("a"), "a", Duration::from_secs(60)), Decision::Renew);
    }

    #[test]
    fn that_of_another_is_taken_only_once_it_ran_out_before_our_eyes() {
        assert_eq!(decide(&lease("b"), "a", Duration::ZERO), Decision::Wait);
        assert_eq!(decide(&lease("b"), "a", Duration::from_secs(15)), Decision::Wait);
        assert_eq!(decide(&lease("b"), "a", Duration::from_millis(15_001)), Decision::Acquire);
    }
}
