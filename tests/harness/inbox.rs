//! What one connection has heard, and the promise it holds the server to: within a connection each offset of a room
//! comes once, and they rise by one.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// The events that are entries of a room's log.
const LOGGED: [&str; 8] = [
    "message:new",
    "message:edited",
    "message:deleted",
    "message:reacted",
    "member:joined",
    "member:left",
    "member:role",
    "room:updated",
];

/// An event as it came.
pub(crate) struct Event {
    pub(crate) name: String,
    raw: Box<RawValue>,
    parsed: Option<Value>,
    taken: bool,
}

impl Event {
    /// The payload, parsed at the first look (a flood is mostly counted, not looked at).
    pub(crate) fn payload(&mut self) -> &Value {
        self.parsed.get_or_insert_with(|| serde_json::from_str(self.raw.get()).expect("JSON, as read before"))
    }
}

/// Where a connection is in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Track {
    epoch: String,
    offset: u64,
}

#[derive(Deserialize)]
struct Position {
    epoch: String,
    offset: u64,
}

#[derive(Deserialize)]
struct LogEntry {
    room: String,
    epoch: String,
    offset: u64,
}

#[derive(Deserialize)]
struct Gap {
    room: String,
    epoch: String,
    from: u64,
    to: u64,
}

#[derive(Deserialize)]
struct Placed {
    room: String,
    position: Position,
}

/// All that came, in order.
#[derive(Default)]
pub(crate) struct Inbox {
    events: Vec<Event>,
    counts: HashMap<String, usize>,
    acks: HashMap<u64, Value>,
    acks_seen: usize,
    entering: HashSet<u64>,
    opened: HashSet<String>,
    rooms: HashMap<String, Track>,
    own_id: Option<String>,
    violations: Vec<String>,
    /// The server's answer to CONNECT.
    pub(crate) connected: Option<Result<Value, Value>>,
    /// Why the connection ended.
    pub(crate) closed: Option<String>,
}

impl Inbox {
    /// The ack with this id will tell of a room that this connection is in from then on.
    pub(crate) fn will_enter(&mut self, ack: u64) {
        self.entering.insert(ack);
    }

    /// Notes an event and checks its place in the room's log.
    pub(crate) fn event(&mut self, name: &str, raw: &RawValue) {
        *self.counts.entry(name.to_owned()).or_default() += 1;
        self.events.push(Event { name: name.to_owned(), raw: raw.to_owned(), parsed: None, taken: false });
        let text = raw.get();
        let outcome = match name {
            "session" => self.session(text),
            "room:added" => self.placed(text),
            "gap" => self.gap(text),
            name if LOGGED.contains(&name) => self.logged(name, text),
            _ => Ok(()),
        };
        if let Err(problem) = outcome {
            self.violations.push(format!("{problem}, at {name} {text}"));
        }
    }

    /// Notes an ack.
    pub(crate) fn ack(&mut self, id: u64, answer: &RawValue) {
        self.acks_seen += 1;
        let text = answer.get();
        let value = serde_json::from_str(text).unwrap_or(Value::Null);
        if self.entering.remove(&id) && value["ok"] == true {
            if value["position"].is_null() {
                self.opened.extend(value["room"].as_str().map(str::to_owned));
            } else if let Err(problem) = self.placed(text) {
                self.violations.push(format!("{problem}, at the ack of a join: {text}"));
            }
        }
        if self.acks.insert(id, value).is_some() {
            self.violations.push(format!("a second ack {id}: {text}"));
        }
    }

