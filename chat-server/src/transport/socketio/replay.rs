//! Sending a socket what it has missed.

use std::time::Duration;

use super::client::Client;
use super::context::Context;
use crate::domain::id::RoomId;
use crate::domain::log_event;
use crate::domain::position::{Gap, Offset, Position};
use crate::fault_injection::{self, Fault};
use crate::observability::metrics::Recovery;
use crate::service::recovery::Step;
use crate::store::StoreError;

/// How soon a store that is away is tried again.
const RETRY: Duration = Duration::from_millis(500);

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
        tokio::time::sleep(RETRY).await;
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
        let entries = match context.recovery.next(room, head, *has).await? {
            Step::Entries(entries) => entries,
            // The feed knows what to tell of it.
            Step::Refused => return Ok(Some(Recovery::Refused)),
            Step::Gap => {
                let gap = Gap { room, epoch: &head.epoch, from: *has + 1, to: head.offset };
                if !client.send("gap", &gap).await {
                    return Ok(None);
                }
                *has = head.offset;
                return Ok(Some(Recovery::Gap));
            }
        };
        for entry in &entries {
            if fault_injection::is_injected(Fault::RecoverShort) && entry.offset == head.offset {
                *has = head.offset;
                return Ok(Some(Recovery::Complete));
            }
            if !log_event::is_deliverable(&entry.event) {
                *has = entry.offset;
                continue;
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
