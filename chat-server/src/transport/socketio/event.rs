//! Events and answers of Socket.IO, as frames of a WebSocket.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::connection::frame::frame;
use crate::delivery::Event;

/// Encodes an event: the [`Encoder`](crate::delivery::Encoder) of this transport.
#[must_use]
pub fn encode(name: &str, payload: &RawValue) -> Bytes {
    // Names have no characters that JSON escapes: they are from a closed list.
    frame(&["42[\"", name, "\",", payload.get(), "]"])
}

/// An event whose payload is anything that serializes. A payload that does not is logged, and gives `None`.
pub(super) fn event<T: Serialize + ?Sized>(name: &str, payload: &T) -> Option<Event> {
    Event::of(name, payload, encode)
}

/// Encodes the answer to a request.
pub(super) fn answer_frame(ack: i64, answer: &RawValue) -> Bytes {
    frame(&["43", &ack.to_string(), "[", answer.get(), "]"])
}

/// Anything as JSON. What does not serialize is logged, and gives `None`.
pub(super) fn raw<T: Serialize + ?Sized>(value: &T) -> Option<Box<RawValue>> {
    let raw = serde_json::value::to_raw_value(value);
    raw.inspect_err(|error| tracing::error!(%error, "an answer could not be written as JSON")).ok()
}
