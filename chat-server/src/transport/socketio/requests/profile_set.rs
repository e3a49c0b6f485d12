//! `profile:set`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::user::Invites;
use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request};

/// Sets who may add the user to rooms: `all`, `known` (who shares a room other than the lobby with the user, or was written
/// to), or `none`. Of others comes `room:invited`, and `room:accept {room}` enters.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ProfileSet {
    invites: Invites,
}

impl Request for ProfileSet {
    const NAME: &'static str = "profile:set";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"invites":"known"}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        call.context.rooms.set_invites(call.actor, self.invites).await?;
        Ok(Done {}.into())
    }
}
