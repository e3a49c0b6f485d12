//! What the node wants to hear, whichever server publishes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use fred::types::{Message, Value};
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answers::entry;
use super::ear::Unheard;
use super::keys::Names;
use super::shards::{Shard, Shards};
use super::{COMMAND_TIMEOUT, slots};
use crate::domain::trace::Traceparent;
use crate::store::{BusEvent, StoreError, Topic};

/// The channels that the node wants to hear, and the shards that publish them, each by its number.
#[derive(Default)]
pub(super) struct Wanted {
    /// Where each is in force, if it is.
    channels: Mutex<HashMap<String, Option<u64>>>,
    /// Who publishes, by slot; just one where there are no slots.
    owners: RwLock<Vec<Option<u64>>>,
    again: Notify,
}

impl Wanted {
    fn channels(&self) -> MutexGuard<'_, HashMap<String, Option<u64>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds channels; answers which are new.
    fn add(&self, channels: &[String]) -> Vec<String> {
        let mut wanted = self.channels();
        let new = channels.iter().filter(|channel| !wanted.contains_key(*channel)).cloned().collect::<Vec<_>>();
        wanted.extend(new.iter().map(|channel| (channel.clone(), None)));
        new
    }

    /// Removes channels; answers which were there.
    pub(super) fn remove(&self, channels: &[String]) -> Vec<String> {
        let mut wanted = self.channels();
        channels.iter().filter(|channel| wanted.remove(*channel).is_some()).cloned().collect()
    }

    pub(super) fn has(&self, channel: &str) -> bool {
        self.channels().contains_key(channel)
    }

    /// A shard publishes these to us from now on.
    pub(super) fn in_force(&self, channels: &[String], shard: u64) {
        let mut wanted = self.channels();
        for channel in channels {
            if let Some(at) = wanted.get_mut(channel) {
                *at = Some(shard);
            }
        }
    }

    /// A shard publishes nothing to us any more.
    pub(super) fn lost(&self, shard: u64) {
        for at in self.channels().values_mut().filter(|at| **at == Some(shard)) {
            *at = None;
        }
    }

    /// What a shard should publish to us and does not.
    pub(super) fn missing(&self, shard: u64) -> Vec<String> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        let of = |channel: &str| match &owners[..] {
            [only] => *only,
            all => all.get(slots::of(channel)).copied().flatten(),
        };
        let channels = self.channels();
        let missing = channels.iter().filter(|(channel, at)| **at != Some(shard) && of(channel) == Some(shard));
        missing.map(|(channel, _)| channel.clone()).collect()
    }

    /// Says who publishes what; answers whether that is news.
    pub(super) fn owned(&self, owners: Vec<Option<u64>>) -> bool {
        let mut known = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        let news = *known != owners;
        *known = owners;
        news
    }

    /// Somebody was told that slots have moved.
    pub(super) fn look_again(&self) {
        self.again.notify_one();
    }

    /// Waits for [`Wanted::look_again`].
    pub(super) async fn asked_to_look(&self) {
        self.again.notified().await;
    }
}

/// Subscribes, and waits until all of it is in force.
pub(super) async fn subscribe(shards: &Shards, topics: &[Topic]) -> Result<(), StoreError> {
    let ears = shards.ears();
    let channels: Vec<String> = topics.iter().map(|topic| ears.names.channel(topic)).collect();
    // Wanted before it is asked for: a reconnect in between finds it in the list.
    let new = ears.wanted.add(&channels);
    let deadline = Instant::now() + COMMAND_TIMEOUT;
    loop {
        let asked = async {
            let each = by_shard(shards, &channels)?.into_iter();
            let asked = each.map(|(shard, channels)| async move { shard.ear().subscribe(&channels).await });
            join_all(asked).await.into_iter().collect::<Result<(), Unheard>>()
        };
        let error = match asked.await {
            Ok(()) => return Ok(()),
            Err(Unheard::Elsewhere) if Instant::now() < deadline => {
                shards.look().await;
                continue;
            }
            Err(Unheard::Elsewhere) => StoreError::Unavailable("the channel's slot is on its way".to_owned()),
            Err(Unheard::Failed(error)) => error,
        };
        ears.wanted.remove(&new);
        return Err(error);
    }
}

