//! What a Redis that answers and refuses says, and whether a server does so.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::trouble::Trouble;

/// How often a connection to a server that became a replica is begun anew: a new one may lead to the new primary, and
/// who reads must not be interrupted all the time if there is none.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(4);

/// How long a refusal says more than that the server can't be reached.
const RECENT: Duration = Duration::from_secs(3);
/// How long a slot counts as served by nobody after that was last heard.
const SLOT_DOWN: Duration = Duration::from_secs(3);

/// How the errors begin.
const BEGINNINGS: [(&str, Trouble); 11] = [
    ("READONLY", Trouble::ReadOnly),
    ("MASTERDOWN", Trouble::ReadOnly),
    ("OOM ", Trouble::OutOfMemory),
    ("MISCONF", Trouble::DiskFailed),
    ("NOREPLICAS", Trouble::TooFewReplicas),
    ("LOADING", Trouble::Loading),
    ("BUSY ", Trouble::Busy),
    ("NOPERM", Trouble::NoPermission),
    // Of a command within a script, by Redis 7.0 and by later ones.
    ("ERR The user executing the script", Trouble::NoPermission),
    ("ERR ACL failure in script", Trouble::NoPermission),
    ("CLUSTERDOWN", Trouble::ClusterDown),
];

/// Why Redis refuses, by its error; `None` for any other error.
pub(super) fn of(error: &str) -> Option<Trouble> {
    BEGINNINGS.iter().find(|(beginning, _)| error.starts_with(beginning)).map(|(_, trouble)| *trouble)
}

/// Whether a server refuses, as far as it is known. What is read goes on where only writes are refused, so a command that
/// succeeds proves nothing: only a probe does.
#[derive(Default)]
pub(super) struct Refusing {
    /// Why, and when it last said so.
    now: Mutex<Option<(Trouble, Instant)>>,
    renewed: Mutex<Option<Instant>>,
}

impl Refusing {
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.now().map(|(trouble, _)| trouble)
    }

    /// The refusal of a moment ago: a connection that is begun anew for it is away for a moment.
    pub(super) fn recent(&self, now: Instant) -> Option<Trouble> {
        self.now().filter(|(_, at)| now < *at + RECENT).map(|(trouble, _)| trouble)
    }

    fn now(&self) -> Option<(Trouble, Instant)> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an error of the server, if it is a refusal.
    pub(super) fn note(&self, error: &str) {
        if let Some(trouble) = of(error) {
            self.set(Some(trouble));
        }
    }

    /// Notes that the server took what it was probed with.
    pub(super) fn clear(&self, now: Instant) {
        // A probe goes to one slot; another may be served by nobody.
        let lasts = |(trouble, at): (Trouble, Instant)| trouble == Trouble::ClusterDown && now < at + SLOT_DOWN;
        if !self.now().is_some_and(lasts) {
            self.set(None);
        }
    }

    fn set(&self, trouble: Option<Trouble>) {
        let new = trouble.map(|trouble| (trouble, Instant::now()));
        let before = std::mem::replace(&mut *self.now.lock().unwrap_or_else(PoisonError::into_inner), new);
        match (before.map(|(before, _)| before), trouble) {
            (before, Some(trouble)) if before != Some(trouble) => tracing::warn!("{trouble}"),
            (Some(_), None) => tracing::info!("Redis takes everything again"),
            _ => {}
        }
    }

    /// Whether it is time to begin the connection to a replica anew.
    pub(super) fn should_renew(&self, now: Instant) -> bool {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let should = renewed.is_none_or(|at| now >= at + RENEWAL_INTERVAL);
        if should {
            *renewed = Some(now);
        }
        should
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_how_they_begin() {
        for (error, trouble) in [
            ("READONLY You can't write against a read only replica.", Some(Trouble::ReadOnly)),
            ("OOM command not allowed when used memory > 'maxmemory'.", Some(Trouble::OutOfMemory)),
            ("BUSY Redis is busy running a script.", Some(Trouble::Busy)),
            ("NOPERM this user has no permissions to run the 'hset' command", Some(Trouble::NoPermission)),
            ("ERR The user executing the script can't run this command", Some(Trouble::NoPermission)),
            ("ERR ACL failure in script: User u has no permissions to run the 'xadd'", Some(Trouble::NoPermission)),
            ("BUSYKEY Target key name already exists.", None),
            ("ERR syntax error", None),
            ("", None),
        ] {
            assert_eq!(of(error), trouble, "{error}");
        }
    }

    #[test]
    fn only_a_probe_ends_a_refusal() {
        let refusing = Refusing::default();
        refusing.note("ERR syntax error");
        assert_eq!(refusing.trouble(), None);
        refusing.note("MISCONF Redis is configured to save RDB snapshots");
        refusing.note("ERR syntax error");
        assert_eq!(refusing.trouble(), Some(Trouble::DiskFailed));
        assert_eq!(refusing.recent(Instant::now()), Some(Trouble::DiskFailed));
        assert_eq!(refusing.recent(Instant::now() + RECENT), None);
        refusing.clear(Instant::now());
        assert_eq!(refusing.trouble(), None);
    }

    #[test]
    fn a_probe_of_one_slot_says_nothing_of_another_that_was_down_a_moment_ago() {
        let refusing = Refusing::default();
        refusing.note("CLUSTERDOWN Hash slot not served");
        refusing.clear(Instant::now());
        assert_eq!(refusing.trouble(), Some(Trouble::ClusterDown));
        refusing.clear(Instant::now() + SLOT_DOWN);
        assert_eq!(refusing.trouble(), None);
    }

    #[test]
    fn a_connection_to_a_replica_is_not_begun_anew_all_the_time() {
        let (refusing, now) = (Refusing::default(), Instant::now());
        assert!(refusing.should_renew(now) && !refusing.should_renew(now));
        assert!(refusing.should_renew(now + RENEWAL_INTERVAL));
    }
}
