//! Where things are in Redis.
//!
//! Each topic has six keys and a channel under one hash tag, so that a script can touch them all
//! on any slot of a Redis Cluster:
//!
//! | key | type | what |
//! |---|---|---|
//! | `chat:{room:ID}:f` | hash | the fields |
//! | `chat:{room:ID}:x` | sorted set | the fields' names, all of score 0: their order |
//! | `chat:{room:ID}:h` | hash | `epoch`, `top` (the last offset), `at` (the last time), `server` and `ended` (see `life.lua`) |
//! | `chat:{room:ID}:l` | stream | the log; the offset is the id: `OFFSET-0` |
//! | `chat:{room:ID}:n` | hash | author and nonce → offset |
//! | `chat:{room:ID}:c` | hash | `n` counted entries, `a:USER` of an author, `m:USER` a mark |
//! | `chat:{room:ID}`, in database 3 `chat:{room:ID}@3` | channel | `e` and an entry, `b` and many of these, or `s` and a signal |
//!
//! A field is written with its name in the index, an entry of the log with `n` and `a:AUTHOR` if it
//! is counted. An entry is `e` event, `t` time, `b` author, `n` `=` and nonce (or nothing), `c` `1`
//! if counted, `p` payload, `l` the epoch it was born in, `s` an offset after which no counted entry lies before
//! it, always in this order. In `:n` a name is `AUTHOR=NONCE`. A mark is
//! `OFFSET:SEEN`: how many of the counted entries of others were at or before it. What is unread is
//! `n` less `a:USER` less `SEEN`: no log has to be read for it.
//!
//! All keys of a topic live equally long, but for log and nonces of a topic whose entries have an age:
//! these live no longer than the last entry and a minute.
//!
//! So that most commits need not look, the head also says: `first` and `since`, the offset and time of
//! the first entry when it was last looked at (the log begins there or later); `until`, up to when log and
//! nonces live (0: as long as the topic); `kinds`, which other keys were there then and live as long as they
//! should (1: nonces, 2: counts, 3: both); `said`, after which there is no counted entry. Any of these may be
//! missing.
//!
//! Presence is under one tag of its own:
//!
//! | key | type | what |
//! |---|---|---|
//! | `chat:{presence}:nodes` | sorted set | node → until when it lives, by the clock of Redis |
//! | `chat:{presence}:online` | sorted set | users, all of score 0: their order |
//! | `chat:{presence}:cards` | hash | `USER NODE` → card |
//! | `chat:{presence}:users` | sorted set | `USER NODE`, all of score 0: on which nodes a user is |
//! | `chat:{presence}:at` | sorted set | `NODE USER`, all of score 0: who is on a node |
//!
//! That there is no key a user is what lets the scripts name all their keys.

use crate::broker::Topic;
use crate::domain::id::{NodeId, RoomId, SessionId, UserId};

/// The keys of a topic, in the order in which the scripts take them.
pub(super) struct Keys {
    pub(super) fields: String,
    pub(super) index: String,
    pub(super) head: String,
    pub(super) log: String,
    pub(super) nonces: String,
    pub(super) counts: String,
}

impl Keys {
    pub(super) fn of(topic: &Topic) -> Self {
        let tag = tag(topic);
        let key = |suffix: &str| format!("{tag}:{suffix}");
        Self { fields: key("f"), index: key("x"), head: key("h"), log: key("l"), nonces: key("n"), counts: key("c") }
    }

    pub(super) fn all(self) -> Vec<String> {
        let Self { fields, index, head, log, nonces, counts } = self;
        vec![fields, index, head, log, nonces, counts]
    }
}

/// The keys of presence, in the order in which its script takes them.
pub(super) const PRESENCE: [&str; 5] = [
    "chat:{presence}:nodes",
    "chat:{presence}:online",
    "chat:{presence}:cards",
    "chat:{presence}:users",
    "chat:{presence}:at",
];

/// The channels of the topics in one database of Redis. Keys are apart by database, but channels are
/// not: those of other databases than the first end with its number.
#[derive(Debug, Clone)]
pub(super) struct Channels {
    suffix: String,
}

impl Channels {
    pub(super) fn of_database(number: u8) -> Self {
        Self { suffix: if number == 0 { String::new() } else { format!("@{number}") } }
    }

    pub(super) fn name(&self, topic: &Topic) -> String {
        tag(topic) + &self.suffix
    }

    pub(super) fn topic(&self, channel: &str) -> Option<Topic> {
        topic(channel.strip_suffix(self.suffix.as_str())?)
    }
}

/// What all names of a topic begin with.
fn tag(topic: &Topic) -> String {
    match topic {
        Topic::Room(id) => format!("chat:{{room:{id}}}"),
        Topic::User(id) => format!("chat:{{user:{id}}}"),
        Topic::Session(id) => format!("chat:{{session:{id}}}"),
        Topic::Directory => "chat:{directory}".to_owned(),
        Topic::Cluster => "chat:{cluster}".to_owned(),
        Topic::Node(id) => format!("chat:{{node:{id}}}"),
    }
}

fn topic(tag: &str) -> Option<Topic> {
    let tag = tag.strip_prefix("chat:{")?.strip_suffix('}')?;
    match tag.split_once(':') {
        Some(("room", id)) => RoomId::parse(id).ok().map(Topic::Room),
        Some(("user", id)) => UserId::parse(id).ok().map(Topic::User),
        Some(("node", id)) => NodeId::parse(id).ok().map(Topic::Node),
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
            Topic::Node(NodeId::parse("n1").unwrap()),
        ] {
            for database in [0, 3] {
                let channels = Channels::of_database(database);
                assert_eq!(channels.topic(&channels.name(&there)), Some(there.clone()));
                assert_eq!(Channels::of_database(9).topic(&channels.name(&there)), None);
            }
        }
        assert_eq!(topic("chat:{room:a b}"), None);
    }
}
