//! The keys and channels in Redis. They begin with `chat:` unless another prefix is configured.
//!
//! To add a key: describe it in a table below, and name it in [`Keyspace`]. A script takes every key that it
//! touches in `KEYS`; `scripts.rs` says how to add one.
//!
//! Each topic has four keys and a channel with one hash tag, so that they are on one shard of a Redis Cluster
//! and one script can touch all of them:
//!
//! | key | type | content |
//! |---|---|---|
//! | `chat:{room:ID}:f` | hash | the fields; and, each after the byte 255, which no field's name holds: `h`, the head of the log; `e`, where its earlier epochs ended (see `epoch.lua`); `t`, what retention removed; `a:USER`, the number of counted entries by an author; `m:USER`, a read mark |
//! | `chat:{room:ID}:x` | sorted set | the names of the fields, all with score 0: their order |
//! | `chat:{room:ID}:l` | stream | the log; the offset is the id: `OFFSET-0` |
//! | `chat:{room:ID}:n` | hash | author and nonce → offset |
//! | `chat:{room:ID}`, in database 3 `chat:{room:ID}@3` | channel | `e` and an entry, `b` and many of these, or `s` and a signal; a traced entry has a line of `t` and a traceparent before it |
//!
//! A field is written together with its name in the index; an entry together with the head, and with `a:AUTHOR`
//! if it is counted. An entry holds, always in this order: `e` event, `t` time, `b` author, `n` `=` and nonce (or
//! nothing), `c` `1` if counted, `p` payload, `l` the epoch in which it was stored, `s` the offset of the last
//! counted entry before it, or a later one, `k` how many counted entries there were before it (older versions wrote
//! none). A name in `:n` is `AUTHOR=NONCE`. A read mark is `OFFSET:SEEN`, where
//! `SEEN` counts the counted entries by others up to `OFFSET`. The number of unread entries is the number of
//! counted entries less `a:USER` less `SEEN`: the log is not read for it.
//!
//! `chat:{cluster}` and `chat:{directory}` have a field `life`, after twice U+10FFFF: a random id, written once, by which
//! nodes notice that the topic was lost. `chat:{cluster}` has the keys that sign and verify resume tokens, and in its log
//! the revocations of sessions.
//!
//! A public name is a field of `chat:{directory}`, and so is what it looks like, after U+10FFFF, with the same value: the
//! room, and since when.
//!
//! All keys of a topic expire together, with one exception: where retention has a maximum age, log and nonces
//! expire at most a minute after the last entry passes that age.
//!
//! Each commit reads and writes the head, so it is one value (`head.lua`): eight numbers of eight bytes, and two texts
//! that end with a zero byte. These are the last offset; the last time; the offset of the last counted entry, or a
//! later one; the number of counted entries; the offset and the time of the first entry when the log was last examined
//! (the log begins there or later); when log and nonces expire (0: with the topic); whether there are nonces whose
//! expiry is set (1 or 0); the epoch; the server (see `epoch.lua`).
//!
//! What retention removed is two numbers of eight bytes, written when something is removed: an offset before which only
//! counted entries are left, and how many counted entries there were before the first one that was left.
//!
//! Presence has one tag of its own:
//!
//! | key | type | content |
//! |---|---|---|
//! | `chat:{presence}:nodes` | sorted set | node → when its heartbeat expires, by the clock of Redis |
//! | `chat:{presence}:online` | sorted set | users, all with score 0: their order |
//! | `chat:{presence}:cards` | hash | `USER NODE` → card |
//! | `chat:{presence}:users` | sorted set | `USER NODE`, all with score 0: the nodes of a user |
//! | `chat:{presence}:at` | sorted set | `NODE USER`, all with score 0: the users of a node |
//!
//! Usage analytics have the tag `chat:{activity}`; `activity.lua` names their keys by hour and day.
//!
//! Presence has no key for each user: so its script can name all its keys.

use crate::domain::id::{NodeId, RoomId, SessionId, UserId};
use crate::store::Topic;

