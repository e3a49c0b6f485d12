//! The one task that does what a socket asks for, in the order in which it asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::arrivals::Start;
use super::client::Client;
use super::context::{After, Context, Then};
use super::jobs::{Job, Needs, Rest};
use super::protocol::{Answer, Request, ack};
use super::{connect, messages, rooms, typing};
use crate::delivery::Outlet;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::RoomId;
use crate::domain::position::{Offset, Position};
use crate::domain::rate_limit::Bucket;
use crate::domain::trace::Traceparent;
use crate::observability::metrics::{Ended, Request as Asked};
use crate::observability::traces::Followed;
use crate::store::Notice;
use crate::store::StoreError;

/// The request that says something.
const MESSAGE_SEND: &str = "message:send";

/// How soon a broker that is away is tried again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Starts a worker, if the client needs one.
pub(super) fn wake(context: &Arc<Context>, client: &Arc<Client>, needs: Option<Needs>) {
    if let Some(needs) = needs {
        tokio::spawn(work(context.clone(), client.clone(), needs));
    }
}

/// Ends a client: its worker serves what waits.
pub(super) fn close(context: &Arc<Context>, client: &Arc<Client>, why: Ended) {
    wake(context, client, client.jobs.close());
    context.outboxes.remove(client.id());
    if context.clients.remove(client) {
        context.metrics.sockets_ended.of(why).inc();
        context.presence.went(&client.identity.user.id);
    }
}

/// Opens the session, and does what the socket asked for meanwhile. What it asks for later begins a worker of its own.
pub(super) async fn run(context: &Arc<Context>, Start { client, positions, resume }: Start) {
    context.presence.came(&client.identity.user);
    context.analytics.came(&client.identity.user.id);
    let needs = context.clients.add(&client, context.now());
    if !client.is_open() {
        // It went before it was taken in, so that its end found nothing to remove.
        close(context, &client, Ended::Closed);
    }
    while let Err(error) = open(context, &client, positions.clone(), &resume).await {
        if !client.is_open() {
            break;
        }
        tracing::warn!(%error, "a session could not be opened yet");
        tokio::time::sleep(RETRY).await;
    }
    work(context.clone(), client, needs).await;
}

async fn open(
    context: &Context,
    client: &Arc<Client>,
    positions: Option<HashMap<String, Position>>,
    resume: &str,
) -> Result<(), StoreError> {
    context.clients.subscribe(&client.identity.user.id).await?;
    connect::open(context, client, positions, resume).await
}

/// Does what the socket asks for until nothing is left; requests that were received before it closed are still done.
async fn work(context: Arc<Context>, client: Arc<Client>, needs: Needs) {
    let context = &*context;
    loop {
        if let Some(job) = client.jobs.next() {
            perform(context, &client, &needs, job).await;
        } else {
            match client.jobs.rest(&needs) {
                Rest::None => {}
                Rest::Until => return,
                Rest::Forever => break,
            }
        }
    }
    for room in client.take_rooms() {
        context.hub.detach(&client, &room).await;
    }
}

async fn perform(context: &Context, client: &Arc<Client>, bucket: &Mutex<Bucket>, job: Job) {
    match job {
        Job::Request { request, ack, bytes } => {
            serve(context, client, bucket, request, ack).await;
            refuse(context, client, client.jobs.answered(bytes)).await;
        }
        Job::Notice(notice) => heed(context, client, notice).await,
        Job::Review => review(context, client).await,
    }
}

/// Answers the requests for which there was no room in the queue.
async fn refuse(context: &Context, client: &Client, requests: Vec<i64>) {
    for ack_id in requests {
        let refusal = Refusal::new(Code::RateLimited, "too many requests wait already").retry_after_ms(1000);
        context.metrics.acked(Asked::Other, Some(Code::RateLimited));
        client.ack(Some(ack_id), &ack(&Err(refusal))).await;
    }
}

