//! Where things are in Redis. `chat:` is the prefix unless another one is asked for.
//!
//! Each topic has four keys and a channel under one hash tag, so that a script can touch them all,
//! whichever shard of a Redis Cluster has them:
//!
//! | key | type | what |
//! |---|---|---|
//! | `chat:{room:ID}:f` | hash | the fields; and, each with the byte 255 before it, which no field's name has, `h`, the head of the log; `e`, where earlier lives of it ended (see `life.lua`); `a:USER`, how many counted entries are of an author; `m:USER`, a mark |
//! | `chat:{room:ID}:x` | sorted set | the fields' names, all of score 0: their order |
//! | `chat:{room:ID}:l` | stream | the log; the offset is the id: `OFFSET-0` |
//! | `chat:{room:ID}:n` | hash | author and nonce → offset |
//! | `chat:{room:ID}`, in database 3 `chat:{room:ID}@3` | channel | `e` and an entry, `b` and many of these, or `s` and a signal; before an entry that is followed a line of `t` and a traceparent |
//!
//! A field is written with its name in the index, an entry of the log with the head, and with `a:AUTHOR` if it
//! is counted. An entry is `e` event, `t` time, `b` author, `n` `=` and nonce (or nothing), `c` `1`
//! if counted, `p` payload, `l` the epoch it was born in, `s` an offset after which no counted entry lies before
//! it, always in this order. In `:n` a name is `AUTHOR=NONCE`. A mark is
//! `OFFSET:SEEN`: how many of the counted entries of others were at or before it. What is unread is
//! the count of all counted entries less `a:USER` less `SEEN`: no log has to be read for it.
//!
//! All keys of a topic live equally long, but for log and nonces of a topic whose entries have an age:
//! these live no longer than the last entry and a minute.
//!
//! The head is read and written with each commit, and so is one value (`head.lua`): eight numbers, eight bytes each, and
//! two texts that end with a zero byte. The last offset; the last time; the offset after which there is no counted entry;
//! how many are counted; the offset and the time of the first entry when it was last looked at (the log begins there or
//! later); up to when log and nonces live (0: as long as the topic); whether there were nonces, and live as long as they
//! should (1 or 0); the epoch; the server (see `life.lua`).
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
//! What goes on in the chat is under one more, `chat:{activity}`; its keys are in `activity.lua`, named by hour and day.
//!
//! That there is no key a user is what lets the scripts name all their keys.

use crate::domain::id::{NodeId, RoomId, SessionId, UserId};
use crate::store::Topic;

/// The keys of a topic, in the order in which the scripts take them.
pub(super) struct Keys {
    pub(super) fields: String,
    pub(super) index: String,
    pub(super) log: String,
    pub(super) nonces: String,
}

impl Keys {
    pub(super) fn all(self) -> Vec<String> {
        let Self { fields, index, log, nonces } = self;
        vec![fields, index, log, nonces]
    }
}

/// What the keys and channels of one chat are called.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
    /// Keys are apart by database, but channels are not: those of other databases than the first
    /// end with its number.
    suffix: String,
}

impl Names {
    pub(super) fn new(prefix: String, database: u8) -> Self {
        Self { prefix, suffix: if database == 0 { String::new() } else { format!("@{database}") } }
    }

    pub(super) fn keys(&self, topic: &Topic) -> Keys {
        let tag = self.tag(topic);
        let key = |suffix: &str| format!("{tag}:{suffix}");
        Keys { fields: key("f"), index: key("x"), log: key("l"), nonces: key("n") }
    }

    /// The keys of presence, in the order in which its script takes them.
    pub(super) fn presence(&self) -> Vec<String> {
        ["nodes", "online", "cards", "users", "at"].map(|what| format!("{}{{presence}}:{what}", self.prefix)).to_vec()
    }

    /// What the keys of what goes on begin with.
    pub(super) fn activity(&self) -> String {
        format!("{}{{activity}}", self.prefix)
    }

    pub(super) fn channel(&self, topic: &Topic) -> String {
        self.tag(topic) + &self.suffix
    }

    pub(super) fn topic(&self, channel: &str) -> Option<Topic> {
        topic(channel.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?)
    }

    /// What all names of a topic begin with.
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
                let names = Names::new(prefix.to_owned(), database);
                assert_eq!(names.topic(&names.channel(&there)), Some(there.clone()));
                assert_eq!(Names::new("chat:".to_owned(), 9).topic(&names.channel(&there)), None);
            }
        }
        assert_eq!(topic("{room:a b}"), None);
    }
}
