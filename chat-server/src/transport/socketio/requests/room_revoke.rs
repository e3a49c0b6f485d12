//! `room:revoke`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request};

/// Revokes an open invite link by its id in `room:invites`. Owners and moderators revoke any, a member the member's own.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomRevoke {
    room: RoomId,
    invite: String,
}

impl Request for RoomRevoke {
    const NAME: &'static str = "room:revoke";
    const RATE: RateClass = RateClass::Change;
    const PROTECTS: bool = true;
    const EXAMPLE: &'static str = r#"{"room":"lobby","invite":"dGhlIGlkIG9m"}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        call.context.rooms.revoke_invite(call.actor, &self.room, &self.invite).await?;
        Ok(Done {}.into())
    }
}
