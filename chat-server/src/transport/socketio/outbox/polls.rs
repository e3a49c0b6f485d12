//! The polls of a session, and its way from polling to a WebSocket.
//!
//! A session has one attempt to upgrade at a time: a newer one ends the one before it, whose WebSocket may be dead without
//! a sign. Until an attempt is complete, polls are answered as ever, when there is something to say. A client that waits
//! for the end of its last poll gets a noop.

use std::pin::pin;
use std::sync::Arc;

use super::{Outbox, Waiting};

/// Why a poll ends though there is nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport::socketio) enum Interruption {
    /// The session was handed over.
    HandedOver,
    /// The client is about to have a WebSocket: it gets a noop.
    Upgrade,
}

impl Waiting {
    /// Whether the client polls no more, while the transport does not know that yet.
    fn is_between(&self) -> bool {
        self.upgraded && self.connection.is_none()
    }

    fn interruption(&mut self) -> Option<Interruption> {
        if self.handed_over {
            return Some(Interruption::HandedOver);
        }
        (std::mem::take(&mut self.noop) || self.is_between()).then_some(Interruption::Upgrade)
    }
}

impl Outbox {
    /// Counts a poll for as long as the transport has it; `None` if the client polls no more.
    pub(in crate::transport::socketio) fn begin_poll(&self) -> Option<Poll<'_>> {
        let mut waiting = self.waiting();
        if waiting.is_between() {
            return None;
        }
        waiting.polls += 1;
        Some(Poll(self))
    }

    /// Waits until a poll is to end though there is nothing to say.
    pub(in crate::transport::socketio) async fn interruption(&self) -> Interruption {
        self.until(Waiting::interruption).await
    }

    /// Begins an attempt to upgrade; `None` if the session is not one that polls.
    pub(in crate::transport::socketio) fn begin_upgrade(self: &Arc<Self>) -> Option<Attempt> {
        let mut waiting = self.waiting();
        if waiting.upgraded || waiting.connection.is_some() || waiting.handed_over {
            return None;
        }
        waiting.attempt = waiting.attempt.wrapping_add(1);
        waiting.noop = false;
        let number = waiting.attempt;
        drop(waiting);
        self.changed.notify_waiters();
        Some(Attempt { outbox: self.clone(), number })
    }

    /// Looks at each change until there is an answer.
    async fn until<T>(&self, mut look: impl FnMut(&mut Waiting) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on the notification is not missed.
            changed.as_mut().enable();
            let found = look(&mut self.waiting());
            if let Some(found) = found {
                return found;
            }
            changed.await;
        }
    }
}

/// A poll that the transport has.
pub(in crate::transport::socketio) struct Poll<'a>(&'a Outbox);

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.0.waiting().polls -= 1;
        self.0.changed.notify_waiters();
    }
}

/// An attempt of a session that polls to change to a WebSocket.
pub(in crate::transport::socketio) struct Attempt {
    outbox: Arc<Outbox>,
    number: u32,
}

impl Attempt {
    fn is_current(&self, waiting: &Waiting) -> bool {
        waiting.attempt == self.number && !waiting.upgraded && !waiting.handed_over
    }

    /// Answers the poll that waits, or else the next one, with a noop.
    pub(in crate::transport::socketio) fn release_poll(&self) {
        let mut waiting = self.outbox.waiting();
        waiting.noop |= self.is_current(&waiting);
        drop(waiting);
        self.outbox.changed.notify_waiters();
    }

    /// Waits until the attempt is to end: there is a newer one, or the session was handed over.
    pub(in crate::transport::socketio) async fn superseded(&self) {
        self.outbox.until(|waiting| (!self.is_current(waiting)).then_some(())).await;
    }

    /// Keeps polls from the transport from here on, and waits until it has none; false if the attempt was to end.
    pub(in crate::transport::socketio) async fn leave_polling(&self) -> bool {
        {
            let mut waiting = self.outbox.waiting();
            if !self.is_current(&waiting) {
                return false;
            }
            waiting.upgraded = true;
        }
        self.outbox.changed.notify_waiters();
        self.outbox.until(|waiting| (waiting.polls == 0).then_some(())).await;
        true
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut waiting = self.outbox.waiting();
        if self.is_current(&waiting) {
            waiting.noop = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_hand_over_ends_a_poll_and_an_upgrade_whenever_it_comes() {
        let outbox = Arc::new(Outbox::default());
        let attempt = outbox.begin_upgrade().unwrap();
        let (ended, ..) = tokio::join!(outbox.interruption(), attempt.superseded(), async { outbox.hand_over() });
        assert_eq!(ended, Interruption::HandedOver);
        assert_eq!(outbox.interruption().await, Interruption::HandedOver);
        assert!(outbox.begin_upgrade().is_none());
    }

    #[tokio::test]
    async fn each_release_ends_one_poll_and_none_outlives_its_attempt() {
        let outbox = Arc::new(Outbox::default());
        assert_eq!(outbox.interruption().now_or_never(), None);
        let attempt = outbox.begin_upgrade().unwrap();
        assert_eq!(outbox.interruption().now_or_never(), None, "an upgrade that has only begun is no reason");
        let (ended, ()) = tokio::join!(outbox.interruption(), async { attempt.release_poll() });
        assert_eq!(ended, Interruption::Upgrade);
        assert_eq!(outbox.interruption().now_or_never(), None);
        attempt.release_poll();
        drop(attempt);
        assert_eq!(outbox.interruption().now_or_never(), None);
    }

    #[tokio::test]
    async fn the_newest_attempt_is_the_one() {
        let outbox = Arc::new(Outbox::default());
        let first = outbox.begin_upgrade().unwrap();
        assert_eq!(first.superseded().now_or_never(), None);
        let second = outbox.begin_upgrade().unwrap();
        first.superseded().await;
        first.release_poll();
        assert_eq!(outbox.interruption().now_or_never(), None);
        assert!(!first.leave_polling().await);
        assert!(second.leave_polling().await);
        assert!(outbox.begin_upgrade().is_none());
    }

    #[tokio::test]
    async fn the_transport_has_no_poll_once_the_client_left_polling() {
        let outbox = Arc::new(Outbox::default());
        let poll = outbox.begin_poll().unwrap();
        let attempt = outbox.begin_upgrade().unwrap();
        let mut left = pin!(attempt.leave_polling());
        assert_eq!(left.as_mut().now_or_never(), None, "a poll is there still");
        assert_eq!(outbox.interruption().await, Interruption::Upgrade);
        drop(poll);
        assert!(left.await);
        assert!(outbox.begin_poll().is_none());
    }
}
