//! `room:*` and `dm:open`.

use std::sync::Arc;

use serde_json::json;

use crate::delivery::Outlet;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::limits::{HISTORY_LIMIT, RECOVERY_LIMIT};
use crate::domain::position::{Offset, Position};
use crate::domain::room::{Draft, Role};
use crate::domain::user::{Status, User};
use crate::service::messages::history::From;
use crate::service::rooms::membership::Joined;
use crate::store::Notice;
use crate::store::{Keep, Range, Topic};
use crate::transport::socketio::client::Client;
use crate::transport::socketio::connect::replay;
use crate::transport::socketio::context::{After, Context, Then};
use crate::transport::socketio::protocol::{
    AcceptInvite, Answer, InviteTo, JoinRoom, ListMembers, ListRooms, OneRoom, OpenDm, Request, bad_request, value,
};

const PAGE: usize = 50;
const DAY_SECONDS: u64 = 86_400;
const MAX_INVITE_SECONDS: u64 = 365 * DAY_SECONDS;
const MAX_INVITE_USES: u32 = 100_000;

/// How many entries a page has that asked for so many.
pub(super) fn page(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE).clamp(1, HISTORY_LIMIT)
}

pub(super) async fn create(context: &Context, client: &Arc<Client>, request: Request) -> Result<After, Refusal> {
    let draft: Draft = request.read()?;
    let user = &client.identity.user;
    let (room, offset) = context.rooms.create(user, draft).await?;
    tell_other_sockets(context, client, &room, offset).await;
    Ok(After { answer: json!({ "room": room }), then: Then::Added(room, offset) })
}

pub(super) async fn list(context: &Context, client: &Client, request: Request) -> Answer {
    let list: ListRooms = request.read()?;
    let user = &client.identity.user;
    let page = context.rooms.list(user, &list.query, list.cursor.as_deref(), page(list.limit)).await?;
    let mut answer = json!({ "rooms": page.rooms });
    if let Some(cursor) = page.cursor {
        answer["cursor"] = cursor.into();
    }
    Ok(answer)
}

pub(super) async fn join(context: &Context, client: &Arc<Client>, request: Request) -> Result<After, Refusal> {
    let join: JoinRoom = request.read()?;
    let joined = context.rooms.join(&client.identity.user, &join.room).await?;
    enter(context, client, join.room, joined, join.since, join.limit).await
}

pub(super) async fn accept(context: &Context, client: &Arc<Client>, request: Request) -> Result<After, Refusal> {
    let accept: AcceptInvite = request.read()?;
    let (room, joined) = context.rooms.accept(&client.identity.user, &accept.invite).await?;
    enter(context, client, room, joined, None, None).await
}

/// Lets a socket hear a room, and answers with what was said there.
async fn enter(
    context: &Context,
    client: &Arc<Client>,
    room: RoomId,
    joined: Joined,
    since: Option<Position>,
    limit: Option<usize>,
) -> Result<After, Refusal> {
    let user = &client.identity.user;
    if let Some(offset) = joined.entered {
        tell_other_sockets(context, client, &room, offset).await;
    }
    let mut head = context.hub.attach(client, &room, joined.entered.unwrap_or(0)).await?;
    let view = context.rooms.view(&user.id, &room, &joined.access).await?;
    let mut answer = value(&view)?;
    let mut recovered = false;
    let mut events = Vec::new();
    let mut messages = Vec::new();
    if let Some(since) = since {
        let topic = Topic::room(&room);
        // A client may have heard on another node of what this one is about to hear.
        let all = Range { after: since.offset, before: None, limit: RECOVERY_LIMIT as usize + 1, keep: Keep::Oldest };
        let slice = context.stores.log.read(&topic, all).await?;
        recovered = slice.covers(&since);
        if recovered {
            head = context.hub.level(client, &room, head, &slice.lineage, &since).await?;
            if head.offset - since.offset > RECOVERY_LIMIT {
                answer["gap"] = json!({ "from": since.offset + 1, "to": head.offset });
            } else {
                for entry in slice.entries.iter().filter(|entry| entry.offset <= head.offset) {
                    let mut event = value(&entry.to_json(&room)?)?;
                    event["event"] = entry.event.clone().into();
                    events.push(event);
                }
            }
        }
    } else {
        let page = context.rooms.messages(&room, From::Before(Some(head.offset + 1)), page(limit)).await?;
        messages = page.messages;
    }
    answer["position"] = value(&head)?;
    answer["recovered"] = recovered.into();
    answer["messages"] = value(&messages)?;
    answer["events"] = events.into();
    Ok(After { answer, then: Then::Hear(room, head) })
}

/// The other sockets of a person who just became a member hear the room too.
async fn tell_other_sockets(context: &Context, client: &Client, room: &RoomId, offset: Offset) {
    let by_socket = Some(client.id().to_string());
    let notice = Notice::Added { room: room.clone(), offset, by_socket };
    notify(context, &client.identity.user.id, &notice).await;
}

/// A notice that does not get through is not lost for good: a socket learns of all rooms of its
/// person when it connects.
async fn notify(context: &Context, user: &UserId, notice: &Notice) {
    if let Err(error) = context.rooms.notify(user, notice).await {
        tracing::warn!(%error, "the other sockets of a person could not be told");
    }
}

pub(super) async fn leave(context: &Context, client: &Client, request: Request) -> Answer {
    let OneRoom { room } = request.read()?;
    context.rooms.leave(&client.identity.user, &room).await?;
    Ok(json!({}))
}