/// The keys of a topic, in the order in which the scripts take them.
pub(super) struct TopicKeys {
    pub(super) fields: String,
    pub(super) index: String,
    pub(super) log: String,
    pub(super) nonces: String,
}

impl TopicKeys {
    pub(super) fn all(self) -> Vec<String> {
        let Self { fields, index, log, nonces } = self;
        vec![fields, index, log, nonces]
    }
}

/// The names of the keys and channels of one chat.
#[derive(Debug, Clone)]
pub(super) struct Keyspace {
    prefix: String,
    /// Redis separates keys by database, but not channels: the channels of a database other than 0 end with
    /// its number.
    suffix: String,
}

impl Keyspace {
    pub(super) fn new(prefix: String, database: u8) -> Self {
        Self { prefix, suffix: if database == 0 { String::new() } else { format!("@{database}") } }
    }

    pub(super) fn keys(&self, topic: &Topic) -> TopicKeys {
        let tag = self.tag(topic);
        let key = |suffix: &str| format!("{tag}:{suffix}");
        TopicKeys { fields: key("f"), index: key("x"), log: key("l"), nonces: key("n") }
    }

    /// The keys of presence, in the order in which its script takes them.
    pub(super) fn presence(&self) -> Vec<String> {
        ["nodes", "online", "cards", "users", "at"].map(|what| format!("{}{{presence}}:{what}", self.prefix)).to_vec()
    }

    /// The prefix of the keys of usage analytics.
    pub(super) fn activity(&self) -> String {
        format!("{}{{activity}}", self.prefix)
    }

    pub(super) fn channel(&self, topic: &Topic) -> String {
        self.tag(topic) + &self.suffix
    }

    pub(super) fn topic(&self, channel: &str) -> Option<Topic> {
        topic(channel.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?)
    }

    /// The prefix of all names of a topic.
    fn tag(&self, topic: &Topic) -> String {
        let prefix = &self.prefix;
        match topic {
            Topic::Room(id) => format!("{prefix}{{room:{id}}}"),
            Topic::User(id) => format!("{prefix}{{user:{id}}}"),
            Topic::Session(id) => format!("{prefix}{{session:{id}}}"),
            Topic::Directory => format!("{prefix}{{directory}}"),
            Topic::Cluster => format!("{prefix}{{cluster}}"),
            Topic::Node(id, number) => format!("{prefix}{{node:{id}/{number}}}"),
        }
    }
}

fn topic(tag: &str) -> Option<Topic> {
    let tag = tag.strip_prefix('{')?.strip_suffix('}')?;
    match tag.split_once(':') {
        Some(("room", id)) => RoomId::parse(id).ok().map(Topic::Room),
        Some(("user", id)) => UserId::parse(id).ok().map(Topic::User),
        Some(("node", id)) => {
            let (id, number) = id.split_once('/')?;
            Some(Topic::Node(NodeId::parse(id).ok()?, number.parse().ok()?))
        }
        Some(("session", id)) => SessionId::parse(id).ok().map(Topic::Session),
        None if tag == "directory" => Some(Topic::Directory),
        None if tag == "cluster" => Some(Topic::Cluster),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test that fails by unwrapping says enough.
mod tests {
    use super::*;

    #[test]
    fn a_channel_names_its_topic() {
        for there in [
            Topic::Room(RoomId::lobby()),
            Topic::User(UserId::parse("u1").unwrap()),
            Topic::Session(SessionId::parse("s1").unwrap()),
            Topic::Directory,
            Topic::Cluster,
            Topic::Node(NodeId::parse("n1").unwrap(), 7),
        ] {
            for (prefix, database) in [("chat:", 0), ("chat:", 3), ("other:", 0)] {
                let keyspace = Keyspace::new(prefix.to_owned(), database);
                assert_eq!(keyspace.topic(&keyspace.channel(&there)), Some(there.clone()));
                assert_eq!(Keyspace::new("chat:".to_owned(), 9).topic(&keyspace.channel(&there)), None);
            }
        }
        assert_eq!(topic("{room:a b}"), None);
    }
}
