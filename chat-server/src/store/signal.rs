//! What passes over the bus and is not stored: received at most once.

use serde::{Deserialize, Serialize};

use crate::domain::id::{RoomId, UserId};
use crate::domain::position::Offset;

/// An event for the sockets of a room that is not stored, such as typing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signal {
    /// The event's name on the socket.
    pub event: String,
    /// Whose sockets don't hear it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<UserId>,
    /// Of two signals about one user, reaching a socket through two rooms, the older is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What is told.
    pub payload: serde_json::Value,
}

/// Something told to all sockets of one person, on all nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// The person became a member of a room.
    Added {
        /// Which room.
        room: RoomId,
        /// The offset of the joining; the room is heard from there on.
        offset: Offset,
        /// The socket that asked for it and knows.
        by_socket: Option<String>,
    },
    /// The person read a room up to somewhere.
    Read {
        /// Which room.
        room: RoomId,
        /// Up to where.
        offset: Offset,
        /// What is left.
        unread: u64,
        /// The socket that asked for it and knows.
        by_socket: Option<String>,
    },
}
