//! Becoming a member of a room.

use super::Rooms;
use super::access::Access;
use super::events::member_joined;
use super::fields::{member_field, to_json, while_empty};
use super::user_index::Doing;
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::position::{Offset, Position};
use crate::domain::room::{Member, Role};
use crate::domain::user::User;
use crate::service::actor::Actor;
use crate::store::Commit;

/// A membership that now is.
pub struct Joined {
    /// The room to the new member.
    pub access: Access,
    /// The offset of the entry that tells of it; `None` if nothing changed.
    pub entered: Option<Offset>,
}

impl Rooms {
    /// Joins a public room, or finds that one is in the room already.
    ///
    /// # Errors
    /// `not_found` for a hidden room.
    pub async fn join(&self, actor: &Actor, room: &RoomId) -> Result<Joined, Refusal> {
        let user = &*actor.user;
        let access = self.access(user, room).await?;
        access.standing(room).may_join()?;
        if access.member.is_some() {
            return Ok(Joined { access, entered: None });
        }
        self.index(&user.id, room, Doing::Own).await?;
        let (_, entered) = self
            .change(user, room, Some(access), |access| {
                access.standing(room).may_join()?;
                admission(user, user, access, Vec::new())
            })
            .await?;
        let joined = self.joined(user, room, entered).await?;
        self.notify_joined(actor, room, &joined).await;
        Ok(joined)
    }

    /// What follows a joining, however it came about.
    pub(super) async fn joined(
        &self,
        user: &User,
        room: &RoomId,
        entered: Option<Position>,
    ) -> Result<Joined, Refusal> {
        let access = self.access(user, room).await?;
        Ok(Joined { access, entered: entered.map(|position| position.offset) })
    }

    pub(super) async fn notify_joined(&self, actor: &Actor, room: &RoomId, joined: &Joined) {
        if let Some(offset) = joined.entered {
            self.notify_own_sockets(actor, room, offset).await;
        }
    }
}

/// What makes `guest` a member of a room, and sets `set` with it; `None` if that is so already.
pub(super) fn admission(
    by: &User,
    guest: &User,
    there: &Access,
    mut set: Vec<(String, Option<String>)>,
) -> Result<Option<Commit>, Refusal> {
    if there.member.is_some() {
        return Ok(None);
    }
    let member = Member::new(guest.clone(), Role::Member);
    set.push((member_field(&guest.id), Some(to_json(&member)?)));
    let append = member_joined(by, guest, Role::Member)?;
    let ttl_while_empty = Some(while_empty(&there.info));
    // One joins having read everything.
    Ok(Some(Commit {
        set,
        append: Some(append),
        read_by: vec![guest.id.clone()],
        ttl_while_empty,
        ..Commit::default()
    }))
}