async fn serve(context: &Context, client: &Arc<Client>, bucket: &Mutex<Bucket>, request: Request, ack_id: Option<i64>) {
    let asked = if request.event == MESSAGE_SEND { Asked::Send } else { Asked::Other };
    let followed = if asked == Asked::Send { context.traces.send() } else { None };
    let trace = followed.as_ref().and_then(Followed::traceparent);
    let answered = answer(context, client, bucket, request, trace.clone()).await;
    let (answer, then) = match answered {
        Ok(After { answer, then }) => (Ok(answer), then),
        Err(refusal) => (Err(refusal), Then::Nothing),
    };
    let refused = answer.as_ref().err().map(|refusal| refusal.code);
    context.metrics.acked(asked, refused);
    if let Err(Refusal { cause: Some(cause), .. }) = &answer {
        let trace_id = trace.as_ref().map(Traceparent::trace);
        tracing::warn!(error = cause, socket = %client.id(), request = ack_id, trace_id, "a request could not be served");
    }
    client.ack(ack_id, &ack(&answer)).await;
    if let Some(followed) = followed {
        followed.answered(refused.map(Code::as_str));
    }
    match then {
        Then::Nothing => {}
        Then::Hear(room, position) => context.hub.ready(client, &room, position).await,
        Then::Added(room, offset) => added(context, client, room, offset).await,
    }
}

async fn answer(
    context: &Context,
    client: &Arc<Client>,
    bucket: &Mutex<Bucket>,
    request: Request,
    trace: Option<Traceparent>,
) -> Result<After, Refusal> {
    let answer: Answer = match request.event.as_str() {
        MESSAGE_SEND => messages::send(context, client, bucket, request, trace).await,
        "history:get" => messages::history(context, client, request).await,
        "log:get" => messages::log(context, client, request).await,
        "read:mark" => messages::mark_read(context, client, request).await,
        "typing:set" => typing::set(context, client, bucket, request).await,
        "room:create" => return rooms::create(context, client, request).await,
        "room:join" => return rooms::join(context, client, request).await,
        "room:accept" => return rooms::accept(context, client, request).await,
        "dm:open" => return rooms::open_dm(context, client, request).await,
        "room:leave" => rooms::leave(context, client, request).await,
        "room:list" => rooms::list(context, client, request).await,
        "room:members" => rooms::members(context, client, request).await,
        "room:invite" => rooms::invite(context, client, request).await,
        _ => Err(Refusal::new(Code::Unsupported, "this server knows no such request")),
    };
    answer.map(|answer| After { answer, then: Then::Nothing })
}

async fn heed(context: &Context, client: &Arc<Client>, notice: Notice) {
    let me = client.id().to_string();
    match notice {
        Notice::Added { by_socket, .. } | Notice::Read { by_socket, .. } if by_socket.as_ref() == Some(&me) => {}
        Notice::Added { room, offset, .. } => {
            added(context, client, room, offset).await;
        }
        Notice::Read { room, offset, unread, .. } => {
            let news = serde_json::json!({ "room": room, "offset": offset, "unread": unread });
            client.send("read:marked", &news).await;
        }
    }
}

/// Finds rooms that the person joined without this socket's hearing of it. It hears them from now on;
/// what was said there before is in their history.
async fn review(context: &Context, client: &Arc<Client>) {
    let rooms = match context.rooms.of_user(&client.identity.user.id).await {
        Ok(rooms) => rooms,
        // An interruption follows when the broker is back.
        Err(error) => return tracing::debug!(%error, "the rooms of a person could not be looked up"),
    };
    for (room, _) in rooms {
        if let Err(refusal) = rooms::found(context, client, room).await {
            tracing::debug!(?refusal, "a socket could not be told of a room yet");
        }
    }
}

/// Tells a socket of a new room. A broker that is away is waited for: else the socket would not
/// hear the room until it comes back.
async fn added(context: &Context, client: &Arc<Client>, room: RoomId, offset: Offset) {
    while let Err(refusal) = rooms::added(context, client, room.clone(), offset).await {
        if refusal.code != Code::Unavailable || !client.is_open() {
            return;
        }
        tracing::warn!("a socket could not be told of a new room yet");
        tokio::time::sleep(RETRY).await;
    }
}
