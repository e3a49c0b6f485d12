//! What an outlet is sent, encoded once for all outlets that get it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

/// Encodes an event as it goes over the wire. The transport hands it in.
pub type Encoder = fn(name: &str, payload: &RawValue) -> Bytes;

/// A named event with one payload.
#[derive(Debug, Clone)]
pub struct Event {
    name: Cow<'static, str>,
    payload: Box<RawValue>,
    frame: Bytes,
}

impl Event {
    /// Encodes an event.
    #[must_use]
    pub fn new(name: Cow<'static, str>, payload: Box<RawValue>, encode: Encoder) -> Self {
        let frame = encode(&name, &payload);
        Self { name, payload, frame }
    }

    /// Encodes an event whose payload is anything that serializes. A payload that does not is logged, and gives `None`.
    pub fn of<T: Serialize + ?Sized>(name: &str, payload: &T, encode: Encoder) -> Option<Self> {
        let payload = serde_json::value::to_raw_value(payload)
            .inspect_err(|error| tracing::error!(%error, "an event could not be written as JSON"))
            .ok()?;
        Some(Self::new(name.to_owned().into(), payload, encode))
    }

    /// The name of the event.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The payload, as JSON.
    #[must_use]
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// The whole event, as it goes over the wire.
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }
}
