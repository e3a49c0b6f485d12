//! `room:update`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::id::{Name, RoomId};
use crate::domain::room::Update;
use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request};

/// Renames a room, changes its topic, archives it or takes it back; at least one of these. For its owners and moderators.
/// A public name in use, or that looks like one, is `conflict`. An archived room takes no messages.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomUpdate {
    room: RoomId,
    name: Option<Name>,
    topic: Option<String>,
    archived: Option<bool>,
}

impl Request for RoomUpdate {
    const NAME: &'static str = "room:update";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"room":"lobby","topic":"News"}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        let Self { room, name, topic, archived } = self;
        call.context.rooms.update(call.actor, &room, Update { name, topic, archived }).await?;
        Ok(Done {}.into())
    }
}
