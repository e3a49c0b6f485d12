//! The delivery of one room on one node: a task that applies the room's log in order.
//!
//! An outlet is *live*, and gets each entry as it is applied, or it *catches up*: it was just attached, or its queue was
//! full. While an outlet catches up, entries are kept in a bounded backlog. The outlet gets them as soon as it has room,
//! or one `gap` where the backlog no longer holds them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::mailbox::{FeedHandle, Message};
use super::registry::Registry;
use super::shared::Shared;
use crate::domain::id::RoomId;
use crate::domain::position::{Epoch, Lineage, Offset, Position};
use crate::store::{Head, StoreError, Topic};
use backlog::Backlog;
use batch::Batch;
use listeners::{Listener, Listeners};
use typing::Typing;

mod attach;
mod backlog;
mod batch;
mod catch_up;
mod deliver;
mod follow_log;
mod listeners;
mod rendered;
mod tally;
#[cfg(test)]
mod tests;
mod typing;

/// How long a node stays subscribed to a room after the last outlet was detached.
const UNSUBSCRIBE_DELAY: Duration = Duration::from_secs(20);
/// How often an outlet that catches up is tried again.
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(20);
/// How often the log is read again while the store does not answer.
const BACKFILL_RETRY: Duration = Duration::from_millis(500);
/// An entry that comes sooner than this after a delivery began waits for what follows, and goes with it: most of the cost
/// of a delivery is that of a write, whatever it holds.
const MIN_DELIVERY_INTERVAL: Duration = Duration::from_millis(2);

