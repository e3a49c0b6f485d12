//! Whether this node hears what is published: it tells itself something every second.
//!
//! A connection that is up proves nothing; a subscription may be gone behind it, or a proxy hold
//! everything back. A node that stores and does not hear would lose messages in silence.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socketioxide::socket::Sid;
use tokio::time::{Instant, sleep};

use super::Hub;
use crate::broker::Topic;
use crate::lifecycle::Lifecycle;

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is not heard for so long is taken as a broken bus, which is begun anew.
const BROKEN: Duration = Duration::from_secs(3);
/// And for so long, as one that can't be mended: the sockets are better off elsewhere.
const DEAF: Duration = Duration::from_secs(7);

/// What the node says, and when it first said what it has not heard since.
#[derive(Debug)]
pub(super) struct Probe {
    /// Told apart from what another node says, should one have the same name by mistake.
    word: String,
    unheard_since: Mutex<Option<Instant>>,
}

impl Probe {
    pub(super) fn new() -> Self {
        Self { word: Sid::new().to_string(), unheard_since: Mutex::default() }
    }

    /// Something that was said to this node. How long ago that was, if it was this node that said it.
    fn heard(&self, word: &str) -> Option<Duration> {
        if word == self.word { self.since().take().map(|since| since.elapsed()) } else { None }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unheard_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        *self.since() = None;
    }

    fn said(&self) {
        self.since().get_or_insert_with(Instant::now);
    }

    fn unheard(&self) -> Duration {
        self.since().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Hub {
    /// Takes what was said to this node.
    pub(super) fn hear_probe(&self, word: &str) {
        if let Some(took) = self.0.probe.heard(word) {
            self.0.metrics.probe_latency.observe(took);
        }
    }

    /// Proves for ever that the node hears, and says in `lifecycle` when it does not.
    pub async fn prove(self, lifecycle: &Lifecycle) {
        let topic = Topic::Node(self.0.node.clone());
        let mut subscribed = false;
        let mut renewed = false;
        loop {
            if !subscribed {
                subscribed = self.0.broker.subscribe(std::slice::from_ref(&topic)).await.is_ok();
            }
            if subscribed {
                // Said before it is sent: it may be heard before this goes on.
                self.0.probe.said();
                if self.0.broker.signal(&topic, self.0.probe.word.clone()).await.is_err() {
                    // The store is away: then there is nothing to be missed.
                    self.0.probe.forget();
                }
            }
            sleep(INTERVAL).await;
            let unheard = self.0.probe.unheard();
            self.0.metrics.probe_unheard.set(unheard.as_secs_f64());
            if unheard > BROKEN && !renewed {
                tracing::warn!("what is published is not heard; beginning the bus anew");
                self.0.broker.renew_bus().await;
            }
            renewed = unheard > BROKEN;
            let deaf = unheard > DEAF;
            if deaf != lifecycle.is_deaf() {
                if deaf {
                    tracing::error!("this node stores but does not hear; it is not ready and hands its sockets over");
                } else {
                    tracing::info!("this node hears again");
                }
                lifecycle.set_deaf(deaf);
            }
        }
    }
}
