//! `room:accept`.

use serde::Deserialize;

use crate::transport::socketio::request::{Call, RateClass, Reply, Request};
use crate::domain::error::Refusal;
use crate::transport::socketio::membership::{Entered, enter};

/// Enters a room by an invite, and answers as `room:join`. A spent, expired or unknown invite is `not_found`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomAccept {
    invite: String,
}

impl Request for RoomAccept {
    const NAME: &'static str = "room:accept";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"invite":"rA4x.k2v9"}"#;
    type Answer = Entered;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Entered>, Refusal> {
        let (room, joined) = call.context.rooms.accept(call.actor, &self.invite).await?;
        enter(&call, room, joined, None, None).await
    }
}
