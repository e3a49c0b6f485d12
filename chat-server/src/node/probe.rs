//! Probing the bus: every second the node publishes a word to itself and waits to receive it.
//!
//! A connection that is up proves nothing: a subscription may be gone behind it, or a proxy hold everything back. A node
//! that stores and receives nothing would lose messages in silence.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::domain::id::NodeId;
use crate::lifecycle::Lifecycle;
use crate::observability::metrics::Metrics;
use crate::store::{Bus, Topic};

/// How often the node probes.
const INTERVAL: Duration = Duration::from_secs(1);
/// A topic that receives nothing for so long is subscribed to anew.
const RENEW_AFTER: Duration = Duration::from_secs(3);
/// A bus with a topic that receives nothing for so long is unhealthy: the sockets are better off on another node.
const UNHEALTHY_AFTER: Duration = Duration::from_secs(7);

/// The probes of a node.
pub(super) struct Probe {
    node: NodeId,
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    /// Tells the node's own probes from those of another that has the same name by mistake.
    word: String,
    /// Since when a probe has been on its way, by topic.
    pending: Mutex<HashMap<Topic, Instant>>,
}

impl Probe {
    /// Probes of `node`, told by `word`.
    pub(super) fn new(node: NodeId, bus: Arc<dyn Bus>, metrics: Metrics, word: String) -> Self {
        Self { node, bus, metrics, word, pending: Mutex::default() }
    }

    /// Takes a word that was published to this node.
    pub(super) fn receive(&self, topic: &Topic, word: &str) {
        if word == self.word
            && let Some(sent) = self.pending().remove(topic)
        {
            self.metrics.probe_latency.observe(sent.elapsed());
        }
    }

    /// Probes until the task is dropped, and keeps the bus's health in `lifecycle`.
    pub(super) async fn run(&self, lifecycle: &Lifecycle) {
        let mut subscribed = HashSet::new();
        let mut renewed = HashSet::new();
        loop {
            self.publish_all(&mut subscribed).await;
            sleep(INTERVAL).await;
            self.metrics.probe_unheard.set(self.longest_pending().as_secs_f64());
            let overdue: HashSet<_> = self.pending_for(RENEW_AFTER).into_iter().collect();
            for topic in overdue.difference(&renewed) {
                tracing::warn!(?topic, "what is published is not received; subscribing anew");
                self.bus.renew_bus(topic).await;
            }
            renewed = overdue;
            let healthy = self.pending_for(UNHEALTHY_AFTER).is_empty();
            if healthy != lifecycle.is_bus_healthy() {
                if healthy {
                    tracing::info!("this node receives from the bus again");
                } else {
                    tracing::error!(
                        "this node stores but receives nothing from the bus; it is not ready and hands its sockets over"
                    );
                }
                lifecycle.set_bus_healthy(healthy);
            }
        }
    }

    /// Publishes the word to each topic of the bus; all at once, so that a part of the bus that hangs keeps none of the
    /// others from being probed.
    async fn publish_all(&self, subscribed: &mut HashSet<Topic>) {
        let wanted: HashSet<Topic> = self.bus.probes(&self.node).into_iter().collect();
        let old: Vec<Topic> = subscribed.extract_if(|topic| !wanted.contains(topic)).collect();
        if !old.is_empty() {
            let _ = self.bus.unsubscribe(&old).await;
            self.pending().retain(|topic, _| wanted.contains(topic));
        }
        let published = wanted.into_iter().map(|topic| {
            let known = subscribed.contains(&topic);
            async move {
                let known = known || self.bus.subscribe(std::slice::from_ref(&topic)).await.is_ok();
                if known {
                    // Noted before it is published: it may be received before this goes on.
                    self.pending().entry(topic.clone()).or_insert_with(Instant::now);
                    if self.bus.signal(&topic, self.word.clone()).await.is_err() {
                        // The store does not answer: then there is nothing to be missed.
                        self.pending().remove(&topic);
                    }
                }
                known.then_some(topic)
            }
        });
        let published: Vec<_> = join_all(published).await;
        subscribed.extend(published.into_iter().flatten());
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Topic, Instant>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn longest_pending(&self) -> Duration {
        self.pending().values().map(Instant::elapsed).max().unwrap_or_default()
    }

    fn pending_for(&self, longer_than: Duration) -> Vec<Topic> {
        let pending = self.pending();
        pending.iter().filter(|(_, sent)| sent.elapsed() > longer_than).map(|(topic, _)| topic.clone()).collect()
    }
}
