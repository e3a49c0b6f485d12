//! From the bus to the feeds.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::hub::Hub;
use super::mailbox::Message;
use crate::domain::id::UserId;
use crate::domain::log_event;
use crate::fault_injection::{self, Fault};
use crate::observability::traces::Traces;
use crate::store::{BusEvent, Notice, Topic};

/// Takes what comes over the bus and is for no feed. Must not wait.
pub trait BusHandler: Send + Sync {
    /// Takes a notice to all connections of a user.
    fn notice(&self, user: &UserId, notice: Notice);
    /// Takes a signal of the node to itself.
    fn probe(&self, topic: &Topic, word: &str);
    /// Takes that notices may have been missed.
    fn interrupted(&self);
}

/// Hands what the bus brings to the feeds and to a [`BusHandler`].
pub struct Router<H> {
    hub: Hub,
    traces: Traces,
    handler: H,
}

impl<H: BusHandler> Router<H> {
    /// Routes to the feeds of `hub`; what is for none of them, to `handler`.
    pub fn new(hub: Hub, traces: Traces, handler: H) -> Self {
        Self { hub, traces, handler }
    }

    /// Runs until the bus ends. Never waits for a feed: one that can't follow reads the log.
    pub async fn run(self, mut bus: mpsc::Receiver<BusEvent>) {
        while let Some(event) = bus.recv().await {
            self.route(event);
        }
    }

    fn route(&self, event: BusEvent) {
        match event {
            BusEvent::Entry(Topic::Room(_), ..) if fault_injection::occurs(Fault::LoseLastFrame, 20) => {}
            // A newer node appended it, or nobody did and it was forged: only what is in the log is delivered.
            BusEvent::Entry(Topic::Room(room), entry, _) if !log_event::is_known(&entry.event) => {
                self.hub.registry().backfill(&room);
            }
            BusEvent::Entry(Topic::Room(room), entry, trace) => {
                let followed = trace.and_then(|trace| self.traces.deliver(&trace, &entry.id()));
                self.hub.shared().batching.note_input();
                self.hub.registry().send_or_backfill(&room, Message::Entry(Box::new((entry, followed))));
            }
            BusEvent::Signal(Topic::Room(room), text) => match serde_json::from_str(&text) {
                Ok(signal) => {
                    self.hub.shared().batching.note_input();
                    self.hub.registry().send_or_backfill(&room, Message::Signal(Arc::new(signal)));
                }
                Err(error) => tracing::warn!(%error, "a signal could not be read"),
            },
            BusEvent::Signal(Topic::User(user), text) => match serde_json::from_str(&text) {
                Ok(notice) => self.handler.notice(&user, notice),
                Err(error) => tracing::warn!(%error, "a notice could not be read"),
            },
            BusEvent::Signal(topic @ Topic::Node(..), word) => self.handler.probe(&topic, &word),
            BusEvent::Interrupted => {
                let feeds = self.hub.registry().all();
                tracing::info!(rooms = feeds.len(), "the bus was interrupted; comparing with the logs");
                feeds.iter().for_each(|(_, feed)| feed.backfill());
                self.handler.interrupted();
            }
            BusEvent::Entry(..) | BusEvent::Signal(..) => {}
        }
    }
}
