//! Signals: published, not stored, delivered at most once.

use serde::{Deserialize, Serialize};

use crate::domain::id::{RoomId, SessionId, UserId};
use crate::domain::position::{Epoch, Offset};
use crate::domain::room::Invitation;
use crate::domain::session::RevokeReason;

/// The events that are signals. A closed list: whoever may publish on the bus can't make a node send any other event,
/// such as `session`, and a newer node's signals are dropped by an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalEvent {
    /// A user types, or stopped.
    Typing,
    /// A user came or went.
    Presence,
}

impl SignalEvent {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Typing, Self::Presence];

    /// The name of the event on the socket.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Typing => "typing",
            Self::Presence => "presence",
        }
    }
}

/// An event for the sockets of a room that is not stored, such as typing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signal {
    /// Which event.
    pub event: SignalEvent,
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
    /// The user is invited to a room, and is asked first.
    Invited {
        /// The invitation.
        invitation: Invitation,
    },
    /// The user blocked somebody, or ended that.
    Blocked {
        /// Whom.
        user: UserId,
        /// Whether they are blocked now.
        on: bool,
        /// The socket that requested it and needs no notice.
        by_socket: Option<String>,
    },
    /// The user's own view of a direct message changed.
    Settings {
        /// The direct message.
        room: RoomId,
        /// Whether it is a stranger's that waits for an answer.
        request: bool,
        /// Whether it is hidden until something is said there.
        hidden: bool,
        /// The socket that requested it and needs no notice.
        by_socket: Option<String>,
    },
    /// The user moved the read mark of a room.
    Read {
        /// The room.
        room: RoomId,
        /// The new mark.
        offset: Offset,
        /// The epoch of the room's log: marks of one epoch only rise.
        #[serde(default)]
        epoch: Epoch,
        /// The number of unread entries.
        unread: u64,
        /// The socket that requested it and needs no notice.
        by_socket: Option<String>,
    },
    /// A session of the user was revoked: its sockets are closed.
    SessionRevoked {
        /// The session.
        session: SessionId,
        /// Why.
        reason: RevokeReason,
        /// The socket that requested it: it is closed after its answer.
        by_socket: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_with_another_event_is_not_parsed() {
        let parse = |event: &str| serde_json::from_str::<Signal>(&format!(r#"{{"event":{event},"payload":{{}}}}"#));
        for event in SignalEvent::ALL {
            let name = format!("\"{}\"", event.as_str());
            assert_eq!(parse(&name).unwrap().event, event);
            assert_eq!(serde_json::to_string(&event).unwrap(), name);
        }
        for event in
            ["\"session\"", "\"message:new\"", "\"gap\"", "\"Typing\"", "\"\"", r#""typing\",{}]""#, "null", "1"]
        {
            assert!(parse(event).is_err(), "{event}");
        }
    }
}