    fn session(&mut self, text: &str) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Session {
            user: User,
            rooms: Vec<Placed>,
        }
        #[derive(Deserialize)]
        struct User {
            id: String,
        }
        let session: Session = read(text)?;
        self.own_id = Some(session.user.id);
        for placed in session.rooms {
            let track = Track { epoch: placed.position.epoch, offset: placed.position.offset };
            self.rooms.insert(placed.room, track);
        }
        Ok(())
    }

    /// A room that one is in from now on; who is in it already knows better where it is.
    fn placed(&mut self, text: &str) -> Result<(), String> {
        let Placed { room, position } = read(text)?;
        let Position { epoch, offset } = position;
        self.opened.remove(&room);
        self.rooms.entry(room).or_insert(Track { epoch, offset });
        Ok(())
    }

    fn gap(&mut self, text: &str) -> Result<(), String> {
        let gap: Gap = read(text)?;
        let track =
            self.rooms.get_mut(&gap.room).ok_or_else(|| "a gap of a room that this connection is not in".to_owned())?;
        // In a new epoch it may undo what was heard, and then there may be nothing after it.
        let undoes = gap.epoch != track.epoch && gap.from <= track.offset && gap.to + 1 >= gap.from;
        if !undoes && (gap.from != track.offset + 1 || gap.to < gap.from) {
            return Err(format!("the gap does not begin after offset {}", track.offset));
        }
        track.offset = gap.to;
        track.epoch = gap.epoch;
        Ok(())
    }

    fn logged(&mut self, name: &str, text: &str) -> Result<(), String> {
        let entry: LogEntry = read(text)?;
        // The acks of `room:create` and `dm:open` need not tell the position: then the first event does.
        if self.opened.remove(&entry.room) {
            let track = Track { epoch: entry.epoch.clone(), offset: entry.offset - 1 };
            self.rooms.entry(entry.room.clone()).or_insert(track);
        }
        let track = self
            .rooms
            .get_mut(&entry.room)
            .ok_or_else(|| "an event of a room before its position, or after the end of the membership".to_owned())?;
        let expected = track.offset + 1;
        // The epoch may be a new one (Redis was restarted); the offsets go on.
        track.epoch = entry.epoch;
        track.offset = entry.offset;
        if name == "member:left" {
            let left: Value = read(text)?;
            if left["user"]["id"].as_str() == self.own_id.as_deref() {
                self.rooms.remove(&entry.room);
            }
        }
        if entry.offset == expected { Ok(()) } else { Err(format!("offset {} where {expected} follows", entry.offset)) }
    }

    /// Takes the first matching event at or after `from`, so that nobody takes it twice; moves `from` past what was
    /// looked at.
    pub(crate) fn take(&mut self, from: &mut usize, name: &str, matches: &dyn Fn(&Value) -> bool) -> Option<Value> {
        while let Some(event) = self.events.get_mut(*from) {
            *from += 1;
            if event.name == name && !event.taken && matches(event.payload()) {
                event.taken = true;
                return event.parsed.clone();
            }
        }
        None
    }

    /// The answer to a request.
    pub(crate) fn take_ack(&mut self, id: u64) -> Option<Value> {
        self.acks.remove(&id)
    }

    /// How many acks came.
    pub(crate) fn acks_seen(&self) -> usize {
        self.acks_seen
    }

    /// How many events of that name came.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// All events of that name that came so far, taken or not.
    pub(crate) fn all(&mut self, name: &str) -> Vec<Value> {
        self.events.iter_mut().filter(|event| event.name == name).map(|event| event.payload().clone()).collect()
    }

    /// All events of that name that came so far, of each what `T` has of it; for very many.
    pub(crate) fn all_as<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let named = self.events.iter().filter(|event| event.name == name);
        named.map(|event| serde_json::from_str(event.raw.get()).expect("what the test expects of it")).collect()
    }

    /// Where this connection is in a room.
    pub(crate) fn position(&self, room: &str) -> Option<(String, u64)> {
        let track = self.rooms.get(room)?;
        Some((track.epoch.clone(), track.offset))
    }

    /// What broke the promise so far.
    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The names of the first events, in order.
    pub(crate) fn first_event(&self) -> Option<&str> {
        self.events.first().map(|event| event.name.as_str())
    }

    /// All events that came so far, a line each.
    pub(crate) fn transcript(&self) -> String {
        self.events.iter().map(|event| format!("{} {}\n", event.name, event.raw.get())).collect()
    }

    /// What came last, for a person who reads why a test failed.
    pub(crate) fn story(&self) -> String {
        const SHOWN: usize = 25;
        let skipped = self.events.len().saturating_sub(SHOWN);
        let mut story = format!("received {} events", self.events.len());
        if skipped > 0 {
            story.push_str(&format!(", the first {skipped} not shown"));
        }
        for event in &self.events[skipped..] {
            let text: String = event.raw.get().chars().take(300).collect();
            let taken = if event.taken { " (taken)" } else { "" };
            story.push_str(&format!("\n  {} {text}{taken}", event.name));
        }
        if let Some(reason) = &self.closed {
            story.push_str(&format!("\n  the connection ended: {reason}"));
        }
        story
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("not as the protocol says ({error})"))
}
