//! What is heard: from Redis into the node's queue.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::{Message, Value};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{RwLock, mpsc};
use tokio::task::AbortHandle;

use super::keys::Names;
use super::link::{Link, failed};
use super::{COMMAND_TIMEOUT, entry};
use crate::broker::{BrokerError, HEARD_CAPACITY, Heard, Topic};

/// How soon a subscription that failed after a reconnect is tried again.
const RESUBSCRIBE_RETRY: Duration = Duration::from_millis(200);
/// How many channels a command names.
const CHANNELS_AT_ONCE: usize = 1_000;

/// The connection that hears. It keeps its own list of channels: fred's `manage_subscriptions`
/// tells nobody when all of them are in force again, and forgets one that was asked for while the
/// connection broke.
pub(super) struct Bus {
    link: Link,
    names: Names,
    wanted: Wanted,
    tasks: [AbortHandle; 2],
}

#[derive(Clone, Default)]
struct Wanted {
    channels: Arc<Mutex<HashSet<String>>>,
    /// Shared by all who subscribe, held alone by who unsubscribes: so what is wanted and what
    /// Redis was asked for can't part.
    gate: Arc<RwLock<()>>,
}

impl Wanted {
    fn channels(&self) -> MutexGuard<'_, HashSet<String>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus {
    pub(super) fn start(client: Client, names: Names) -> (Self, mpsc::Receiver<Heard>) {
        let (outbox, heard) = mpsc::channel(HEARD_CAPACITY);
        let (interrupt, interrupted) = mpsc::channel(1);
        let wanted = Wanted::default();
        let tasks = [
            tokio::spawn(listen(client.message_rx(), names.clone(), wanted.clone(), interrupted, outbox))
                .abort_handle(),
            tokio::spawn(resubscribe(client.clone(), client.reconnect_rx(), wanted.clone(), interrupt)).abort_handle(),
        ];
        (Self { link: Link::start(client, "bus"), names, wanted, tasks }, heard)
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) async fn subscribe(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        let channels: Vec<String> = topics.iter().map(|topic| self.names.channel(topic)).collect();
        let _shared = self.wanted.gate.read().await;
        let client = self.link.client()?;
        // Wanted before it is asked for: a reconnect in between finds it in the list.
        let new: Vec<String> = {
            let mut wanted = self.wanted.channels();
            channels.iter().filter(|channel| wanted.insert((*channel).clone())).cloned().collect()
        };
        let result = confirmed(client, &channels).await;
        if result.is_err() {
            self.wanted.channels().retain(|channel| !new.contains(channel));
        }
        result
    }

