//! The fields of a room's topic, and those of a person's that name rooms: how each is called and what it holds.

use serde::{Deserialize, Serialize};

use crate::domain::id::UserId;
use crate::domain::limits::{EMPTY_PRIVATE_DAYS, EMPTY_PUBLIC_DAYS};
use crate::domain::room::{Info, Kind};
use crate::store::{StoreError, TtlWhileEmpty};

/// Of a room: what it is, [`crate::domain::room::Info`].
pub(crate) const INFO: &str = "info";
/// Of a room, before the id of a person: that the person is a member, [`crate::domain::room::Member`].
pub(crate) const MEMBER: &str = "m:";
/// Of a room, before a secret: a link that lets people in, [`crate::domain::room::Invite`].
pub(crate) const INVITE: &str = "i:";
/// Of a person, before the id of a room: that the person is, or was about to be, a member.
pub(crate) const ROOM: &str = "r:";
/// The same of a room that somebody else added the person to.
pub(crate) const ADDED: &str = "a:";
/// The same of a direct message that a stranger opened and that the person has not answered. The value is the time.
pub(crate) const REQUEST: &str = "q:";
/// Of a person, before the id of a room: an invitation that waits, [`super::invitation::Waiting`].
pub(crate) const INVITED: &str = "v:";
/// Of a person, before the id of another: that the other is blocked.
pub(crate) const BLOCKED: &str = "b:";
/// Of a person: whom they let add them to rooms, [`crate::domain::user::Invites`].
pub(crate) const INVITES: &str = "invites";

/// How long a public room is kept that nobody is in: its history can be read, and whoever joins keeps it.
const EMPTY_PUBLIC_MS: u64 = EMPTY_PUBLIC_DAYS * 24 * 3_600_000;
/// How long any other is kept: nobody can read it, and only a link leads there.
const EMPTY_PRIVATE_MS: u64 = EMPTY_PRIVATE_DAYS * 24 * 3_600_000;

/// The life of a room that its last member leaves, and that ends when somebody enters it again.
pub(super) fn while_empty(info: &Info) -> TtlWhileEmpty {
    let ttl_ms = if info.kind == Kind::Public { EMPTY_PUBLIC_MS } else { EMPTY_PRIVATE_MS };
    TtlWhileEmpty { prefix: MEMBER, ttl_ms }
}

pub(crate) fn member_field(user: &UserId) -> String {
    format!("{MEMBER}{user}")
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(crate) fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}
