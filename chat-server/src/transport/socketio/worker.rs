//! The one task that does what a socket asks for, in the order in which it asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::arrivals::Start;
use super::client::Client;
use super::context::Context;
use super::jobs::{Job, Park, SharedBudget};
use super::membership::{added, review};
use super::protocol::Packet;
use super::request::{Call, Reply, Request, Then};
use super::requests::message_send::MessageSend;
use super::requests::{dispatch, refused};
use super::revocation;
use super::session;
use crate::delivery::Outlet;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::limits::Limit;
use crate::domain::position::{Offset, Position};
use crate::domain::trace::Traceparent;
use crate::observability::metrics::{Ended, Request as Asked};
use crate::observability::traces::Followed;
use crate::service::actor::{Actor, now};
use crate::store::{Notice, StoreError};

/// How soon a store that is away is tried again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Starts a worker, if the client's jobs answered with the budget.
pub(super) fn wake(context: &Arc<Context>, client: &Arc<Client>, budget: Option<SharedBudget>) {
    if let Some(budget) = budget {
        tokio::spawn(work(context.clone(), client.clone(), budget));
    }
}

/// Ends a client: its worker serves what waits.
pub(super) fn close(context: &Arc<Context>, client: &Arc<Client>, why: Ended) {
    wake(context, client, client.jobs.close());
    context.outboxes.release(client.id());
    if context.clients.remove(client) {
        context.metrics.sockets_ended.of(why).inc();
        context.presence.went(&client.identity.user.id);
    }
}

/// Opens the session, and does what the socket asked for meanwhile. What it asks for later begins a worker of its own.
pub(super) async fn run(context: &Arc<Context>, Start { client, positions, resume }: Start) {
    let told = context.presence.came(&client.identity.user);
    context.analytics.came(&client.identity.user.id);
    let budget = context.clients.add(&client, now());
    if !client.is_open() {
        // It went before it was taken in, so that its end found nothing to remove.
        close(context, &client, Ended::Closed);
    }
    // Whoever hears of a guest who is not stored finds it by its presence.
    if let Some(told) = told.filter(|_| client.guest.unstored().is_some()) {
        let _ = told.await;
    }
    while let Err(error) = open(context, &client, positions.clone(), &resume).await {
        if !client.is_open() {
            break;
        }
        tracing::warn!(%error, "a session could not be opened yet");
        tokio::time::sleep(RETRY).await;
    }
    work(context.clone(), client, budget).await;
}

async fn open(
    context: &Context,
    client: &Arc<Client>,
    positions: Option<HashMap<String, Position>>,
    resume: &str,
) -> Result<(), StoreError> {
    context.clients.subscribe(&client.identity.user.id).await?;
    session::open(context, client, positions, resume).await
}

/// Does what the socket asks for until nothing is left; requests that were received before it closed are still done.
async fn work(context: Arc<Context>, client: Arc<Client>, budget: SharedBudget) {
    let actor = Actor::new(client.identity.user.clone(), Some(client.id()), budget.clone());
    loop {
        match client.jobs.next() {
            Some(Job::Request { request, ack, bytes }) => {
                serve(&context, &client, &actor, request, ack).await;
                refuse(&context, &client, client.jobs.answered(bytes)).await;
            }
            Some(Job::Notice(notice)) => heed(&context, &client, notice).await,
            Some(Job::Review) => review(&context, &client).await,
            None => match client.jobs.park(&budget) {
                Park::MoreJobs => {}
                Park::Parked => return,
                Park::Closed => break,
            },
        }
    }
    for room in client.take_rooms() {
        context.hub.detach(&client, &room).await;
    }
    for room in client.take_typing() {
        if let Err(refusal) = context.rooms.set_typing(&actor, &room, false).await {
            // The others' nodes end it by themselves.
            tracing::debug!(%refusal, "a room could not be told that somebody types no more");
        }
    }
}

/// Answers the requests for which there was no room in the queue.
async fn refuse(context: &Context, client: &Client, requests: Vec<i64>) {
    let refusal = Refusal::new(Code::RateLimited, "too many requests wait already")
        .at(Limit::QueuedRequests)
        .retry_after_ms(1000);
    let Some(answer) = refused(&refusal) else { return };
    for ack_id in requests {
        context.metrics.acked(Asked::Other, Some(Code::RateLimited));
        client.ack(Some(ack_id), &answer).await;
    }
}

