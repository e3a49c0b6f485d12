//! The fields of a room's topic, and those of a person's that name rooms: how each is called and what it holds.

use serde::{Deserialize, Serialize};

use crate::domain::id::UserId;
use crate::store::StoreError;

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

pub(crate) fn member_field(user: &UserId) -> String {
    format!("{MEMBER}{user}")
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(crate) fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}
