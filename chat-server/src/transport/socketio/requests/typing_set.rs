//! `typing:set`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request};

/// Says whether the user is typing. Holds for 8 s, or until the socket goes: repeated every 3 s while the user types.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TypingSet {
    room: RoomId,
    on: bool,
}

impl Request for TypingSet {
    const NAME: &'static str = "typing:set";
    const RATE: RateClass = RateClass::Signal;
    const EXAMPLE: &'static str = r#"{"room":"lobby","on":true}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        call.context.rooms.set_typing(call.actor, &self.room, self.on).await?;
        call.client.note_typing(&self.room, self.on);
        Ok(Done {}.into())
    }
}
