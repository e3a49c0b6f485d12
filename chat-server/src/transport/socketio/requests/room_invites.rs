//! `room:invites`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::limits::page;
use crate::domain::room::InviteView;
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Lists the open invite links of a room, those that end first at the start: to owners and moderators all, to a member
/// the member's own. `invite` is the id of a link, by which nobody gets in.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomInvites {
    room: RoomId,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Invites {
    invites: Vec<InviteView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl Request for RoomInvites {
    const NAME: &'static str = "room:invites";
    const RATE: RateClass = RateClass::Query;
    const EXAMPLE: &'static str = r#"{"room":"lobby"}"#;
    type Answer = Invites;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Invites>, Refusal> {
        let Self { room, cursor, limit } = self;
        let rooms = &call.context.rooms;
        let (invites, cursor) = rooms.invites(call.actor, &room, cursor.as_deref(), page(limit)).await?;
        Ok(Invites { invites, cursor }.into())
    }
}
