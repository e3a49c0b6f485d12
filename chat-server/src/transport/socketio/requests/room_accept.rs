//! `room:accept`.

use serde::Deserialize;

use crate::domain::error::{Code, Refusal};
use crate::domain::id::RoomId;
use crate::transport::socketio::membership::{Entered, enter};
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Enters a room by an invite link, or with `room` by an invitation of the user, and answers as `room:join`. Of a message
/// request it makes a direct message like others. A spent, expired or unknown one is `not_found`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomAccept {
    invite: Option<String>,
    room: Option<RoomId>,
}

impl Request for RoomAccept {
    const NAME: &'static str = "room:accept";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"invite":"rA4x.k2v9"}"#;
    type Answer = Entered;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Entered>, Refusal> {
        let rooms = &call.context.rooms;
        let (room, joined) = match (self.invite, self.room) {
            (Some(invite), None) => rooms.accept(call.actor, &invite).await?,
            (None, Some(room)) => {
                let joined = rooms.accept_invitation(call.actor, &room).await?;
                (room, joined)
            }
            _ => return Err(Refusal::new(Code::BadRequest, "either `invite` or `room` must be given")),
        };
        enter(&call, room, joined, None, None).await
    }
}
