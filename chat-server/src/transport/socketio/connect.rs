//! From a connection to a session: the first event, what was missed, and then what is live.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::delivery::Attached;
use crate::domain::id::RoomId;
use crate::domain::limits::{HISTORY_LIMIT, RECOVERY_LIMIT};
use crate::domain::position::{Gap, Offset, Position};
use crate::domain::room::{Info, Role};
use crate::domain::user::User;
use crate::fault_injection::{self, Fault};
use crate::observability::metrics::{Opened, Recovery};
use crate::service::rooms::Access;
use crate::store::{Keep, Range, StoreError, Topic};
use crate::transport::socketio::client::Client;
use crate::transport::socketio::context::Context;

const AT_ONCE: usize = 16;
const READ_AT_ONCE: usize = 100;

/// A room that a socket is about to hear.
struct Opening {
    room: RoomId,
    info: Info,
    role: Role,
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
}

/// Lets a socket hear all rooms of its person, beginning with the event `session`.
///
/// # Errors
/// The broker's; the socket has heard nothing then and should be closed.
pub(crate) async fn open(
    context: &Context,
    client: &Arc<Client>,
    positions: Option<HashMap<String, Position>>,
    resume: &str,
) -> Result<(), StoreError> {
    let user = &client.identity.user;
    let mut rooms = context.rooms.of_user(&user.id).await?;
    rooms.insert(0, (RoomId::lobby(), Info::lobby()));
    let ids: Vec<RoomId> = rooms.iter().map(|(room, _)| room.clone()).collect();
    let unread = context.rooms.unread(&user.id, &ids).await?;

    // A session that is not the one that the positions were given to has no claim to them.
    let continued = positions.as_ref().filter(|_| client.identity.resumed);
    let openings = stream::iter(rooms.into_iter().zip(unread)).map(|((room, _), unread)| {
        let since = continued.and_then(|positions| positions.get(room.as_str())).cloned();
        open_room(context, client, room, unread, since)
    });
    let openings: Vec<Option<Opening>> = futures_util::TryStreamExt::try_collect(openings.buffered(AT_ONCE)).await?;
    let openings: Vec<Opening> = openings.into_iter().flatten().collect();

    let unrecovered: Vec<&str> = match (&positions, continued) {
        (Some(positions), None) => positions.keys().map(String::as_str).collect(),
        _ => openings.iter().filter(|opening| opening.lost).map(|opening| opening.room.as_str()).collect(),
    };
    let recovered = if positions.is_some() { unrecovered.is_empty() } else { client.identity.resumed };
    let session = json!({
        "protocol": 1,
        "node": context.node,
        "user": user,
        "resume": resume,
        "recovered": recovered,
        "unrecovered": unrecovered,
        "rooms": openings.iter().map(|opening| described(opening, user)).collect::<Vec<_>>(),
        "limits": {
            "maxMessageBytes": context.limits.max_message_bytes,
            "messagesPerSecond": context.limits.rate.per_second,
            "messageBurst": context.limits.rate.burst,
            "maxPayload": context.limits.max_payload,
            "historyLimit": HISTORY_LIMIT,
        },
        "serverTime": context.now(),
    });
    if !client.send("session", &session).await {
        return Ok(());
    }
    let how = if client.identity.resumed { Opened::Resumed } else { Opened::New };
    context.metrics.sessions_opened.of(how).inc();
    for _ in openings.iter().filter(|opening| opening.lost) {
        context.metrics.recoveries.of(Recovery::Refused).inc();
    }
    for opening in openings {
        let begins = opening.position();
        let Opening { room, head, since, kept, .. } = opening;
        // From here on the client has begun: what fails is tried again from where it failed.
        let position = match since {
            Some(since) if !kept => {
                let (position, result) = replay(context, client, &room, &head, since).await;
                if let Some(result) = result {
                    context.metrics.recoveries.of(result).inc();
                }
                position
            }
            Some(_) => {
                context.metrics.recoveries.of(Recovery::Complete).inc();
                begins
            }
            None => begins,
        };
        context.hub.ready(client, &room, position).await;
    }
    Ok(())
}

