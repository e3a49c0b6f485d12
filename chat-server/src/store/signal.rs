//! Signals: published, not stored, delivered at most once.

use serde::{Deserialize, Serialize};

use crate::domain::id::{RoomId, UserId};
use crate::domain::position::Offset;

/// An event for the sockets of a room that is not stored, such as typing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signal {
    /// The name of the event on the socket.
    pub event: String,
    /// A user whose sockets do not receive it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<UserId>,
    /// Orders signals about one user: a socket that receives two, through two rooms, drops the older.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The content.
    pub payload: serde_json::Value,
}

/// A signal to all sockets of one user, on all nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// The user became a member of a room.
    Added {
        /// The room.
        room: RoomId,
        /// The offset of the join entry: the sockets receive the room from there on.
        offset: Offset,
        /// The socket that requested it and needs no notice.
        by_socket: Option<String>,
    },
    /// The user moved the read mark of a room.
    Read {
        /// The room.
        room: RoomId,
        /// The new mark.
        offset: Offset,
        /// The number of unread entries.
        unread: u64,
        /// The socket that requested it and needs no notice.
        by_socket: Option<String>,
    },
}
