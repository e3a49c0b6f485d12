//! Where a connection is in its requests while it speaks HTTP, and since when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where a connection is in its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The head of a request is expected, or a part of it is there.
    Head,
    /// The body of a request is not complete.
    Body,
    /// A request is served, or the connection is a WebSocket.
    Serving,
    /// A request was answered, and no other has begun.
    Idle,
}

const PHASES: [Phase; 4] = [Phase::Head, Phase::Body, Phase::Serving, Phase::Idle];

/// A [`Phase`] and when it began, in milliseconds of the connection's age: two bits, and the rest.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn enter(&self, phase: Phase, now: u64) {
        self.0.store(now << 2 | phase as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self, now: u64) -> (Phase, Duration) {
        let both = self.0.load(Ordering::Relaxed);
        let phase = PHASES[usize::from(both as u8 & 3)];
        (phase, Duration::from_millis(now.saturating_sub(both >> 2)))
    }

    /// Something was received: between requests, another one begins.
    pub(super) fn received(&self, now: u64) {
        if self.read(now).0 == Phase::Idle {
            self.enter(Phase::Head, now);
        }
    }

    /// Something was sent: a slow reader of an answer is not idle.
    pub(super) fn written(&self, now: u64) {
        if self.read(now).0 == Phase::Idle {
            self.enter(Phase::Idle, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_begins_with_its_first_byte_and_does_not_begin_anew_with_the_next() {
        let (clock, ms) = (Clock::default(), Duration::from_millis);
        assert_eq!(clock.read(7), (Phase::Head, ms(7)), "a new connection owes a request");
        clock.enter(Phase::Idle, 10);
        clock.received(20);
        clock.received(30);
        assert_eq!(clock.read(35), (Phase::Head, ms(15)));
    }

    #[test]
    fn an_answer_that_is_still_read_keeps_its_connection() {
        let clock = Clock::default();
        clock.enter(Phase::Idle, 10);
        clock.written(50);
        assert_eq!(clock.read(60), (Phase::Idle, Duration::from_millis(10)));
        clock.enter(Phase::Serving, 70);
        clock.written(80);
        assert_eq!(clock.read(80).0, Phase::Serving);
    }
}
