//! What goes on in a chat, for those who run it: numbers, and nobody's name.

use serde::Serialize;

use super::id::{NodeId, RoomId, UserId};
use super::position::Millis;

/// What happened on a node since it last said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The node.
    pub node: NodeId,
    /// Sockets that it has now.
    pub connections: u64,
    /// Messages that were stored.
    pub messages: u64,
    /// Who came or said something.
    pub users: Vec<UserId>,
    /// Where something was said.
    pub rooms: Vec<RoomId>,
}

/// What happened in a chat. Numbers of users and rooms are estimates, within some 2 %.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The store's clock, in milliseconds since 1970.
    pub at: Millis,
    /// Hours of UTC, the latest last: the present one, too.
    pub hours: Vec<Hour>,
    /// Days of UTC, likewise.
    pub days: Vec<Day>,
}

/// What happened in an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hour {
    /// When it began.
    pub start: Millis,
    /// Messages that were stored.
    pub messages: u64,
    /// Rooms in which something was said.
    pub rooms: u64,
    /// The most sockets that all nodes had together.
    pub peak_connections: u64,
}

/// Who was active on a day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Day {
    /// When it began.
    pub start: Millis,
    /// People who came or said something that day.
    pub active_users: u64,
    /// The same within the seven days of which it is the last.
    pub active_users_week: u64,
}

/// An hour, in milliseconds.
pub const HOUR_MS: Millis = 3_600_000;
/// A day, in milliseconds.
pub const DAY_MS: Millis = 24 * HOUR_MS;
/// How many hours are kept, and at most asked for: two weeks.
pub const MOST_HOURS: u32 = 14 * 24;
/// How many days are kept, and at most asked for, beside the six before them that are a part of their weeks.
pub const MOST_DAYS: u32 = 35;
/// How long a node's number of sockets counts that it does not say again.
pub const CONNECTIONS_LIVE_MS: Millis = 30_000;
