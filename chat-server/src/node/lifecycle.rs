//! Where a node is in its life. Read by whoever decides to take on something new.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Whom a node takes and whom it keeps, as far as that was asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes sockets and keeps them.
    Serving,
    /// It takes no new sockets and keeps those that it has, but for those that poll.
    Cordoned,
    /// It takes no new sockets and hands over those that it has. For good.
    Draining,
}

impl State {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Serving, Self::Cordoned, Self::Draining];

    /// The word in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Cordoned => "cordoned",
            Self::Draining => "draining",
        }
    }
}

/// One cordon, told apart from those that were taken back before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cordon {
    number: u64,
    /// How many sockets that poll are to be handed over a second, if less than by default: all nodes of
    /// a rollout are cordoned together.
    pub per_second: Option<u32>,
}

/// A [`State`], and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// `cleared`: nobody is left who would be cut off if proxies forgot the node.
    Cordoned {
        cordon: Cordon,
        cleared: bool,
    },
    Draining,
}

/// From start to stop.
#[derive(Debug)]
pub struct Lifecycle {
    started: AtomicBool,
    waiting: Mutex<String>,
    deaf: AtomicBool,
    stage: watch::Sender<Stage>,
    cordons: AtomicU64,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            started: AtomicBool::default(),
            waiting: Mutex::default(),
            deaf: AtomicBool::default(),
            stage: watch::Sender::new(Stage::Serving),
            cordons: AtomicU64::default(),
        }
    }
}

impl Lifecycle {
    /// The node has all that it needs to take sockets.
    pub fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// What the node waits for before [`Lifecycle::start`].
    pub fn wait(&self, why: String) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What [`Lifecycle::wait`] said last.
    #[must_use]
    pub fn waits_for(&self) -> String {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the node can store but does not hear what is published: its sockets would miss
    /// everything.
    pub fn set_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Release);
    }

    /// The node takes no new sockets, hands over those that poll and keeps the others. One that is
    /// cordoned or drains goes on with that.
    pub fn cordon(&self, per_second: Option<u32>) {
        self.stage.send_if_modified(|stage| {
            let serves = *stage == Stage::Serving;
            if serves {
                let cordon = Cordon { number: self.cordons.fetch_add(1, Ordering::Relaxed), per_second };
                *stage = Stage::Cordoned { cordon, cleared: false };
            }
            serves
        });
    }

    /// Takes [`Lifecycle::cordon`] back; false for a node that drains, which is for good.
    #[must_use]
    pub fn uncordon(&self) -> bool {
        let mut drains = false;
        self.stage.send_if_modified(|stage| {
            drains = *stage == Stage::Draining;
            !drains && std::mem::replace(stage, Stage::Serving) != Stage::Serving
        });
        !drains
    }

    /// The node takes no new sockets and hands over those that it has. For good.
    pub fn drain(&self) {
        self.stage.send_replace(Stage::Draining);
    }

    /// Nobody polls this node any more, as far as that can be waited for. False if that cordon was
    /// taken back meanwhile, or the node drains.
    pub fn clear(&self, cleared: Cordon) -> bool {
        self.stage.send_if_modified(|stage| {
            let is_under = matches!(stage, Stage::Cordoned { cordon, .. } if *cordon == cleared);
            if is_under {
                *stage = Stage::Cordoned { cordon: cleared, cleared: true };
            }
            is_under
        })
    }

    /// Whether [`Lifecycle::start`] was called.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// What [`Lifecycle::set_deaf`] said last.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Acquire)
    }

    /// What was asked of the node last.
    #[must_use]
    pub fn state(&self) -> State {
        match *self.stage.borrow() {
            Stage::Serving => State::Serving,
            Stage::Cordoned { .. } => State::Cordoned,
            Stage::Draining => State::Draining,
        }
    }

    /// Whether the node is cordoned and [`Lifecycle::clear`] was called.
    #[must_use]
    pub fn is_cleared(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Cordoned { cleared: true, .. })
    }

    /// Whether that cordon holds.
    #[must_use]
    pub fn is_under(&self, held: Cordon) -> bool {
        matches!(*self.stage.borrow(), Stage::Cordoned { cordon, .. } if cordon == held)
    }

    /// Waits for a cordon that is not cleared.
    pub async fn cordon_begun(&self) -> Cordon {
        let mut stage = self.stage.subscribe();
        loop {
            if let Stage::Cordoned { cordon, cleared: false } = *stage.borrow_and_update() {
                return cordon;
            }
            // The sender lives as long as `self`.
            let _ = stage.changed().await;
        }
    }

    /// Waits for [`Lifecycle::drain`].
    pub async fn drain_begun(&self) {
        // The sender lives as long as `self`.
        let _ = self.stage.subscribe().wait_for(|stage| *stage == Stage::Draining).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cordon_is_asked_for_and_taken_back_as_often_as_one_likes() {
        let node = Lifecycle::default();
        assert!(node.uncordon());
        assert_eq!(node.state(), State::Serving);
        node.cordon(None);
        let cordon = node.cordon_begun().await;
        node.cordon(None);
        assert!(node.is_under(cordon), "asked for again, it is the same");
        assert!(!node.is_cleared());
        assert!(node.clear(cordon));
        node.cordon(None);
        assert!(node.is_cleared());
        assert_eq!(node.state(), State::Cordoned);
        assert!(node.uncordon());
        assert_eq!(node.state(), State::Serving);
        assert!(!node.is_cleared() && !node.is_under(cordon));
    }

    #[tokio::test]
    async fn what_was_begun_under_one_cordon_does_not_clear_the_next() {
        let node = Lifecycle::default();
        node.cordon(None);
        let first = node.cordon_begun().await;
        assert!(node.uncordon());
        node.cordon(None);
        assert!(!node.clear(first));
        assert!(!node.is_cleared());
        let second = node.cordon_begun().await;
        assert!(!node.is_under(first) && node.is_under(second));
    }

    #[tokio::test]
    async fn a_drain_is_for_good() {
        let node = Lifecycle::default();
        node.cordon(None);
        let cordon = node.cordon_begun().await;
        node.drain();
        node.drain_begun().await;
        node.cordon(None);
        assert!(!node.clear(cordon) && !node.is_cleared());
        assert!(!node.uncordon());
        assert_eq!(node.state(), State::Draining);
    }
}