async fn serve(context: &Arc<Context>, client: &Arc<Client>, actor: &Actor, packet: Packet, ack_id: Option<i64>) {
    let asked = if packet.event == MessageSend::NAME { Asked::Send } else { Asked::Other };
    let followed = if asked == Asked::Send { context.traces.send() } else { None };
    let trace = followed.as_ref().and_then(Followed::traceparent);
    let answered = dispatch(packet, Call { context, client, actor, trace: trace.clone() }).await;
    let code = answered.as_ref().err().map(|refusal| refusal.code);
    context.metrics.acked(asked, code);
    let (answer, then) = match answered {
        Ok(Reply { answer, then }) => (Some(answer), then),
        Err(refusal) => {
            if let Some(cause) = &refusal.cause {
                let trace_id = trace.as_ref().map(Traceparent::trace);
                tracing::warn!(
                    error = cause, socket = %client.id(), request = ack_id, trace_id, "a request could not be served"
                );
            }
            (refused(&refusal), Then::Nothing)
        }
    };
    if let Some(answer) = answer {
        client.ack(ack_id, &answer).await;
    }
    if let Some(followed) = followed {
        followed.answered(code.map(Code::as_str));
    }
    match then {
        Then::Nothing => {}
        Then::Deliver(room, position) => context.hub.ready(client, &room, position).await,
        Then::Added(room, joined) => tell_added(context, client, room, joined).await,
        Then::Revoked(reason) => revocation::end(client, reason),
    }
}

async fn heed(context: &Arc<Context>, client: &Arc<Client>, notice: Notice) {
    let me = client.id().to_string();
    match notice {
        Notice::Added { by_socket, .. }
        | Notice::Read { by_socket, .. }
        | Notice::Blocked { by_socket, .. }
        | Notice::Settings { by_socket, .. }
            if by_socket.as_ref() == Some(&me) => {}
        // Not left to the worker: see `notify`.
        Notice::SessionRevoked { .. } => {}
        Notice::Added { room, offset, .. } => tell_added(context, client, room, offset).await,
        Notice::Read { room, offset, epoch, unread, .. } => {
            if client.note_mark(&room, Position { epoch, offset }) {
                client.send("read:marked", &ReadMarked { room, offset, unread }).await;
            }
        }
        Notice::Invited { invitation } => {
            client.send("room:invited", &invitation).await;
        }
        Notice::Blocked { user, on, .. } => {
            client.send("user:blocked", &UserBlocked { user, on }).await;
        }
        Notice::Settings { room, request, hidden, .. } => {
            client.send("room:settings", &RoomSettings { room, request, hidden }).await;
        }
    }
}

/// Tells of a room that the person became a member of. Where the store is away, that is tried again: what the person asks
/// for does not wait for it.
async fn tell_added(context: &Arc<Context>, client: &Arc<Client>, room: RoomId, joined: Offset) {
    let Err(refusal) = added(context, client, &room, joined).await else { return };
    if refusal.code != Code::Unavailable || !client.is_open() {
        return;
    }
    tracing::warn!("a socket could not be told of a new room yet");
    let (context, client) = (context.clone(), client.clone());
    tokio::spawn(async move {
        tokio::time::sleep(RETRY).await;
        let notice = Notice::Added { room, offset: joined, by_socket: None };
        wake(&context, &client, client.jobs.later(Job::Notice(notice)));
    });
}

/// The event `user:blocked`, to the person's other sockets.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct UserBlocked {
    user: UserId,
    /// Whether they are blocked now.
    on: bool,
}

/// The event `room:settings`, to the person's other sockets: what a direct message is to the person.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomSettings {
    room: RoomId,
    /// A stranger opened it, and the person has neither accepted nor answered it.
    request: bool,
    /// The person closed it, and nothing was said since.
    hidden: bool,
}

/// The event `read:marked`, to the person's other sockets.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReadMarked {
    room: RoomId,
    offset: Offset,
    unread: u64,
}