/// Lets go of topics.
pub(super) async fn unsubscribe(shards: &Shards, topics: &[Topic]) {
    let ears = shards.ears();
    let channels: Vec<String> = topics.iter().map(|topic| ears.names.channel(topic)).collect();
    match by_shard(shards, &channels) {
        Ok(each) => {
            let each = each.into_iter().map(|(shard, some)| async move { shard.ear().unsubscribe(&some).await });
            join_all(each).await;
        }
        // Nobody has them. What still comes in is not wanted.
        Err(_) => drop(ears.wanted.remove(&channels)),
    }
}

type OfShards = Vec<(Arc<Shard>, Vec<String>)>;

/// The channels of each shard.
fn by_shard(shards: &Shards, channels: &[String]) -> Result<OfShards, StoreError> {
    let mut each = OfShards::new();
    for channel in channels {
        let shard = shards.shard_of(channel)?;
        match each.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &shard)) {
            Some((_, some)) => some.push(channel.clone()),
            None => each.push((shard, vec![channel.clone()])),
        }
    }
    Ok(each)
}

/// Reads what was published.
pub(super) fn read(names: &Names, message: &Message) -> Option<Vec<BusEvent>> {
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
pub(super) fn frames(topic: &Topic, text: &str) -> Option<Vec<BusEvent>> {
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

/// `e` and epoch, offset, time, author, event, payload, a line each, before it perhaps a line of `t` and a traceparent; or
/// `s` and a signal.
pub(super) fn frame(topic: Topic, text: &str) -> Option<BusEvent> {
    if let Some(signal) = text.strip_prefix('s') {
        return Some(BusEvent::Signal(topic, signal.to_owned()));
    }
    let (trace, text) = match text.strip_prefix('t') {
        Some(rest) => rest.split_once('\n').map(|(trace, text)| (Traceparent::parse(trace), text))?,
        None => (None, text),
    };
    let mut lines = text.strip_prefix('e')?.splitn(6, '\n');
    let mut next = || lines.next().map(ToOwned::to_owned);
    let (epoch, offset, at, by, event, payload) = (next()?, next()?, next()?, next()?, next()?, next()?);
    entry((epoch, offset, at, event, by, payload)).ok().map(|entry| BusEvent::Entry(topic, entry, trace))
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used)] // A test that fails by panicking says enough.
mod tests {
    use super::*;
    use crate::domain::id::RoomId;

    #[test]
    fn a_frame_is_read_verbatim_or_not_at_all() {
        let topic = || Topic::Room(RoomId::lobby());
        let Some(BusEvent::Entry(_, entry, None)) = frame(topic(), "ee1\n7\n99\nu1\nmessage:new\n\"a\":\"x\ny\"")
        else {
            panic!("not an entry");
        };
        assert_eq!((entry.offset, entry.at, entry.payload.as_str()), (7, 99, "\"a\":\"x\ny\""));
        for bad in ["", "x", "ee1\n7", "ee1\nx\n99\nu1\nm\np", "ee1\n7\n99\nu 1\nm\np"] {
            assert_eq!(frame(topic(), bad), None, "{bad}");
        }
    }

    #[test]
    fn a_frame_of_what_is_followed_says_so() {
        let (topic, plain) = (Topic::Room(RoomId::lobby()), "ee1\n7\n99\nu1\nm\n\"t\":1");
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let Some(BusEvent::Entry(_, entry, None)) = frame(topic.clone(), plain) else { panic!("not an entry") };
        let followed = |trace: &str| frame(topic.clone(), &format!("t{trace}\n{plain}"));
        assert_eq!(followed(trace), Some(BusEvent::Entry(topic.clone(), entry.clone(), Traceparent::parse(trace))));
        // Of another version: nobody follows it, everybody hears it.
        assert_eq!(followed("01-x"), Some(BusEvent::Entry(topic.clone(), entry, None)));
        assert_eq!(frame(topic, &format!("t{trace}")), None);
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
        fn whatever_is_published_is_read_or_refused(text in ".{0,10}|[bet][a-z0-9\n:-]{0,40}|\\PC*") {
            let _ = frames(&Topic::Room(RoomId::lobby()), &text);
        }
    }

    #[test]
    fn a_signal_is_read_as_it_was_written() {
        let topic = Topic::Room(RoomId::lobby());
        assert_eq!(frame(topic.clone(), &signal("e\n1")), Some(BusEvent::Signal(topic, "e\n1".to_owned())));
    }
}
