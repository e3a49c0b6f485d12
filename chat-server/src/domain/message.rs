//! What someone says in a room.

use serde::{Deserialize, Serialize};

use super::content::Content;
use super::id::{Nonce, RoomId};
use super::position::{Epoch, Offset};

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where.
    pub room: RoomId,
    /// The sender's idempotency key.
    pub nonce: Nonce,
    /// What.
    pub content: Content,
    /// The message that this one answers.
    pub reply_to: Option<EntryId>,
}

/// Identifies an entry of a room's log permanently: its epoch and its offset.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct EntryId {
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The place in it.
    pub offset: Offset,
}

impl EntryId {
    /// Reads `EPOCH-OFFSET`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let (epoch, offset) = text.rsplit_once('-')?;
        let offset: Offset = offset.parse().ok()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (offset > 0 && !epoch.is_empty() && epoch.bytes().all(plain)).then(|| Self { epoch: Epoch::new(epoch), offset })
    }
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

impl Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not the id of a message"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_id_reads_back_as_it_was_written() {
        let id = EntryId { epoch: Epoch::new("k3-x_9"), offset: 17 };
        assert_eq!(EntryId::parse(&id.to_string()), Some(id));
        for bad in ["", "-1", "e-0", "e-", "e", "e-x", "e\"-1"] {
            assert_eq!(EntryId::parse(bad), None, "{bad}");
        }
    }
}