pub(super) async fn members(context: &Context, client: &Client, request: Request) -> Answer {
    let list: ListMembers = request.read()?;
    let limit = page(list.limit);
    if list.room.is_lobby() {
        let users = context.presence.online(list.cursor.as_ref(), limit).await?;
        let cursor = users.last().filter(|_| users.len() == limit).map(|user| user.id.clone());
        let members = users.iter().map(|user| member(user, Role::Member, Status::Online));
        return Ok(paged(members.collect(), cursor));
    }
    let (members, cursor) =
        context.rooms.members(&client.identity.user, &list.room, list.cursor.as_ref(), limit).await?;
    let ids: Vec<UserId> = members.iter().map(|member| member.user.id.clone()).collect();
    let statuses = context.presence.of(&ids).await?;
    let members = members.iter().zip(statuses).map(|(m, status)| member(&m.user, m.role, status));
    Ok(paged(members.collect(), cursor))
}

fn member(user: &User, role: Role, status: Status) -> serde_json::Value {
    json!({ "user": user, "role": role, "status": status })
}

fn paged(members: Vec<serde_json::Value>, cursor: Option<UserId>) -> serde_json::Value {
    let mut answer = json!({ "members": members });
    if let Some(cursor) = cursor {
        answer["cursor"] = cursor.as_str().into();
    }
    answer
}

pub(super) async fn invite(context: &Context, client: &Client, request: Request) -> Answer {
    let invite: InviteTo = request.read()?;
    let by = &client.identity.user;
    if let Some(user) = invite.user {
        let access = context.rooms.access(by, &invite.room).await?;
        access.standing(&invite.room).may_invite()?;
        let guest = known(context, &user).await?;
        let joined = context.rooms.invite_person(by, &invite.room, &guest).await?;
        if let Some(offset) = joined.entered {
            notify(context, &guest.id, &Notice::Added { room: invite.room, offset, by_socket: None }).await;
        }
        return Ok(json!({}));
    }
    let uses = invite.uses.unwrap_or(1);
    let seconds = invite.expires_in_seconds.unwrap_or(DAY_SECONDS);
    if !(1..=MAX_INVITE_USES).contains(&uses) {
        return Err(bad_request(&format!("uses must be 1 to {MAX_INVITE_USES}")));
    }
    if !(1..=MAX_INVITE_SECONDS).contains(&seconds) {
        return Err(bad_request(&format!("expiresInSeconds must be 1 to {MAX_INVITE_SECONDS}")));
    }
    let link = context.rooms.invite_link(by, &invite.room, uses, seconds * 1000).await?;
    Ok(json!({ "invite": link }))
}

pub(super) async fn open_dm(context: &Context, client: &Arc<Client>, request: Request) -> Result<After, Refusal> {
    let OpenDm { user } = request.read()?;
    let by = &client.identity.user;
    let other = known(context, &user).await?;
    let (room, made) = context.rooms.open_dm(by, &other).await?;
    let Some(offset) = made else {
        // Somebody opened it before; this socket hears it since then.
        return Ok(After { answer: json!({ "room": room }), then: Then::Nothing });
    };
    tell_other_sockets(context, client, &room, offset).await;
    notify(context, &other.id, &Notice::Added { room: room.clone(), offset, by_socket: None }).await;
    Ok(After { answer: json!({ "room": room }), then: Then::Added(room, offset) })
}

async fn known(context: &Context, user: &UserId) -> Result<User, Refusal> {
    let profile = context.sessions.profile(user).await?;
    profile.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such person"))
}

/// A socket learns that its person became a member of a room at `offset`.
pub(super) async fn added(
    context: &Context,
    client: &Arc<Client>,
    room: RoomId,
    offset: Offset,
) -> Result<(), Refusal> {
    let Some(head) = context.hub.attach_joined(client, &room, offset).await? else { return Ok(()) };
    // What was said since the joining is the member's too, however long the news of it took.
    let joined = Position { epoch: head.epoch.clone(), offset };
    if introduce(context, client, &room, &joined).await? {
        let (position, _) = replay(context, client, &room, &head, offset).await;
        context.hub.ready(client, &room, position).await;
    }
    Ok(())
}

/// A socket learns of a room that its person joined, nobody knows when: it hears it from now on. One
/// that hears it already learns nothing.
pub(super) async fn found(context: &Context, client: &Arc<Client>, room: RoomId) -> Result<(), Refusal> {
    let Some(head) = context.hub.attach_joined(client, &room, 0).await? else { return Ok(()) };
    if introduce(context, client, &room, &head).await? {
        context.hub.ready(client, &room, head).await;
    }
    Ok(())
}

/// Tells a socket of a room that it was attached to. Otherwise (the person is no member any more,
/// or the store is away) the socket is let go, so that it can be attached again.
async fn introduce(
    context: &Context,
    client: &Arc<Client>,
    room: &RoomId,
    position: &Position,
) -> Result<bool, Refusal> {
    match introduction(context, client, room, position).await {
        Ok(Some(news)) => Ok(client.send("room:added", &news).await),
        other => {
            context.hub.detach(client, room).await;
            other.map(|_| false)
        }
    }
}

/// Asked after attaching: who was thrown out before does not hear the room, who is thrown out after
/// hears it from the log.
async fn introduction(
    context: &Context,
    client: &Client,
    room: &RoomId,
    position: &Position,
) -> Result<Option<serde_json::Value>, Refusal> {
    let user = &client.identity.user;
    let access = context.rooms.access(user, room).await?;
    let Some(role) = access.member.as_ref().map(|member| member.role) else { return Ok(None) };
    let unread = context.rooms.unread(&user.id, std::slice::from_ref(room)).await?;
    Ok(Some(json!({
        "room": room,
        "name": access.info.name_for(&user.id),
        "kind": access.info.kind,
        "topic": access.info.topic,
        "role": role,
        "position": position,
        "unread": unread.first(),
    })))
}
