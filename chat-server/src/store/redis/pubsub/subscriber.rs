//! Receives what one server publishes, into the queue of the node.

use std::sync::Arc;

use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Message;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, RwLock, mpsc};
use tokio::task::AbortHandle;

use super::frames;
use super::resubscriber::Resubscriber;
use super::shared::Shared;
use super::subscribe::{SubscribeError, subscribe};
use crate::store::BusEvent;
use crate::store::redis::connect::connection::{Connection, TrafficCounters};

/// The argument of a PING whose reply shows that replies belong to their commands.
const WORD: &str = "in step";

/// The connection that receives what one server publishes.
///
/// It keeps its own list of channels: fred's `manage_subscriptions` does not report when all of them are in force
/// again, forgets one that was requested while the connection broke, and does not notice that their slot has moved.
pub(crate) struct Subscriber {
    number: u64,
    connection: Connection,
    shared: Arc<Shared>,
    /// Held shared to subscribe; held exclusively to unsubscribe, and to note that all subscriptions are lost. So the
    /// list and what Redis was asked for never diverge.
    gate: Arc<RwLock<()>>,
    /// Notified when there may be channels to subscribe to.
    wake: Arc<Notify>,
    tasks: [AbortHandle; 2],
}

impl Subscriber {
    /// A subscriber for the channels of the shard with this number.
    pub(crate) fn start(client: Client, number: u64, shared: Arc<Shared>, counters: Arc<TrafficCounters>) -> Self {
        let (interrupted, interruptions) = mpsc::channel(1);
        let (gate, wake) = (Arc::new(RwLock::new(())), Arc::new(Notify::new()));
        let resubscriber = Resubscriber {
            number,
            client: client.clone(),
            shared: shared.clone(),
            gate: gate.clone(),
            wake: wake.clone(),
            interrupted,
        };
        let tasks = [
            tokio::spawn(receive(client.message_rx(), shared.clone(), interruptions)).abort_handle(),
            tokio::spawn(resubscriber.run(client.reconnect_rx())).abort_handle(),
        ];
        Self { number, connection: Connection::start(client, "bus", counters), shared, gate, wake, tasks }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Makes it subscribe to channels that are missing.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Subscribes, and waits until the subscription is in force.
    pub(crate) async fn subscribe(&self, channels: &[String]) -> Result<(), SubscribeError> {
        let _shared = self.gate.read().await;
        let client = self.connection.client()?;
        subscribe(client, channels, self.shared.sharded).await?;
        self.shared.subscriptions.set_in_force(channels, self.number);
        Ok(())
    }

    pub(crate) async fn unsubscribe(&self, channels: &[String]) {
        let _exclusive = self.gate.write().await;
        let channels = self.shared.subscriptions.remove(channels);
        // Without a connection there is nothing to end. Messages that still arrive are dropped: the list lacks their
        // channel.
        let (Ok(client), false) = (self.connection.client(), channels.is_empty()) else { return };
        if !self.shared.sharded {
            let _ = client.unsubscribe(channels).await;
            return;
        }
        for channel in channels {
            let _ = client.sunsubscribe(channel).await;
        }
        // fred expects no reply to these. If there is one after all, because the slot has just moved, it takes it for
        // the reply to the next command, and so on.
        let word = client.ping::<String>(Some(WORD.to_owned())).await;
        if word.is_ok_and(|word| word != WORD) {
            self.connection.renew().await;
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Passes on what the server publishes. Whenever something may have been lost it sends [`BusEvent::Interrupted`], which
/// itself is never lost.
async fn receive(mut messages: Receiver<Message>, shared: Arc<Shared>, mut interrupted: mpsc::Receiver<()>) {
    let mut lost = false;
    loop {
        if lost {
            // Waits for room: nothing that comes later may overtake this event.
            if shared.events.send(BusEvent::Interrupted).await.is_err() {
                return;
            }
            lost = false;
        }
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) if !shared.subscriptions.contains(&message.channel) => {}
                Ok(message) => match frames::events(&shared.keyspace, &message) {
                    Some(events) => for event in events {
                        match shared.events.try_send(event) {
                            Ok(()) => {}
                            Err(TrySendError::Full(_)) => {
                                tracing::warn!("the node is too slow for the bus");
                                lost = true;
                                break;
                            }
                            Err(TrySendError::Closed(_)) => return,
                        }
                    },
                    None => {
                        tracing::warn!(channel = %message.channel, "something was published that can't be read");
                        lost = true;
                    }
                },
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "the bus was too fast");
                    lost = true;
                }
                Err(RecvError::Closed) => return,
            },
            Some(()) = interrupted.recv() => lost = true,
        }
    }
}
