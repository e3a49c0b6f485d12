//! From a connection to a session: the first event, what was missed, and then what is live.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::client::Client;
use super::context::{Context, Limits};
use super::replay::replay;
use crate::delivery::Attached;
use crate::domain::id::{NodeId, RoomId, SessionId};
use crate::domain::limits::HISTORY_LIMIT;
use crate::domain::position::{Millis, Offset, Position};
use crate::domain::room::Membership;
use crate::domain::user::User;
use crate::observability::metrics::{Opened, Recovery};
use crate::service::actor::now;
use crate::service::recovery::Continuation;
use crate::service::rooms::access::Access;
use crate::service::rooms::block::Consent;
use crate::store::StoreError;

/// Rooms that are opened at a time.
const AT_ONCE: usize = 16;

/// The event `session`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Session<'a> {
    /// The version of the protocol.
    protocol: u32,
    node: &'a NodeId,
    user: &'a User,
    /// The session's id, for `session:revoke`.
    session: &'a SessionId,
    /// The token that continues the session on any node.
    resume: &'a str,
    recovered: bool,
    /// Rooms whose positions can't be continued.
    unrecovered: Vec<&'a str>,
    rooms: Vec<Membership>,
    #[serde(flatten)]
    consent: Consent,
    limits: SessionLimits,
    server_time: Millis,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SessionLimits {
    max_message_bytes: usize,
    messages_per_second: u32,
    message_burst: u32,
    max_payload: usize,
    history_limit: usize,
}

impl SessionLimits {
    fn of(limits: Limits) -> Self {
        Self {
            max_message_bytes: limits.max_message_bytes,
            messages_per_second: limits.rates.message.per_second,
            message_burst: limits.rates.message.burst,
            max_payload: limits.max_payload,
            history_limit: HISTORY_LIMIT,
        }
    }
}

/// A room that a socket is about to receive.
struct Opening {
    room: RoomId,
    access: Access,
    unread: u64,
    /// Where the live events will begin.
    head: Position,
    /// What the client has, if it can be continued from there.
    since: Option<Offset>,
    /// What lies between is kept by the room's feed.
    kept: bool,
    /// The client had a position that can't be continued.
    lost: bool,
    /// Of what the client has, up to where it is still what the log holds: if the store lost what comes after.
    forked_at: Option<Offset>,
}

impl Opening {
    fn position(&self) -> Position {
        let offset = self.since.unwrap_or(self.head.offset);
        Position { epoch: self.head.epoch.clone(), offset }
    }

    fn membership(&self, user: &User) -> Membership {
        let membership = self.access.membership(&user.id, &self.room, self.position(), self.unread);
        Membership { hidden: self.access.hides(self.head.offset), forked_at: self.forked_at, ..membership }
    }
}

/// Lets a socket receive all rooms of its person, beginning with the event `session`.
///
/// # Errors
/// The store's; the socket was sent nothing then and should be closed.
pub(super) async fn open(
    context: &Context,
    client: &Arc<Client>,
    positions: Option<HashMap<String, Position>>,
    resume: &str,
) -> Result<(), StoreError> {
    let user = &client.identity.user;
    let rooms = context.rooms.candidates(&user.id).await?;

    // A session that is not the one that the positions were given to has no claim to them.
    let continued = positions.as_ref().filter(|_| client.identity.resumed);
    let since = |room: &RoomId| continued.and_then(|positions| positions.get(room.as_str())).cloned();
    let to_attach: Vec<_> = rooms.iter().map(|room| (room.clone(), since(room))).collect();
    let attached = context.hub.attach_all(client, &to_attach).await?;
    // Asked after attaching: who was removed before does not receive the room, who is removed after learns it from the
    // log.
    let memberships = context.rooms.membership(user, &rooms).await?;
    let each = to_attach.into_iter().zip(attached).zip(memberships);
    let openings = stream::iter(each)
        .map(|(((room, since), attached), membership)| open_room(context, client, room, since, attached, membership));
    let openings: Vec<Option<Opening>> = openings.buffered(AT_ONCE).try_collect().await?;
    let openings: Vec<Opening> = openings.into_iter().flatten().collect();

    if let Some(lobby) = openings.iter().find(|opening| opening.room.is_lobby()) {
        client.guest.note_lobby(lobby.head.offset);
    }

    let unrecovered: Vec<&str> = match (&positions, continued) {
        (Some(positions), None) => positions.keys().map(String::as_str).collect(),
        _ => openings.iter().filter(|opening| opening.lost).map(|opening| opening.room.as_str()).collect(),
    };
    let recovered = if positions.is_some() { unrecovered.is_empty() } else { client.identity.resumed };
    let session = Session {
        protocol: 1,
        node: &context.node,
        user,
        session: &client.identity.session,
        resume,
        recovered,
        unrecovered,
        rooms: openings.iter().map(|opening| opening.membership(user)).collect(),
        consent: context.rooms.consent(&user.id).await?,
        limits: SessionLimits::of(context.limits),
        server_time: now(),
    };
    if !client.send("session", &session).await {
        return Ok(());
    }
    let how = if client.identity.resumed { Opened::Resumed } else { Opened::New };
    context.metrics.sessions_opened.of(how).inc();
    for _ in openings.iter().filter(|opening| opening.lost) {
        context.metrics.recoveries.of(Recovery::Refused).inc();
    }
    for opening in openings {
        let position = catch_up(context, client, &opening).await;
        context.hub.ready(client, &opening.room, position).await;
    }
    Ok(())
}

/// Sends what was missed in a room, unless its feed does. From here on the client has begun: what fails is tried again
/// from where it failed.
async fn catch_up(context: &Context, client: &Client, opening: &Opening) -> Position {
    let Opening { room, head, since, kept, .. } = opening;
    match *since {
        Some(since) if !kept => {
            let (position, result) = replay(context, client, room, head, since).await;
            if let Some(result) = result {
                context.metrics.recoveries.of(result).inc();
            }
            return position;
        }
        Some(_) => context.metrics.recoveries.of(Recovery::Complete).inc(),
        None => {}
    }
    opening.position()
}

async fn open_room(
    context: &Context,
    client: &Arc<Client>,
    room: RoomId,
    since: Option<Position>,
    Attached { mut head, kept }: Attached,
    membership: Option<(Access, u64)>,
) -> Result<Option<Opening>, StoreError> {
    let Some((access, unread)) = membership else {
        context.hub.detach(client, &room).await;
        return Ok(None);
    };
    let (mut from, mut lost, mut forked_at) = (None, false, None);
    match since {
        Some(since) if kept => from = Some(since.offset),
        Some(since) => match context.recovery.continuation(&room, &since).await? {
            Continuation::Covered { lineage } => {
                head = context.hub.level(client, &room, head, &lineage, &since).await?;
                from = Some(since.offset);
            }
            Continuation::Lost { forked_at: at } => (lost, forked_at) = (true, at),
        },
        None => {}
    }
    Ok(Some(Opening { room, access, unread, head, since: from, kept, lost, forked_at }))
}
