//! `room:members`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::domain::limits::page;
use crate::domain::room::Role;
use crate::domain::user::{Status, User};
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Lists the members of a room by id. Those of the lobby are the connected users.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomMembers {
    room: RoomId,
    cursor: Option<UserId>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Members {
    members: Vec<Member>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<UserId>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Member {
    user: User,
    role: Role,
    status: Status,
}

impl Request for RoomMembers {
    const NAME: &'static str = "room:members";
    const RATE: RateClass = RateClass::Query;
    const EXAMPLE: &'static str = r#"{"room":"lobby"}"#;
    type Answer = Members;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Members>, Refusal> {
        let Self { room, cursor, limit } = self;
        let (context, limit) = (call.context, page(limit));
        if room.is_lobby() {
            let users = context.presence.online(cursor.as_ref(), limit).await?;
            let cursor = users.last().filter(|_| users.len() == limit).map(|user| user.id.clone());
            let member = |user| Member { user, role: Role::Member, status: Status::Online };
            return Ok(Members { members: users.into_iter().map(member).collect(), cursor }.into());
        }
        let (members, cursor) = context.rooms.members(call.actor, &room, cursor.as_ref(), limit).await?;
        let ids: Vec<UserId> = members.iter().map(|member| member.user.id.clone()).collect();
        let statuses = context.presence.of(&ids).await?;
        let member = |(member, status): (crate::domain::room::Member, _)| Member {
            user: member.user,
            role: member.role,
            status,
        };
        Ok(Members { members: members.into_iter().zip(statuses).map(member).collect(), cursor }.into())
    }
}
