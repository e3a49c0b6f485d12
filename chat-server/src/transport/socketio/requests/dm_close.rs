//! `dm:close`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request};

/// Hides a direct message until the next message in it, or until the user opens it again, and marks it as read.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DmClose {
    room: RoomId,
}

impl Request for DmClose {
    const NAME: &'static str = "dm:close";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"room":"dQ7b"}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        call.context.rooms.close_dm(call.actor, &self.room).await?;
        Ok(Done {}.into())
    }
}
