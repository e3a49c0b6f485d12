//! `message:send`, `history:get`, `log:get` and `read:mark`.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::json;

use crate::delivery::Outlet;
use crate::domain::error::{Code, Refusal};
use crate::domain::message::Draft;
use crate::domain::rate_limit::Bucket;
use crate::domain::trace::Traceparent;
use crate::service::messages::history::{From, Log};
use crate::service::messages::send::Sent;
use crate::store::Notice;
use crate::transport::socketio::client::Client;
use crate::transport::socketio::context::Context;
use crate::transport::socketio::protocol::{Answer, GetHistory, GetLog, MarkRead, Request, bad_request};
use crate::transport::socketio::rooms::page;

pub(super) async fn send(
    context: &Context,
    client: &Client,
    bucket: &Mutex<Bucket>,
    request: Request,
    trace: Option<Traceparent>,
) -> Answer {
    let draft: Draft = request.read()?;
    if draft.text.len() > context.limits.max_message_bytes {
        let limit = context.limits.max_message_bytes;
        return Err(Refusal::new(Code::TooLarge, format!("a text has at most {limit} bytes of UTF-8")));
    }
    if draft.text.is_empty() {
        return Err(bad_request("a text must not be empty"));
    }
    let user = &client.identity.user;
    if let Err(refusal) = allow(context, bucket) {
        // Asking again for what was sent before is free.
        return context.rooms.sent_before(user, &draft).await?.map(|sent| answer(&sent)).ok_or(refusal);
    }
    // A socket's requests are done one after the other: nobody else looks for them meanwhile.
    let known = || client.rights.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rights = known().remove(&draft.room).map(|rights| *rights);
    let begun = Instant::now();
    let sent = context.rooms.send(user, &draft, &mut rights, trace).await;
    if sent.is_ok() {
        context.metrics.publish_latency.observe(begun.elapsed());
        context.analytics.said(&user.id, &draft.room);
    }
    if let Some(rights) = rights {
        known().insert(draft.room.clone(), Box::new(rights));
    }
    sent.map(|sent| answer(&sent))
}

fn answer(sent: &Sent) -> serde_json::Value {
    json!({ "id": sent.id, "position": sent.position, "at": sent.at })
}

/// Takes a token of the person's.
pub(super) fn allow(context: &Context, bucket: &Mutex<Bucket>) -> Result<(), Refusal> {
    let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(context.now());
    taken.map_err(|wait| Refusal::new(Code::RateLimited, "too many requests; wait").retry_after_ms(wait))
}

pub(super) async fn history(context: &Context, client: &Client, request: Request) -> Answer {
    let get: GetHistory = request.read()?;
    let from = match (get.before, get.after) {
        (Some(_), Some(_)) => return Err(bad_request("before or after, not both")),
        (before, None) => From::Before(before),
        (None, Some(after)) => From::After(after),
    };
    let page = context.rooms.history(&client.identity.user, &get.room, from, page(get.limit)).await?;
    Ok(json!({ "epoch": page.epoch, "messages": page.messages, "complete": page.complete }))
}

pub(super) async fn log(context: &Context, client: &Client, request: Request) -> Answer {
    let get: GetLog = request.read()?;
    let log = context.rooms.log(&client.identity.user, &get.room, &get.epoch, get.after, page(get.limit)).await?;
    Ok(match log {
        Log::Entries { events, position, complete } => {
            json!({ "events": events, "position": position, "complete": complete })
        }
        Log::Gone => json!({ "recovered": false, "events": [] }),
    })
}

pub(super) async fn mark_read(context: &Context, client: &Client, request: Request) -> Answer {
    let MarkRead { room, offset } = request.read()?;
    let user = &client.identity.user;
    let (offset, unread) = context.rooms.mark_read(user, &room, offset).await?;
    let notice = Notice::Read { room, offset, unread, by_socket: Some(client.id().to_string()) };
    if let Err(error) = context.rooms.notify(&user.id, &notice).await {
        tracing::debug!(%error, "the other sockets of a person could not be told");
    }
    Ok(json!({ "unread": unread }))
}
