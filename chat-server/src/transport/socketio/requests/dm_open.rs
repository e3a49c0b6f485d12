//! `dm:open`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::transport::socketio::request::{Call, RateClass, Reply, Request, Then};

/// Opens the direct message with a user: the same room for both.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DmOpen {
    user: UserId,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Opened {
    room: RoomId,
}

impl Request for DmOpen {
    const NAME: &'static str = "dm:open";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"user":"uQ7b"}"#;
    type Answer = Opened;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Opened>, Refusal> {
        let (room, made) = call.context.rooms.open_dm(call.actor, &self.user).await?;
        // One that was opened before is heard since then.
        let then = made.map_or(Then::Nothing, |joined| Then::Added(room.clone(), joined));
        Ok(Reply { answer: Opened { room }, then })
    }
}
