//! Log lines that a stranger can cause: as few as tell an operator what is wrong.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;

/// How far apart two lines of one kind are.
const INTERVAL: Duration = Duration::from_secs(60);
/// The most characters of a header that are logged.
const MOST_SHOWN: usize = 200;

/// Lets one line a minute pass.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    passed: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Whether a line may be written now: with how many were held back since the last one.
    #[must_use]
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.passed.is_some_and(|passed| now.duration_since(passed) < INTERVAL) {
            state.held_back += 1;
            return None;
        }
        state.passed = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

/// A header's value for a log line: its beginning, and nothing that could end the line.
#[must_use]
pub fn shown(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.chars().take(MOST_SHOWN).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_passes_and_says_how_many_did_not() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let pass = |seconds: u64| throttle.pass_at(start + Duration::from_secs(seconds));
        assert_eq!((pass(0), pass(0), pass(59)), (Some(0), None, None));
        assert_eq!((pass(60), pass(119), pass(120)), (Some(2), None, Some(1)));
    }

    #[test]
    fn a_header_is_shown_in_part_and_on_one_line() {
        let value = HeaderValue::from_bytes(&[&b"a\tb\xff"[..], &[b'x'; 999]].concat()).unwrap();
        let shown = shown(&value);
        assert!(shown.starts_with("a\\tb\u{fffd}xxx") && shown.chars().count() < 220, "{shown}");
    }
}
