//! A session: who is behind one resume token, and what its owner is told of it.

use serde::{Deserialize, Serialize};

use super::id::SessionId;
use super::position::Millis;

/// A guest and a session are forgotten this long after their last socket: 30 days.
pub const SESSION_TTL_MS: Millis = 30 * 24 * 3_600_000;

/// Why a session was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RevokeReason {
    /// Its user asked for it: a sign-out.
    Requested,
    /// A resume token was used again after a newer one had replaced it: somebody may have copied it.
    TokenReused,
    /// The user has more sessions than one may have, and this one was not used for the longest time.
    TooMany,
}

/// A session, as its user is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SessionView {
    /// Its id, by which it is revoked. Not a secret.
    pub session: SessionId,
    /// When it began.
    pub since: Millis,
    /// When it was last used, to the hour; up to seven hours ago while a socket is open.
    pub last_seen: Millis,
    /// Whether it is the one that asks.
    pub current: bool,
    /// What the client called itself.
    pub client: String,
}
