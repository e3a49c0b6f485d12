//! Whether this node hears what is published: it tells itself something every second.
//!
//! A connection that is up proves nothing; a subscription may be gone behind it, or a proxy hold
//! everything back. A node that stores and does not hear would lose messages in silence.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use socketioxide::socket::Sid;
use tokio::time::{Instant, sleep};

use super::Hub;
use crate::node::lifecycle::Lifecycle;
use crate::store::Topic;

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is not heard for so long is taken as a broken bus, which is begun anew.
const BROKEN: Duration = Duration::from_secs(3);
/// And for so long, as one that can't be mended: the sockets are better off elsewhere.
const DEAF: Duration = Duration::from_secs(7);

/// What the node says, and since when it has not heard it, by topic.
#[derive(Debug)]
pub(super) struct Probe {
    /// Told apart from what another node says, should one have the same name by mistake.
    word: String,
    unheard: Mutex<HashMap<Topic, Instant>>,
}

impl Probe {
    pub(super) fn new() -> Self {
        Self { word: Sid::new().to_string(), unheard: Mutex::default() }
    }

    /// Something that was said to this node. How long ago that was, if it was this node that said it.
    fn heard(&self, topic: &Topic, word: &str) -> Option<Duration> {
        if word == self.word { self.unheard().remove(topic).map(|said| said.elapsed()) } else { None }
    }

    fn unheard(&self) -> MutexGuard<'_, HashMap<Topic, Instant>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self, topic: &Topic) {
        self.unheard().entry(topic.clone()).or_insert_with(Instant::now);
    }

    /// For how long what was said has not been heard, where it is longest.
    fn longest(&self) -> Duration {
        self.unheard().values().map(Instant::elapsed).max().unwrap_or_default()
    }

    /// The topics that were not heard for so long.
    fn silent(&self, since: Duration) -> Vec<Topic> {
        let unheard = self.unheard();
        unheard.iter().filter(|(_, said)| said.elapsed() > since).map(|(topic, _)| topic.clone()).collect()
    }
}

impl Hub {
    /// Takes what was said to this node.
    pub(super) fn hear_probe(&self, topic: &Topic, word: &str) {
        if let Some(took) = self.0.probe.heard(topic, word) {
            self.0.metrics.probe_latency.observe(took);
        }
    }

    /// Proves for ever that the node hears, and says in `lifecycle` when it does not.
    pub async fn prove(self, lifecycle: &Lifecycle) {
        let mut subscribed = HashSet::new();
        let mut renewed = HashSet::new();
        loop {
            self.speak(&mut subscribed).await;
            sleep(INTERVAL).await;
            self.0.metrics.probe_unheard.set(self.0.probe.longest().as_secs_f64());
            let broken: HashSet<_> = self.0.probe.silent(BROKEN).into_iter().collect();
            for topic in broken.difference(&renewed) {
                tracing::warn!(?topic, "what is published is not heard; beginning the bus anew");
                self.0.bus.renew_bus(topic).await;
            }
            renewed = broken;
            let deaf = !self.0.probe.silent(DEAF).is_empty();
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

    /// Says the word to each topic by which it may be heard; all at once, so that a part of the bus
    /// that hangs keeps none of the others from being proved.
    async fn speak(&self, subscribed: &mut HashSet<Topic>) {
        let (bus, probe) = (&self.0.bus, &self.0.probe);
        let wanted: HashSet<Topic> = bus.probes(&self.0.node).into_iter().collect();
        let old: Vec<Topic> = subscribed.extract_if(|topic| !wanted.contains(topic)).collect();
        if !old.is_empty() {
            let _ = bus.unsubscribe(&old).await;
            probe.unheard().retain(|topic, _| wanted.contains(topic));
        }
        let said = wanted.into_iter().map(|topic| {
            let known = subscribed.contains(&topic);
            async move {
                let known = known || bus.subscribe(std::slice::from_ref(&topic)).await.is_ok();
                if known {
                    // Said before it is sent: it may be heard before this goes on.
                    probe.said(&topic);
                    if bus.signal(&topic, probe.word.clone()).await.is_err() {
                        // The store is away: then there is nothing to be missed.
                        probe.unheard().remove(&topic);
                    }
                }
                known.then_some(topic)
            }
        });
        let said: Vec<_> = join_all(said).await;
        subscribed.extend(said.into_iter().flatten());
    }
}
