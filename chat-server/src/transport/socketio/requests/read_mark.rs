//! `read:mark`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::position::Offset;
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Marks a room as read up to an offset. Never moves back, and not beyond the newest entry. A new member has read
/// everything. `unread` is exact if at most 200 entries come after the mark or since the former one, else about right.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReadMark {
    room: RoomId,
    offset: Offset,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Marked {
    /// How many messages of others come after it.
    unread: u64,
}

impl Request for ReadMark {
    const NAME: &'static str = "read:mark";
    const RATE: RateClass = RateClass::Query;
    const KEEPS: bool = true;
    const EXAMPLE: &'static str = r#"{"room":"lobby","offset":0}"#;
    type Answer = Marked;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Marked>, Refusal> {
        let unread = call.context.messages.mark_read(call.actor, &self.room, self.offset).await?;
        Ok(Marked { unread }.into())
    }
}
