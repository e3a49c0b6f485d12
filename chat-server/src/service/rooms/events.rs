//! The entries of a room's log that tell of its members and of the room itself. Nobody has to read them: they do not count
//! as unread.

use serde::Serialize;

use crate::domain::json::Members;
use crate::domain::room::{Info, Role};
use crate::domain::user::User;
use crate::store::{Append, StoreError};

/// `member:joined`.
pub(super) fn member_joined(by: &User, user: &User, role: Role) -> Result<Append, StoreError> {
    #[derive(Serialize)]
    struct Body<'a> {
        by: &'a User,
        user: &'a User,
        role: Role,
    }
    entry("member:joined", by, &Body { by, user, role })
}

/// `member:left`, of one who left by themselves.
pub(super) fn member_left(user: &User) -> Result<Append, StoreError> {
    #[derive(Serialize)]
    struct Body<'a> {
        by: &'a User,
        user: &'a User,
        reason: &'static str,
    }
    entry("member:left", user, &Body { by: user, user, reason: "left" })
}

/// `room:updated`: what the room is after the change.
pub(super) fn room_updated(by: &User, info: &Info) -> Result<Append, StoreError> {
    #[derive(Serialize)]
    struct Body<'a> {
        by: &'a User,
        name: &'a str,
        topic: &'a str,
        archived: bool,
    }
    let Info { name, topic, archived, .. } = info;
    entry("room:updated", by, &Body { by, name, topic, archived: *archived })
}

fn entry<T: Serialize>(event: &'static str, by: &User, body: &T) -> Result<Append, StoreError> {
    Ok(Append { event, by: by.id.clone(), payload: members(body)?, nonce: None, counted: false, trace: None })
}

/// The members of an object, for [`Append::payload`].
pub(crate) fn members<T: Serialize>(object: &T) -> Result<Members, StoreError> {
    Members::of(object).map_err(|error| StoreError::Corrupt(error.to_string()))
}
