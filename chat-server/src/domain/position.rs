//! Where in a room's log one is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970, of the broker's clock.
pub type Millis = u64;

/// The place of an entry in a room's log: 1 for the first, 0 for "before the first".
pub type Offset = u64;

/// Which life of a log an offset belongs to. A log that was lost and begun anew has another
/// epoch, so that an old offset is never taken for a new one. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Epoch(std::sync::Arc<str>);

impl Epoch {
    /// Wraps an epoch as it is stored.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The epoch as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything up to and with `offset`, in the life `epoch` of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The life of the log.
    pub epoch: Epoch,
    /// The last offset one has.
    pub offset: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}
