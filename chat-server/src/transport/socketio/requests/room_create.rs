//! `room:create`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::id::{Name, RoomId};
use crate::domain::room::{Draft, Kind};
use crate::transport::socketio::request::{Call, RateClass, Reply, Request, Then};

/// Creates a room whose owner is the user. A public name that is in use, or looks like one in use, is `conflict`; `kind` is
/// `public` or `private`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomCreate {
    name: Name,
    kind: Kind,
    #[serde(default)]
    topic: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Created {
    room: RoomId,
}

impl Request for RoomCreate {
    const NAME: &'static str = "room:create";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"name":"Kitchen","kind":"public"}"#;
    type Answer = Created;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Created>, Refusal> {
        let draft = Draft { name: self.name, kind: self.kind, topic: self.topic };
        let (room, joined) = call.context.rooms.create(call.actor, draft).await?;
        Ok(Reply { answer: Created { room: room.clone() }, then: Then::Added(room, joined) })
    }
}
