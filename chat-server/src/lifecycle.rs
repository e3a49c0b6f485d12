//! Whether a node has started, is cordoned or drains, and whether its bus is healthy.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Which sockets a node takes and keeps, as its operator asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It takes sockets and keeps them.
    Serving,
    /// It takes no new sockets and keeps those that it has, but for those that poll.
    Cordoned,
    /// It takes no new sockets and hands over those that it has. For good.
    Draining,
}

impl NodeState {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Serving, Self::Cordoned, Self::Draining];

    /// How the state is written in metrics and responses.
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

/// A [`NodeState`], and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// `finished`: no socket is left that would be cut off if proxies forgot the node.
    Cordoned {
        cordon: Cordon,
        finished: bool,
    },
    Draining,
}

/// From start to stop.
#[derive(Debug)]
pub struct Lifecycle {
    started: AtomicBool,
    waiting: Mutex<String>,
    warning: Mutex<Option<String>>,
    bus_healthy: AtomicBool,
    stage: watch::Sender<Stage>,
    cordons: AtomicU64,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            started: AtomicBool::default(),
            waiting: Mutex::default(),
            warning: Mutex::default(),
            bus_healthy: AtomicBool::new(true),
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

    /// Sets what the node waits for before [`Lifecycle::start`].
    pub fn set_waiting_for(&self, why: String) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What the node waits for before [`Lifecycle::start`].
    #[must_use]
    pub fn waiting_for(&self) -> String {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets what is wrong with the store's configuration, though the node serves.
    pub fn set_warning(&self, warning: Option<String>) {
        *self.warning.lock().unwrap_or_else(PoisonError::into_inner) = warning;
    }

    /// What is wrong with the store's configuration, if something is.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets whether the node receives what is published. Otherwise its sockets would miss everything.
    pub fn set_bus_healthy(&self, healthy: bool) {
        self.bus_healthy.store(healthy, Ordering::Release);
    }

    /// The node takes no new sockets, hands over those that poll and keeps the others. One that is
    /// cordoned or drains goes on with that.
    pub fn cordon(&self, per_second: Option<u32>) {
        self.stage.send_if_modified(|stage| {
            let serves = *stage == Stage::Serving;
            if serves {
                let cordon = Cordon { number: self.cordons.fetch_add(1, Ordering::Relaxed), per_second };
                *stage = Stage::Cordoned { cordon, finished: false };
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

    /// Notes that no socket polls any more, as far as that can be waited for. False if the cordon was
    /// taken back meanwhile, or the node drains.
    pub fn finish_cordon(&self, finished: Cordon) -> bool {
        self.stage.send_if_modified(|stage| {
            let holds = matches!(stage, Stage::Cordoned { cordon, .. } if *cordon == finished);
            if holds {
                *stage = Stage::Cordoned { cordon: finished, finished: true };
            }
            holds
        })
    }

    /// Whether [`Lifecycle::start`] was called.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Whether the node receives what is published, as far as it is known.
    #[must_use]
    pub fn is_bus_healthy(&self) -> bool {
        self.bus_healthy.load(Ordering::Acquire)
    }

    /// What the operator asked for last.
    #[must_use]
    pub fn state(&self) -> NodeState {
        match *self.stage.borrow() {
            Stage::Serving => NodeState::Serving,
            Stage::Cordoned { .. } => NodeState::Cordoned,
            Stage::Draining => NodeState::Draining,
        }
    }

    /// Whether the node is cordoned and [`Lifecycle::finish_cordon`] was called.
    #[must_use]
    pub fn is_cordon_finished(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Cordoned { finished: true, .. })
    }

    /// Whether this cordon holds.
    #[must_use]
    pub fn holds(&self, held: Cordon) -> bool {
        matches!(*self.stage.borrow(), Stage::Cordoned { cordon, .. } if cordon == held)
    }

    /// Waits for a cordon that is not finished.
    pub async fn wait_for_cordon(&self) -> Cordon {
        let mut stage = self.stage.subscribe();
        loop {
            if let Stage::Cordoned { cordon, finished: false } = *stage.borrow_and_update() {
                return cordon;
            }
            // The sender lives as long as `self`.
            let _ = stage.changed().await;
        }
    }

    /// Waits for [`Lifecycle::drain`].
    pub async fn wait_for_drain(&self) {
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
        assert_eq!(node.state(), NodeState::Serving);
        node.cordon(None);
        let cordon = node.wait_for_cordon().await;
        node.cordon(None);
        assert!(node.holds(cordon), "asked for again, it is the same");
        assert!(!node.is_cordon_finished());
        assert!(node.finish_cordon(cordon));
        node.cordon(None);
        assert!(node.is_cordon_finished());
        assert_eq!(node.state(), NodeState::Cordoned);
        assert!(node.uncordon());
        assert_eq!(node.state(), NodeState::Serving);
        assert!(!node.is_cordon_finished() && !node.holds(cordon));
    }

    #[tokio::test]
    async fn what_was_begun_under_one_cordon_does_not_clear_the_next() {
        let node = Lifecycle::default();
        node.cordon(None);
        let first = node.wait_for_cordon().await;
        assert!(node.uncordon());
        node.cordon(None);
        assert!(!node.finish_cordon(first));
        assert!(!node.is_cordon_finished());
        let second = node.wait_for_cordon().await;
        assert!(!node.holds(first) && node.holds(second));
    }

    #[tokio::test]
    async fn a_drain_is_for_good() {
        let node = Lifecycle::default();
        node.cordon(None);
        let cordon = node.wait_for_cordon().await;
        node.drain();
        node.wait_for_drain().await;
        node.cordon(None);
        assert!(!node.finish_cordon(cordon) && !node.is_cordon_finished());
        assert!(!node.uncordon());
        assert_eq!(node.state(), NodeState::Draining);
    }
}
