//! `log:get`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::limits::page;
use crate::domain::position::{Epoch, Offset, Position};
use crate::service::messages::history::{Log, Logged};
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Pages through the entries of a room's log. For a position of another log, or a range that is gone:
/// `{recovered: false, events: []}`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LogGet {
    room: RoomId,
    epoch: Epoch,
    after: Offset,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LogPage {
    /// `false` where the range is gone; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
    #[cfg_attr(test, schemars(with = "Vec<crate::transport::socketio::contract::LogEvent>"))]
    events: Vec<Logged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
}

impl Request for LogGet {
    const NAME: &'static str = "log:get";
    const RATE: RateClass = RateClass::Query;
    const EXAMPLE: &'static str = r#"{"room":"lobby","epoch":"e","after":0}"#;
    type Answer = LogPage;

    async fn handle(self, call: Call<'_>) -> Result<Reply<LogPage>, Refusal> {
        let Self { room, epoch, after, limit } = self;
        let log = call.context.messages.log(call.actor, &room, &epoch, after, page(limit)).await?;
        let page = match log {
            Log::Entries { events, position, complete } => {
                LogPage { recovered: None, events, position: Some(position), complete: Some(complete) }
            }
            Log::Gone => LogPage { recovered: Some(false), events: Vec::new(), position: None, complete: None },
        };
        Ok(page.into())
    }
}
