//! What is heard from one server: from Redis into the node's queue.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Message;
use fred::types::config::Server;
use futures_util::future::try_join_all;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, RwLock, mpsc};
use tokio::task::AbortHandle;

use super::COMMAND_TIMEOUT;
use super::bus::{Wanted, read};
use super::keys::Names;
use super::link::{Counts, Link, failed};
use crate::store::{BusEvent, StoreError};

/// How soon a subscription that failed after a reconnect is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// How many channels a command names.
const CHANNELS_AT_ONCE: usize = 1_000;
/// What a server is asked in order to see that its answers belong to the questions.
const WORD: &str = "in step";

/// What all ears of a node have in common.
#[derive(Clone)]
pub(super) struct Ears {
    pub(super) names: Names,
    pub(super) wanted: Arc<Wanted>,
    pub(super) outbox: mpsc::Sender<BusEvent>,
    /// Whether channels belong to slots, as in a Redis Cluster.
    pub(super) sharded: bool,
    pub(super) counts: Arc<Counts>,
}

/// The connection that hears what one server publishes. It keeps its own list of channels: fred's
/// `manage_subscriptions` tells nobody when all of them are in force again, forgets one that was
/// asked for while the connection broke, and does not notice when their slot has moved.
pub(super) struct Ear {
    number: u64,
    link: Link,
    ears: Ears,
    /// Shared by all who subscribe, held alone by who unsubscribes, or takes all for gone: so what
    /// is wanted and what Redis was asked for can't part.
    gate: Arc<RwLock<()>>,
    /// Rung when there may be channels to subscribe to.
    bell: Arc<Notify>,
    tasks: [AbortHandle; 2],
}

impl Ear {
    /// An ear for the channels that [`Wanted`] says to belong to this number.
    pub(super) fn start(client: Client, number: u64, ears: Ears) -> Self {
        let (interrupt, interrupted) = mpsc::channel(1);
        let (gate, bell) = (Arc::new(RwLock::new(())), Arc::new(Notify::new()));
        let tending = Tending {
            number,
            client: client.clone(),
            ears: ears.clone(),
            gate: gate.clone(),
            bell: bell.clone(),
            interrupt,
        };
        let tasks = [
            tokio::spawn(listen(client.message_rx(), ears.clone(), interrupted)).abort_handle(),
            tokio::spawn(tending.run(client.reconnect_rx())).abort_handle(),
        ];
        Self { number, link: Link::start(client, "bus", ears.counts.clone()), ears, gate, bell, tasks }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Has it look whether there are channels to subscribe to.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Subscribes, and waits until it is in force.
    pub(super) async fn subscribe(&self, channels: &[String]) -> Result<(), Unheard> {
        let _shared = self.gate.read().await;
        let client = self.link.client()?;
        confirmed(client, channels, self.ears.sharded).await?;
        self.ears.wanted.in_force(channels, self.number);
        Ok(())
    }

    pub(super) async fn unsubscribe(&self, channels: &[String]) {
        let _alone = self.gate.write().await;
        let channels = self.ears.wanted.remove(channels);
        // Without a connection there is nothing to end. What still comes in is not wanted.
        let (Ok(client), false) = (self.link.client(), channels.is_empty()) else { return };
        if !self.ears.sharded {
            let _ = client.unsubscribe(channels).await;
            return;
        }
        for channel in channels {
            let _ = client.sunsubscribe(channel).await;
        }
        // fred expects no answer to these. Where there is one after all, because the slot has just
        // moved, it takes it for that to the next command, and so on.
        let word = client.ping::<String>(Some(WORD.to_owned())).await;
        if word.is_ok_and(|word| word != WORD) {
            self.link.renew().await;
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Why a subscription is not in force.
pub(super) enum Unheard {
    /// The channels are another server's.
    Elsewhere,
    /// Anything else.
    Failed(StoreError),
}

impl From<StoreError> for Unheard {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Subscribes, and waits until it is in force. Should the connection break in between, so that
/// another one answers, then [`Tending`] asks again and the node is told.
async fn confirmed(client: &Client, channels: &[String], sharded: bool) -> Result<(), Unheard> {
    let asked = async {
        if sharded {
            // One at a time: there is an answer to each channel, and fred expects one to each command.
            for some in channels.chunks(CHANNELS_AT_ONCE) {
                try_join_all(some.iter().map(|channel| client.ssubscribe(channel.clone()))).await?;
            }
            return Ok(());
        }
        for some in channels.chunks(CHANNELS_AT_ONCE) {
            client.subscribe(some.to_vec()).await?;
        }
        // fred takes a subscription for done when it is written; the answer to a PING after it says
        // that Redis has it.
        client.ping::<()>(None).await
    };
    match tokio::time::timeout(COMMAND_TIMEOUT, asked).await {
        Ok(Err(error)) if is_moved(&error) => Err(Unheard::Elsewhere),
        Ok(result) => result.map_err(|error| Unheard::Failed(failed(error))),
        Err(_) => {
            let late = "Redis did not confirm a subscription in time".to_owned();
            Err(Unheard::Failed(StoreError::Unavailable(late)))
        }
    }
}

fn is_moved(error: &Error) -> bool {
    error.details().starts_with("MOVED")
}

/// Subscribes to what is wanted and not in force: all of it on each new connection, some of it when
/// slots have moved. And then, no sooner, has the node told.
struct Tending {
    number: u64,
    client: Client,
    ears: Ears,
    gate: Arc<RwLock<()>>,
    bell: Arc<Notify>,
    interrupt: mpsc::Sender<()>,
}

impl Tending {
    async fn run(self, mut connects: Receiver<Server>) {
        loop {
            tokio::select! {
                connect = connects.recv() => {
                    if matches!(connect, Err(RecvError::Closed)) {
                        return;
                    }
                    // Whoever subscribed on the old connection has said so by then.
                    let _alone = self.gate.write().await;
                    self.ears.wanted.lost(self.number);
                }
                () = self.bell.notified() => {}
            }
            loop {
                let shared = self.gate.read().await;
                let channels = self.ears.wanted.missing(self.number);
                if channels.is_empty() {
                    break;
                }
                match confirmed(&self.client, &channels, self.ears.sharded).await {
                    Ok(()) => {
                        self.ears.wanted.in_force(&channels, self.number);
                        // A full channel holds the same news already.
                        let _ = self.interrupt.try_send(());
                        break;
                    }
                    Err(Unheard::Elsewhere) => self.ears.wanted.look_again(),
                    Err(Unheard::Failed(error)) => tracing::debug!(%error, "not subscribed again yet"),
                }
                drop(shared);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Hands on what is heard. Whatever may have been lost is told as [`BusEvent::Interrupted`], which
/// itself is never lost.
async fn listen(mut messages: Receiver<Message>, ears: Ears, mut interrupted: mpsc::Receiver<()>) {
    let mut lost = false;
    loop {
        if lost {
            // Waits: nothing that comes later may pass by the news of what was lost.
            if ears.outbox.send(BusEvent::Interrupted).await.is_err() {
                return;
            }
            lost = false;
        }
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) if !ears.wanted.has(&message.channel) => {}
                Ok(message) => match read(&ears.names, &message) {
                    Some(heard) => for one in heard {
                        match ears.outbox.try_send(one) {
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
