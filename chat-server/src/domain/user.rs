//! Who someone is.

use serde::{Deserialize, Serialize};

use super::id::{Name, UserId};

/// A person, as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct User {
    /// Theirs for as long as they are known.
    pub id: UserId,
    /// What they call themselves; not unique.
    pub name: Name,
    /// Known only by a resume token, and forgotten some time after the last socket.
    pub guest: bool,
}

/// Whom a person lets add them to rooms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Invites {
    /// Everyone.
    #[default]
    All,
    /// Those who share a room other than the lobby with them, or to whom they wrote.
    Known,
    /// Nobody: everyone's invitation waits until it is accepted.
    None,
}

/// Whether someone is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A socket of theirs is open on some node.
    Online,
    /// None is.
    Offline,
}
