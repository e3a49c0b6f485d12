//! How fast a stranger goes: a crowd that takes all of a machine which it shares with the nodes tells nothing of these.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How many a second of each stranger, at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paces {
    pub(crate) connections: u32,
    pub(crate) requests: u32,
}

/// Gives turns at an even distance.
pub(super) struct Pace {
    every: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(a_second: u32) -> Self {
        Self { every: Duration::from_secs(1) / a_second, next: Mutex::new(Instant::now()) }
    }

    /// Waits for the next turn.
    pub(super) async fn turn(&self) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + self.every;
            turn
        };
        sleep_until(turn).await;
    }
}

#[test]
fn turns_are_apart_whoever_takes_them() {
    crate::harness::run(async {
        let (pace, begun) = (Pace::new(100), Instant::now());
        tokio::join!(pace.turn(), pace.turn(), pace.turn());
        assert!(begun.elapsed() >= Duration::from_millis(20));
    });
}
