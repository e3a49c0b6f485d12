//! What people did and heard, as `clients/js/crowd.cjs` writes it down: one line each, in the order in which it happened.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Milliseconds since 1970. People, nodes and Redis of a run share one clock.
pub(crate) type Millis = u64;
/// The number of one of the people.
pub(crate) type Person = u32;

/// A position in the log of a room.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

/// A line of an account.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) at: Millis,
    pub(crate) person: Person,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Try(Try),
    Session(Session),
    Join(Join),
    Send(Send),
    Ack(Ack),
    Unacked(Unacked),
    Event(Event),
    Gap(Gap),
    Refused(Refused),
    Denied(Denied),
    Close(Close),
    Pause(Pause),
    Draining,
    End,
}

/// The next connection goes to this address.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Try {
    pub(crate) url: usize,
}

/// The event `session`, and the positions that were given for it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Session {
    pub(crate) node: String,
    pub(crate) user: String,
    pub(crate) given: Option<BTreeMap<String, Position>>,
    pub(crate) recovered: bool,
    pub(crate) unrecovered: Vec<String>,
    pub(crate) rooms: BTreeMap<String, Position>,
}

/// The ack of `room:join`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Join {
    pub(crate) room: String,
    pub(crate) position: Position,
}

/// A send; attempt 0 is the wish to send while there is no session.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Send {
    pub(crate) room: String,
    pub(crate) nonce: String,
    pub(crate) attempt: u32,
    #[serde(default)]
    pub(crate) connection: u32,
}

/// A send was acked as stored.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ack {
    pub(crate) nonce: String,
    pub(crate) attempt: u32,
    pub(crate) connection: u32,
    pub(crate) position: Position,
    pub(crate) id: String,
    /// When it was stored.
    #[serde(rename = "at")]
    pub(crate) stored: Millis,
}

/// A send was refused, or not answered: `none`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Unacked {
    pub(crate) nonce: String,
    pub(crate) code: String,
}

/// An entry of a room's log; with author and nonce if it is a message.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) room: String,
    pub(crate) epoch: String,
    pub(crate) offset: u64,
    pub(crate) id: String,
    /// When it was stored.
    #[serde(rename = "at")]
    pub(crate) stored: Millis,
    /// It is from the answer to `log:get`.
    pub(crate) paged: bool,
    pub(crate) by: Option<String>,
    pub(crate) nonce: Option<String>,
}

/// The event `gap`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Gap {
    pub(crate) room: String,
    pub(crate) epoch: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// `log:get` was answered `recovered: false`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Refused {
    pub(crate) room: String,
    pub(crate) epoch: String,
    pub(crate) after: u64,
}

/// A CONNECT_ERROR.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Denied {
    pub(crate) code: String,
}

/// The end of a connection.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Close {
    pub(crate) reason: String,
}

/// The person reads nothing for a while.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pause {
    pub(crate) ms: Millis,
}

/// Reads an account.
pub(crate) fn read(path: &Path) -> Vec<Line> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = BufReader::new(file).lines();
    lines.map(|text| line(&text.expect("a line of an account"))).collect()
}

/// Reads a line.
pub(crate) fn line(text: &str) -> Line {
    let (kind, at, person, rest): (&str, Millis, Person, &RawValue) =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let what = match kind {
        "try" => What::Try(of(rest)),
        "session" => What::Session(of(rest)),
        "join" => What::Join(of(rest)),
        "send" => What::Send(of(rest)),
        "ack" => What::Ack(of(rest)),
        "unacked" => What::Unacked(of(rest)),
        "event" => What::Event(of(rest)),
        "gap" => What::Gap(of(rest)),
        "refused" => What::Refused(of(rest)),
        "denied" => What::Denied(of(rest)),
        "close" => What::Close(of(rest)),
        "pause" => What::Pause(of(rest)),
        "draining" => What::Draining,
        "end" => What::End,
        other => panic!("an account holds no line of the kind {other}"),
    };
    Line { at, person, what }
}

fn of<T: DeserializeOwned>(rest: &RawValue) -> T {
    serde_json::from_str(rest.get()).unwrap_or_else(|error| panic!("{error} in {rest}"))
}
