//! What is sent, made once for all who get it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::transport::socketio::connection::wire::frame;

/// An event of Socket.IO.
#[derive(Debug, Clone)]
pub struct Event {
    name: Cow<'static, str>,
    payload: Box<RawValue>,
    frame: Bytes,
}

impl Event {
    /// An event with one argument.
    #[must_use]
    pub fn new(name: Cow<'static, str>, payload: Box<RawValue>) -> Self {
        // Names have no characters that JSON escapes: they are from a closed list.
        let frame = frame(&["42[\"", &name, "\",", payload.get(), "]"]);
        Self { name, payload, frame }
    }

    /// The same of what can be written as JSON. What can't is logged, and `None`.
    pub(crate) fn of<T: Serialize + ?Sized>(name: &str, payload: &T) -> Option<Self> {
        raw(payload).map(|payload| Self::new(name.to_owned().into(), payload))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its argument.
    #[must_use]
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// It, as a WebSocket has it.
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }
}

/// An answer to a request, as a WebSocket has it.
pub(super) fn answer_frame(ack: i64, answer: &RawValue) -> Bytes {
    frame(&["43", &ack.to_string(), "[", answer.get(), "]"])
}

pub(super) fn raw<T: Serialize + ?Sized>(value: &T) -> Option<Box<RawValue>> {
    let raw = serde_json::value::to_raw_value(value);
    raw.inspect_err(|error| tracing::error!(%error, "something could not be written as JSON")).ok()
}
