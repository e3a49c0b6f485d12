//! The events that a client receives.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use super::EventContract;
use crate::domain::id::{Nonce, RoomId};
use crate::domain::message::EntryId;
use crate::domain::position::{Epoch, Gap, Millis, Offset};
use crate::domain::room::{Invitation, Membership, Role};
use crate::domain::user::{Status, User};
use crate::transport::socketio::revocation::SessionRevoked;
use crate::transport::socketio::session::Session;
use crate::transport::socketio::worker::{ReadMarked, RoomSettings, UserBlocked};

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An entry of a room's log: delivered once, in order.
    Log,
    /// Not stored: delivered at most once.
    Ephemeral,
    /// Tells the client what to do next.
    Control,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Log => "An entry of a room's log: delivered once, in order.",
            Self::Ephemeral => "Not stored: delivered at most once.",
            Self::Control => "About the connection itself.",
        }
    }
}

/// A message, as it is delivered and as it stands in the history.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    room: RoomId,
    epoch: Epoch,
    offset: Offset,
    id: EntryId,
    /// When it was stored, by the store's clock.
    at: Millis,
    by: User,
    /// Exactly as it was sent.
    text: String,
    nonce: Nonce,
    /// The message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<EntryId>,
    reactions: [(); 0],
}

/// An entry of a room's log: the event's name, and its payload beside it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LogEvent {
    event: String,
    room: RoomId,
    epoch: Epoch,
    offset: Offset,
    id: EntryId,
    at: Millis,
    by: User,
    #[serde(flatten)]
    payload: serde_json::Map<String, serde_json::Value>,
}

/// A user became a member.
#[derive(Serialize, JsonSchema)]
struct MemberJoined {
    room: RoomId,
    epoch: Epoch,
    offset: Offset,
    id: EntryId,
    at: Millis,
    by: User,
    user: User,
    role: Role,
}

/// A user is no longer a member.
#[derive(Serialize, JsonSchema)]
struct MemberLeft {
    room: RoomId,
    epoch: Epoch,
    offset: Offset,
    id: EntryId,
    at: Millis,
    by: User,
    user: User,
    reason: String,
}

/// A room was renamed, archived or taken back, or has another topic: what it is after that.
#[derive(Serialize, JsonSchema)]
struct RoomUpdated {
    room: RoomId,
    epoch: Epoch,
    offset: Offset,
    id: EntryId,
    at: Millis,
    by: User,
    name: String,
    topic: String,
    archived: bool,
}

/// A user types, or stopped.
#[derive(Serialize, JsonSchema)]
struct Typing {
    room: RoomId,
    user: User,
    on: bool,
}

/// A user who shares a private room or a direct message came or went.
#[derive(Serialize, JsonSchema)]
struct Presence {
    user: User,
    status: Status,
}

/// The node hands the socket over: reconnect after this time.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Draining {
    reconnect_after_ms: u64,
}

pub(super) fn contract(schemas: &mut SchemaGenerator) -> Vec<EventContract> {
    fn event<T: JsonSchema>(schemas: &mut SchemaGenerator, name: &'static str, kind: Kind) -> EventContract {
        EventContract { name, kind, payload: T::json_schema(schemas).to_value() }
    }
    vec![
        event::<Session<'_>>(schemas, "session", Kind::Control),
        event::<Membership>(schemas, "room:added", Kind::Control),
        event::<Invitation>(schemas, "room:invited", Kind::Control),
        event::<RoomSettings>(schemas, "room:settings", Kind::Control),
        event::<UserBlocked>(schemas, "user:blocked", Kind::Control),
        event::<Gap<'_>>(schemas, "gap", Kind::Control),
        event::<Draining>(schemas, "server:draining", Kind::Control),
        event::<SessionRevoked<'_>>(schemas, "session:revoked", Kind::Control),
        event::<Message>(schemas, "message:new", Kind::Log),
        event::<MemberJoined>(schemas, "member:joined", Kind::Log),
        event::<MemberLeft>(schemas, "member:left", Kind::Log),
        event::<RoomUpdated>(schemas, "room:updated", Kind::Log),
        event::<Typing>(schemas, "typing", Kind::Ephemeral),
        event::<Presence>(schemas, "presence", Kind::Ephemeral),
        event::<ReadMarked>(schemas, "read:marked", Kind::Ephemeral),
    ]
}

#[test]
fn the_names_of_events_are_those_that_the_bus_may_carry() {
    use crate::domain::log_event::{LOG_EVENTS, is_deliverable};
    use crate::store::SignalEvent;

    let all = contract(&mut SchemaGenerator::default());
    let of = |kind| all.iter().filter(move |event| event.kind == kind).map(|event| event.name);
    assert_eq!(of(Kind::Log).collect::<Vec<_>>(), LOG_EVENTS);
    let ephemeral: Vec<_> = of(Kind::Ephemeral).collect();
    assert!(SignalEvent::ALL.iter().all(|signal| ephemeral.contains(&signal.as_str())), "{ephemeral:?}");
    for name in ephemeral.into_iter().chain(of(Kind::Control)) {
        assert!(!is_deliverable(name), "{name} is no entry of a log: domain/log_event.rs has to know it");
    }
}