fn described(opening: &Opening, user: &User) -> serde_json::Value {
    let mut room = json!({
        "room": opening.room,
        "name": opening.info.name_for(&user.id),
        "kind": opening.info.kind,
        "topic": opening.info.topic,
        "role": opening.role,
        "position": opening.position(),
        "unread": opening.unread,
    });
    if let Some(offset) = opening.forked_at {
        room["forkedAt"] = offset.into();
    }
    room
}

async fn open_room(
    context: &Context,
    client: &Arc<Client>,
    room: RoomId,
    unread: u64,
    since: Option<Position>,
) -> Result<Option<Opening>, StoreError> {
    let Attached { mut head, kept } = context.hub.attach_since(client, &room, since.as_ref()).await?;
    // Asked after attaching: who was thrown out before does not hear the room, who is thrown out
    // after hears it from the log.
    let access: Option<Access> = context.rooms.try_access(&client.identity.user, &room).await?;
    let Some((info, role)) = access.and_then(|access| access.member.map(|member| (access.info, member.role))) else {
        context.hub.detach(client, &room).await;
        return Ok(None);
    };
    let (mut from, mut lost, mut forked_at) = (None, false, None);
    match since {
        Some(since) if kept => from = Some(since.offset),
        Some(since) => {
            let range = Range { after: since.offset, before: None, limit: 1, keep: Keep::Oldest };
            let slice = context.stores.log.read(&Topic::room(&room), range).await?;
            if slice.covers(&since) {
                head = context.hub.level(client, &room, head, &slice.lineage, &since).await?;
                from = Some(since.offset);
            } else {
                lost = true;
                forked_at = slice.lineage.shared_with(&since.epoch).filter(|shared| *shared < since.offset);
            }
        }
        None => {}
    }
    Ok(Some(Opening { room, info, role, unread, head, since: from, kept, lost, forked_at }))
}

/// Sends what lies between what a socket has of a room and where its live events begin: entry by
/// entry, or one gap for very many. Goes on until it is done or the socket is gone. Answers from where
/// the room's feed has to go on, and what became of what lay between; `None` of a socket that is gone.
pub(super) async fn replay(
    context: &Context,
    client: &Client,
    room: &RoomId,
    head: &Position,
    mut has: Offset,
) -> (Position, Option<Recovery>) {
    let result = loop {
        match try_replay(context, client, room, head, &mut has).await {
            Ok(result) => break result,
            Err(error) => tracing::warn!(%error, "what was missed could not be read yet"),
        }
        tokio::time::sleep(super::worker::RETRY).await;
        if !client.is_open() {
            break None;
        }
    };
    (Position { epoch: head.epoch.clone(), offset: has }, result)
}

async fn try_replay(
    context: &Context,
    client: &Client,
    room: &RoomId,
    head: &Position,
    has: &mut Offset,
) -> Result<Option<Recovery>, StoreError> {
    while *has < head.offset {
        let range = Range { after: *has, before: Some(head.offset + 1), limit: READ_AT_ONCE, keep: Keep::Oldest };
        let slice = context.stores.log.read(&Topic::room(room), range).await?;
        if !slice.lineage.holds(head) {
            // The store lost entries meanwhile: the feed knows what to tell of it.
            return Ok(Some(Recovery::Refused));
        }
        let contiguous = slice.entries.first().is_some_and(|entry| entry.offset == *has + 1);
        if !contiguous || head.offset - *has > RECOVERY_LIMIT {
            if !client.send("gap", &Gap { room, epoch: &head.epoch, from: *has + 1, to: head.offset }).await {
                return Ok(None);
            }
            *has = head.offset;
            return Ok(Some(Recovery::Gap));
        }
        for entry in &slice.entries {
            if fault_injection::is_injected(Fault::RecoverShort) && entry.offset == head.offset {
                *has = head.offset;
                return Ok(Some(Recovery::Complete));
            }
            if !client.send(&entry.event, &entry.to_json(room)?).await {
                return Ok(None);
            }
            context.metrics.deliveries.inc();
            *has = entry.offset;
        }
    }
    Ok(Some(Recovery::Complete))
}
