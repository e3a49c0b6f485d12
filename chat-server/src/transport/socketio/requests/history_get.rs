//! `history:get`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::limits::page;
use crate::domain::position::{Epoch, Offset};
use crate::service::messages::history::From;
use crate::transport::socketio::protocol::bad_request;
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Pages through the messages of a room, in increasing order. Bounds are exclusive; `limit` is 50 by default, at most
/// 100, and a page has at most 256 KiB; `complete` says that nothing lies beyond the page.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct HistoryGet {
    room: RoomId,
    before: Option<Offset>,
    after: Option<Offset>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct History {
    epoch: Epoch,
    #[cfg_attr(test, schemars(with = "Vec<crate::transport::socketio::contract::Message>"))]
    messages: Vec<Box<RawValue>>,
    complete: bool,
}

impl Request for HistoryGet {
    const NAME: &'static str = "history:get";
    const RATE: RateClass = RateClass::Query;
    const EXAMPLE: &'static str = r#"{"room":"lobby"}"#;
    type Answer = History;

    async fn handle(self, call: Call<'_>) -> Result<Reply<History>, Refusal> {
        let from = match (self.before, self.after) {
            (Some(_), Some(_)) => return Err(bad_request("before or after, not both")),
            (before, None) => From::Before(before),
            (None, Some(after)) => From::After(after),
        };
        let found = call.context.messages.history(call.actor, &self.room, from, page(self.limit)).await?;
        Ok(History { epoch: found.epoch, messages: found.messages, complete: found.complete }.into())
    }
}
