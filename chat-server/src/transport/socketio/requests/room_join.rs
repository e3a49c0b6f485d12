//! `room:join`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::position::Position;
use crate::transport::socketio::membership::{Entered, enter};
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Joins a public room, or enters one that the user is in. `messages` are the newest `limit` of its history; with
/// `since`, `events` are all log entries after it, or over 500 of them `events: []` and `gap`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomJoin {
    room: RoomId,
    since: Option<Position>,
    limit: Option<usize>,
}

impl Request for RoomJoin {
    const NAME: &'static str = "room:join";
    const RATE: RateClass = RateClass::Change;
    const EXAMPLE: &'static str = r#"{"room":"lobby"}"#;
    type Answer = Entered;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Entered>, Refusal> {
        let joined = call.context.rooms.join(call.actor, &self.room).await?;
        enter(&call, self.room, joined, self.since, self.limit).await
    }
}