pub(super) struct Feed {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    room: RoomId,
    topic: Topic,
    /// The epochs of the log; [`Feed::position`] is in the present one.
    lineage: Lineage,
    /// Epochs that the store lost as a whole, and up to which offset their entries are those of the present log.
    lost_epochs: HashMap<Epoch, Offset>,
    /// Up to where the log is applied.
    position: Position,
    listeners: Listeners,
    /// Entries that are applied and not delivered yet.
    batch: Batch,
    backlog: Backlog,
    typing: Typing,
    handle: FeedHandle,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>, registry: Arc<Registry>, room: RoomId, handle: FeedHandle) -> Self {
        Self {
            shared,
            registry,
            topic: Topic::room(&room),
            room,
            lineage: Lineage::default(),
            lost_epochs: HashMap::new(),
            position: Position::default(),
            listeners: Listeners::default(),
            batch: Batch::default(),
            backlog: Backlog::default(),
            typing: Typing::default(),
            handle,
        }
    }

    /// Starts feeds: subscribes to their rooms, then reads where their logs end. In this order nothing falls between.
    pub(super) async fn start_all(shared: Arc<Shared>, feeds: Vec<(Self, mpsc::Receiver<Message>)>) {
        let topics: Vec<Topic> = feeds.iter().map(|(feed, _)| feed.topic.clone()).collect();
        let begun = async {
            shared.bus.subscribe(&topics).await?;
            shared.log.heads(&topics).await
        };
        match begun.await {
            Ok(heads) => {
                for ((mut feed, mailbox), head) in feeds.into_iter().zip(heads) {
                    feed.begin(head);
                    tokio::spawn(feed.run(mailbox));
                }
            }
            Err(error) => {
                for (feed, mut mailbox) in feeds {
                    feed.refuse_all(&mut mailbox, &error);
                }
            }
        }
    }

    fn begin(&mut self, head: Head) {
        self.position = Position { epoch: head.lineage.epoch.clone(), offset: head.top };
        self.lineage = head.lineage;
    }

    async fn run(mut self, mut mailbox: mpsc::Receiver<Message>) {
        self.shared.metrics.rooms.inc();
        self.handle.set_position(&self.position);
        let mut idle_since = Instant::now();
        let mut backfill_at = Instant::now();
        // A time, not a pause that begins anew with each entry: a busy room must not starve the outlets that catch up.
        let mut catch_up_at = Instant::now();
        let mut deliver_from = Instant::now();
        loop {
            let catches_up = self.listeners.iter().any(Listener::catches_up);
            let missed = self.handle.has_missed();
            let idle = self.listeners.is_empty();
            let backlog_until = self.backlog.retained_until();
            let typing_until = self.typing.until();
            tokio::select! {
                biased;
                () = sleep_until(catch_up_at), if catches_up => {
                    self.catch_up_all();
                    catch_up_at = Instant::now() + CATCH_UP_INTERVAL;
                }
                message = mailbox.recv() => match message {
                    Some(message) => {
                        if matches!(message, Message::Entry(_)) {
                            sleep_until(deliver_from).await;
                        }
                        self.receive_all(message, &mut mailbox).await;
                        let begun = Instant::now();
                        if self.deliver().await {
                            deliver_from = begun + MIN_DELIVERY_INTERVAL;
                        }
                    }
                    None => break,
                },
                () = sleep_until(backfill_at), if missed => {
                    self.backfill(None).await;
                    backfill_at = Instant::now() + BACKFILL_RETRY;
                }
                () = sleep_until(backlog_until.unwrap_or(idle_since)), if backlog_until.is_some() => {
                    self.backlog.end_retention();
                    self.drop_unneeded_backlog();
                }
                () = sleep_until(typing_until.unwrap_or(idle_since)), if typing_until.is_some() => self.end_typing(),
                () = sleep_until(idle_since + UNSUBSCRIBE_DELAY), if idle => {
                    if self.end(&mut mailbox).await {
                        break;
                    }
                    idle_since = Instant::now();
                }
            }
            if !self.listeners.is_empty() {
                idle_since = Instant::now();
            }
            self.handle.set_position(&self.position);
        }
        self.shared.metrics.rooms.dec();
    }

    fn refuse_all(&self, mailbox: &mut mpsc::Receiver<Message>, error: &StoreError) {
        // Retired under the lock of the registry, so that who comes later gets a new feed.
        while !self.registry.retire(&self.room, mailbox) {
            while let Ok(message) = mailbox.try_recv() {
                if let Message::Attach(attach) = message {
                    let (_, reply) = *attach;
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    async fn end(&self, mailbox: &mut mpsc::Receiver<Message>) -> bool {
        // Unsubscribed first, retired after: a new feed of this room can only subscribe once this one is gone, so that the
        // two can't undo each other's subscription.
        if self.shared.bus.unsubscribe(std::slice::from_ref(&self.topic)).await.is_err() {
            return false;
        }
        if self.registry.retire(&self.room, mailbox) {
            return true;
        }
        if self.shared.bus.subscribe(std::slice::from_ref(&self.topic)).await.is_err() {
            tracing::warn!("a room could not be subscribed to again yet");
        }
        self.handle.set_missed(true);
        false
    }

    /// Receives a message, and those that come until the input has settled.
    async fn receive_all(&mut self, message: Message, mailbox: &mut mpsc::Receiver<Message>) {
        self.receive(message).await;
        self.shared.batching.settled().await;
        // Not what comes meanwhile: the outlets that catch up have their turn, too.
        for _ in 0..mailbox.len() {
            let Ok(message) = mailbox.try_recv() else { break };
            self.receive(message).await;
        }
    }

    async fn receive(&mut self, message: Message) {
        if !matches!(message, Message::Entry(_)) {
            self.deliver().await;
        }
        match message {
            Message::Attach(attach) => {
                let (attachment, reply) = *attach;
                let answer = self.attach(attachment).await;
                let _ = reply.send(answer);
            }
            Message::Ready(ready) => self.ready(ready.0, &ready.1).await,
            Message::Detach(outlet) => {
                self.listeners.remove(outlet);
                self.drop_unneeded_backlog();
            }
            Message::Entry(entry) => self.receive_entry(entry.0, entry.1).await,
            Message::Signal(signal) => self.receive_signal(&signal),
            Message::Backfill => self.backfill(None).await,
        }
    }

    /// Clears the backlog unless an outlet catches up, or others may reconnect soon.
    fn drop_unneeded_backlog(&mut self) {
        if self.backlog.retained_until().is_none() && self.listeners.iter().all(Listener::is_live) {
            self.backlog.clear();
        }
    }
}
