//! Leaving a room.

use super::Rooms;
use super::events::member_left;
use super::fields::member_field;
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::service::actor::Actor;
use crate::store::Commit;

impl Rooms {
    /// Leaves a room, with all one's sockets.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_leave`].
    pub async fn leave(&self, actor: &Actor, room: &RoomId) -> Result<(), Refusal> {
        let user = &*actor.user;
        self.change(user, room, |access| {
            access.standing(room).may_leave()?;
            Ok(Some(Commit {
                set: vec![(member_field(&user.id), None)],
                append: Some(member_left(user)?),
                ..Commit::default()
            }))
        })
        .await?;
        self.unindex(&user.id, room).await
    }
}
