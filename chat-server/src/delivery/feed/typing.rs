//! Who types in a room, as far as the node was told. Each notice ends by itself: the connection that sent it may be gone, and
//! its node with it, and then nobody takes it back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::store::{Signal, SignalEvent};

/// How long a notice holds. Clients repeat it every few seconds for as long as somebody types.
const HOLDS: Duration = Duration::from_secs(8);
/// The most people of a room whose notices are held; of more, the oldest ends.
const MOST: usize = 256;

/// The notices that hold, those that end first in front.
#[derive(Default)]
pub(super) struct Typing(VecDeque<(Instant, Arc<Signal>)>);

impl Typing {
    /// Takes note of a signal. Returns the notice that ends for it, if they are too many.
    pub(super) fn note(&mut self, signal: &Arc<Signal>, now: Instant) -> Option<Signal> {
        if signal.event != SignalEvent::Typing || signal.except.is_none() {
            return None;
        }
        self.0.retain(|(_, held)| held.except != signal.except);
        if signal.payload.get("on") == Some(&Value::Bool(true)) {
            self.0.push_back((now + HOLDS, signal.clone()));
        }
        if self.0.len() > MOST { self.0.pop_front().map(|(_, held)| ended(&held)) } else { None }
    }

    /// When the next notice ends.
    pub(super) fn until(&self) -> Option<Instant> {
        self.0.front().map(|(until, _)| *until)
    }

    /// The end of a notice that holds no more.
    pub(super) fn take_ended(&mut self, now: Instant) -> Option<Signal> {
        self.until().filter(|until| *until <= now)?;
        self.0.pop_front().map(|(_, held)| ended(&held))
    }
}

/// The signal that takes a notice back.
fn ended(held: &Signal) -> Signal {
    let mut signal = held.clone();
    if let Some(on) = signal.payload.get_mut("on") {
        *on = Value::Bool(false);
    }
    signal
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::id::UserId;

    fn signal(event: SignalEvent, user: usize, on: bool) -> Arc<Signal> {
        let except = Some(UserId::parse(&format!("u{user}")).unwrap());
        Arc::new(Signal { event, except, version: None, payload: json!({"room": "r", "user": {}, "on": on}) })
    }

    fn typing(user: usize, on: bool) -> Arc<Signal> {
        signal(SignalEvent::Typing, user, on)
    }

    #[test]
    fn a_notice_ends_unless_it_is_repeated_or_taken_back() {
        let (mut held, start) = (Typing::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for (user, on, seconds) in [(1, true, 0), (2, true, 0), (3, true, 0), (2, true, 5), (3, false, 5)] {
            assert!(held.note(&typing(user, on), at(seconds)).is_none());
        }
        held.note(&signal(SignalEvent::Presence, 4, true), at(5));
        assert!(held.take_ended(at(7)).is_none());
        let first = held.take_ended(at(8)).unwrap();
        assert_eq!((first.except, first.payload), (typing(1, true).except.clone(), typing(1, false).payload.clone()));
        assert!(held.take_ended(at(12)).is_none());
        assert_eq!(held.take_ended(at(13)).unwrap().except, typing(2, true).except);
        assert_eq!(held.until(), None);
    }

    #[test]
    fn of_too_many_notices_the_oldest_ends() {
        let (mut held, now) = (Typing::default(), Instant::now());
        for user in 0..MOST {
            assert!(held.note(&typing(user, true), now).is_none());
        }
        assert!(held.note(&typing(5, true), now).is_none(), "repeated");
        assert_eq!(held.note(&typing(MOST, true), now).unwrap().except, typing(0, true).except);
        assert_eq!(held.0.len(), MOST);
    }
}
