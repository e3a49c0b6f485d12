//! A socket and the rooms of its person: entering one that it asks for, and hearing of one that was joined elsewhere.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::client::Client;
use super::context::Context;
use super::replay::replay;
use super::request::{Call, Reply, Then};
use super::revocation;
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::limits::{RECOVERY_LIMIT, page};
use crate::domain::position::{Offset, Position};
use crate::domain::room::{Membership, View};
use crate::service::messages::history::{From, Logged, fitting};
use crate::service::rooms::join::Joined;
use crate::store::StoreError;

/// A room that a socket entered, and what was said there.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Entered {
    #[serde(flatten)]
    view: View,
    /// From here on the socket receives the room.
    position: Position,
    /// Whether everything after `since` is in `events`, or in `gap`.
    recovered: bool,
    #[cfg_attr(test, schemars(with = "Vec<crate::transport::socketio::contract::Message>"))]
    messages: Vec<Box<RawValue>>,
    #[cfg_attr(test, schemars(with = "Vec<crate::transport::socketio::contract::LogEvent>"))]
    events: Vec<Logged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
}

/// Entries that were too many to be listed, both ends inclusive.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Gap {
    from: Offset,
    to: Offset,
}

/// Lets a socket receive a room, and answers with what was said there.
///
/// # Errors
/// `unavailable`.
pub(super) async fn enter(
    call: &Call<'_>,
    room: RoomId,
    joined: Joined,
    since: Option<Position>,
    limit: Option<usize>,
) -> Result<Reply<Entered>, Refusal> {
    let Call { context, client, actor, .. } = call;
    let mut head = context.hub.attach(client, &room, joined.entered.unwrap_or(0)).await?;
    let view = context.rooms.view(&actor.user.id, &room, &joined.access).await?;
    let (mut recovered, mut messages, mut events, mut gap) = (false, Vec::new(), Vec::new(), None);
    if let Some(since) = since {
        // A client may have received on another node what this one is about to receive.
        if let Some(missed) = context.recovery.missed(&room, &since).await? {
            recovered = true;
            head = context.hub.level(client, &room, head, &missed.lineage, &since).await?;
            let until_head = || missed.entries.iter().filter(|entry| entry.offset <= head.offset);
            let too_much = head.offset - since.offset > RECOVERY_LIMIT || fitting(until_head()) < until_head().count();
            if too_much {
                gap = Some(Gap { from: since.offset + 1, to: head.offset });
            } else {
                events = until_head().map(|entry| Logged::of(&room, entry)).collect::<Result<_, _>>()?;
            }
        }
    } else {
        let newest = From::Before(Some(head.offset + 1));
        messages = context.messages.page(&room, newest, page(limit)).await?.messages;
    }
    let answer = Entered { view, position: head.clone(), recovered, messages, events, gap };
    Ok(Reply { answer, then: Then::Deliver(room, head) })
}

/// Tells a socket of a room that its person became a member of at `joined`.
///
/// # Errors
/// `unavailable`: then it is to be told later, or it would not receive the room until it comes back.
pub(super) async fn added(
    context: &Context,
    client: &Arc<Client>,
    room: &RoomId,
    joined: Offset,
) -> Result<(), Refusal> {
    let Some(head) = context.hub.attach_joined(client, room, joined).await? else { return Ok(()) };
    // What was said since the joining is the member's too, however long the news of it took.
    let position = Position { epoch: head.epoch.clone(), offset: joined };
    if introduce(context, client, room, &position).await? {
        let (position, _) = replay(context, client, room, &head, joined).await;
        context.hub.ready(client, room, position).await;
    }
    Ok(())
}

/// Finds out that the session was revoked without this socket's being told, and rooms that the person joined without this socket's being told. It receives them from now on; what was said
/// there before is in their history. One that it receives already is passed over.
pub(super) async fn review(context: &Context, client: &Arc<Client>) {
    if revocation::end_if_revoked(context, client).await {
        return;
    }
    let rooms = match context.rooms.of_user(&client.identity.user.id).await {
        Ok(rooms) => rooms,
        // An interruption follows when the store is back.
        Err(error) => return tracing::debug!(%error, "the rooms of a person could not be looked up"),
    };
    for (room, _) in rooms {
        if let Err(refusal) = found(context, client, &room).await {
            tracing::debug!(?refusal, "a socket could not be told of a room yet");
        }
    }
}

async fn found(context: &Context, client: &Arc<Client>, room: &RoomId) -> Result<(), Refusal> {
    let Some(head) = context.hub.attach_joined(client, room, 0).await? else { return Ok(()) };
    if introduce(context, client, room, &head).await? {
        context.hub.ready(client, room, head).await;
    }
    Ok(())
}

/// Tells a socket of a room that it was attached to. Otherwise (the person is no member any more, or the store is away)
/// the socket is detached, so that it can be attached again.
async fn introduce(
    context: &Context,
    client: &Arc<Client>,
    room: &RoomId,
    position: &Position,
) -> Result<bool, Refusal> {
    match membership(context, client, room, position).await {
        Ok(Some(membership)) => Ok(client.send("room:added", &membership).await),
        other => {
            context.hub.detach(client, room).await;
            Ok(other.map(|_| false)?)
        }
    }
}

/// Asked after attaching: who was removed before does not receive the room, who is removed after learns it from the log.
async fn membership(
    context: &Context,
    client: &Client,
    room: &RoomId,
    position: &Position,
) -> Result<Option<Membership>, StoreError> {
    let user = &client.identity.user;
    let found = context.rooms.membership(user, std::slice::from_ref(room)).await?.pop().flatten();
    let Some((access, unread)) = found else { return Ok(None) };
    Ok(Some(access.membership(&user.id, room, position.clone(), unread)))
}
