//! Leaving a room.

use super::Rooms;
use super::events::member_left;
use super::fields::{member_field, while_empty};
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::service::actor::Actor;
use crate::store::Commit;

impl Rooms {
    /// Leaves a room, with all one's sockets; or declines an invitation to it.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_leave`].
    pub async fn leave(&self, actor: &Actor, room: &RoomId) -> Result<(), Refusal> {
        let user = &*actor.user;
        if self.decline(&user.id, room).await? {
            let access = self.try_access(user, room).await?;
            if access.is_none_or(|access| access.member.is_none()) {
                return Ok(());
            }
        }
        self.change(user, room, None, |access| {
            access.standing(room).may_leave()?;
            Ok(Some(Commit {
                set: vec![(member_field(&user.id), None)],
                append: Some(member_left(user)?),
                ttl_while_empty: Some(while_empty(&access.info)),
                ..Commit::default()
            }))
        })
        .await?;
        self.unindex(&user.id, room).await
    }
}