    pub(super) async fn unsubscribe(&self, topics: &[Topic]) {
        let _alone = self.wanted.gate.write().await;
        let channels: Vec<String> = {
            let mut wanted = self.wanted.channels();
            topics.iter().map(|topic| self.names.channel(topic)).filter(|channel| wanted.remove(channel)).collect()
        };
        // Without a connection there is nothing to end. What still comes in is not wanted.
        if let (Ok(client), false) = (self.link.client(), channels.is_empty()) {
            let _ = client.unsubscribe(channels).await;
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Subscribes, and waits until it is in force. fred takes a subscription for done when it is
/// written; the answer to a PING after it says that Redis has it. Should the connection break in
/// between, so that another one answers, then [`resubscribe`] asks again and the node is told.
async fn confirmed(client: &Client, channels: &[String]) -> Result<(), BrokerError> {
    let asked = async {
        for some in channels.chunks(CHANNELS_AT_ONCE) {
            client.subscribe(some.to_vec()).await?;
        }
        client.ping::<()>(None).await
    };
    match tokio::time::timeout(COMMAND_TIMEOUT, asked).await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(BrokerError::Unavailable("Redis did not confirm a subscription in time".to_owned())),
    }
}

/// Subscribes again on each new connection, and then, no sooner, has the node told.
async fn resubscribe(
    client: Client,
    mut connects: Receiver<fred::types::config::Server>,
    wanted: Wanted,
    interrupt: mpsc::Sender<()>,
) {
    while !matches!(connects.recv().await, Err(RecvError::Closed)) {
        loop {
            let shared = wanted.gate.read().await;
            let channels: Vec<String> = wanted.channels().iter().cloned().collect();
            if channels.is_empty() {
                break;
            }
            match confirmed(&client, &channels).await {
                Ok(()) => {
                    // A full channel holds the same news already.
                    let _ = interrupt.try_send(());
                    break;
                }
                Err(error) => tracing::debug!(%error, "not subscribed again yet"),
            }
            drop(shared);
            tokio::time::sleep(RESUBSCRIBE_RETRY).await;
        }
    }
}

/// Hands on what is heard. Whatever may have been lost is told as [`Heard::Interrupted`], which
/// itself is never lost.
async fn listen(
    mut messages: Receiver<Message>,
    names: Names,
    wanted: Wanted,
    mut interrupted: mpsc::Receiver<()>,
    outbox: mpsc::Sender<Heard>,
) {
    let mut lost = false;
    loop {
        if lost {
            // Waits: nothing that comes later may pass by the news of what was lost.
            if outbox.send(Heard::Interrupted).await.is_err() {
                return;
            }
            lost = false;
        }
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) if !wanted.channels().contains(&*message.channel) => {}
                Ok(message) => match read(&names, &message) {
                    Some(all) => for heard in all {
                        match outbox.try_send(heard) {
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

fn read(names: &Names, message: &Message) -> Option<Vec<Heard>> {
    let topic = names.topic(&message.channel)?;
    let text = match &message.value {
        Value::String(text) => &**text,
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?,
        _ => return None,
    };
    frames(&topic, text)
}

/// What is published as a signal.
pub(super) fn signal(payload: &str) -> String {
    format!("s{payload}")
}

/// One, or `b` and many, each after its length and a colon.
pub(super) fn frames(topic: &Topic, text: &str) -> Option<Vec<Heard>> {
    let Some(mut rest) = text.strip_prefix('b') else { return frame(topic.clone(), text).map(|heard| vec![heard]) };
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_once(':')?;
        let (one, next) = after.split_at_checked(length.parse().ok()?)?;
        all.push(frame(topic.clone(), one)?);
        rest = next;
    }
    Some(all)
}

/// `e` and epoch, offset, time, author, event, payload, a line each; or `s` and a signal.
pub(super) fn frame(topic: Topic, text: &str) -> Option<Heard> {
    if let Some(signal) = text.strip_prefix('s') {
        return Some(Heard::Signal(topic, signal.to_owned()));
    }
    let mut lines = text.strip_prefix('e')?.splitn(6, '\n');
    let mut next = || lines.next().map(ToOwned::to_owned);
    let (epoch, offset, at, by, event, payload) = (next()?, next()?, next()?, next()?, next()?, next()?);
    entry((epoch, offset, at, event, by, payload)).ok().map(|entry| Heard::Entry(topic, entry))
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used)] // A test that fails by panicking says enough.
mod tests {
    use super::*;
    use crate::domain::id::RoomId;

    #[test]
    fn a_frame_is_read_verbatim_or_not_at_all() {
        let topic = || Topic::Room(RoomId::lobby());
        let Some(Heard::Entry(_, entry)) = frame(topic(), "ee1\n7\n99\nu1\nmessage:new\n\"a\":\"x\ny\"") else {
            panic!("not an entry");
        };
        assert_eq!((entry.offset, entry.at, entry.payload.as_str()), (7, 99, "\"a\":\"x\ny\""));
        for bad in ["", "x", "ee1\n7", "ee1\nx\n99\nu1\nm\np", "ee1\n7\n99\nu 1\nm\np"] {
            assert_eq!(frame(topic(), bad), None, "{bad}");
        }
    }

    #[test]
    fn frames_that_go_together_are_read_one_by_one_or_not_at_all() {
        let topic = Topic::Room(RoomId::lobby());
        let (one, two) = ("ee1\n7\n99\nu1\nm\n\"ä:7\"", "ee1\n8\n99\nu2\nm\n");
        let both = format!("b{}:{one}{}:{two}", one.len(), two.len());
        let each = [one, two].map(|text| frame(topic.clone(), text).unwrap());
        assert_eq!(frames(&topic, &both), Some(each.to_vec()));
        assert_eq!(frames(&topic, one), Some(vec![each[0].clone()]));
        for bad in [&both[..both.len() - 1], "b9:e", "b:", "bx", "b-1:e", "b1", "b99999999999999999999:e"] {
            assert_eq!(frames(&topic, bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_published_is_read_or_refused(text in ".{0,10}|[be][a-z0-9\n:-]{0,40}|\\PC*") {
            let _ = frames(&Topic::Room(RoomId::lobby()), &text);
        }
    }

    #[test]
    fn a_signal_is_read_as_it_was_written() {
        let topic = Topic::Room(RoomId::lobby());
        assert_eq!(frame(topic.clone(), &signal("e\n1")), Some(Heard::Signal(topic, "e\n1".to_owned())));
    }
}
