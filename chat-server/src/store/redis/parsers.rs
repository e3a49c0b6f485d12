//! The parsers of what Redis sends, for `chat-server/benches` and `chat-server/fuzz`.

use super::pubsub;
use super::replies;
use crate::domain::id::RoomId;
use crate::store::{BusEvent, Committed, StoreError, Topic};

/// Parses a published message, one frame or many.
#[must_use]
pub fn frames(text: &str) -> Option<Vec<BusEvent>> {
    pubsub::frames::frames(&Topic::Room(RoomId::lobby()), text)
}

/// Parses the reply of the script that commits.
///
/// # Errors
/// It is not a reply of this version's script.
pub fn committed(reply: Vec<String>) -> Result<Committed, StoreError> {
    replies::committed(reply)
}
