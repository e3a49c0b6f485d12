//! `room:leave`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request};

/// Leaves a room. All sockets of the user leave.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomLeave {
    room: RoomId,
}

impl Request for RoomLeave {
    const NAME: &'static str = "room:leave";
    const RATE: RateClass = RateClass::Change;
    const PROTECTS: bool = true;
    const EXAMPLE: &'static str = r#"{"room":"lobby"}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        call.context.rooms.leave(call.actor, &self.room).await?;
        Ok(Done {}.into())
    }
}
