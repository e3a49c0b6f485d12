//! `room:list`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::limits::page;
use crate::domain::room::View;
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Lists the user's own rooms first, then public ones by name; those whose name holds `query`. A page may be short, or
/// empty, and have a `cursor` all the same: go on until there is none.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RoomList {
    #[serde(default)]
    query: String,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Rooms {
    rooms: Vec<View>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl Request for RoomList {
    const NAME: &'static str = "room:list";
    const RATE: RateClass = RateClass::Query;
    const EXAMPLE: &'static str = "{}";
    type Answer = Rooms;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Rooms>, Refusal> {
        let Self { query, cursor, limit } = self;
        let listed = call.context.rooms.list(call.actor, &query, cursor.as_deref(), page(limit)).await?;
        Ok(Rooms { rooms: listed.rooms, cursor: listed.cursor }.into())
    }
}
