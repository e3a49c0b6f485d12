//! Who is in a room.

use super::Rooms;
use super::fields::{MEMBER, from_json, member_field};
use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::domain::room::Member;
use crate::service::actor::Actor;
use crate::store::Topic;

impl Rooms {
    /// A page of a room's members, by id, and where the next begins.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_read`].
    pub async fn members(
        &self,
        actor: &Actor,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<(Vec<Member>, Option<UserId>), Refusal> {
        self.access(&actor.user, room).await?.standing(room).may_read()?;
        let after = after.map(member_field);
        let page = self.fields.list(&Topic::room(room), MEMBER, after.as_deref(), limit).await?;
        let full = page.len() == limit;
        let members = page.iter().map(|(_, value)| from_json(value)).collect::<Result<Vec<Member>, _>>()?;
        let next = members.last().filter(|_| full).map(|member| member.user.id.clone());
        Ok((members, next))
    }
}
