//! `room:invite`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

const DAY_SECONDS: u64 = 86_400;

/// Adds a user, who is invited instead where the user does not let everyone add them; or without `user` makes a link token that lets in `uses` people (1 unless told) within
/// `expiresInSeconds` (a day unless told).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomInvite {
    room: RoomId,
    user: Option<UserId>,
    uses: Option<u32>,
    expires_in_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Invited {
    /// The link token, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<String>,
    /// Of a user: whether they are in the room now. Otherwise they are asked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<bool>,
}

impl Request for RoomInvite {
    const NAME: &'static str = "room:invite";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"room":"lobby"}"#;
    type Answer = Invited;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Invited>, Refusal> {
        let Self { room, user, uses, expires_in_seconds } = self;
        let rooms = &call.context.rooms;
        if let Some(user) = user {
            let added = rooms.invite_person(call.actor, &room, &user).await?;
            return Ok(Invited { invite: None, added: Some(added) }.into());
        }
        let (uses, seconds) = (uses.unwrap_or(1), expires_in_seconds.unwrap_or(DAY_SECONDS));
        let invite = rooms.invite_link(call.actor, &room, uses, seconds).await?;
        Ok(Invited { invite: Some(invite), added: None }.into())
    }
}
