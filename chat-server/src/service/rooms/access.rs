//! What a room is to a person, with the very field values that say so.

use super::Rooms;
use super::fields::{INFO, from_json, member_field};
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::permission::Standing;
use crate::domain::position::{Offset, Position};
use crate::domain::room::{Described, Info, Member, Membership, Role};
use crate::domain::user::User;
use crate::store::{StoreError, Topic};

/// A room as it stands to one person.
#[derive(Debug, Clone)]
pub struct Access {
    /// What the room is.
    pub info: Info,
    /// The person's membership. Everyone is a member of the lobby.
    pub member: Option<Member>,
    info_field: Option<String>,
    member_field: Option<String>,
}

impl Access {
    /// What anyone is to the lobby.
    #[must_use]
    pub fn lobby(user: &User) -> Self {
        let member = Member::new(user.clone(), Role::Member);
        Self { info: Info::lobby(), member: Some(member), info_field: None, member_field: None }
    }

    /// What the person is to the room.
    #[must_use]
    pub fn standing(&self, room: &RoomId) -> Standing {
        let blocked = self.member.as_ref().is_some_and(|member| member.blocked);
        let (lobby, role) = (room.is_lobby(), self.role());
        Standing { kind: self.info.kind, lobby, role, archived: self.info.archived, blocked }
    }

    /// The person's role; `None` for one who is not a member.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.member.as_ref().map(|member| member.role)
    }

    /// The room, as the person is told of it.
    #[must_use]
    pub fn described(&self, user: &UserId, room: &RoomId) -> Described {
        self.info.described(user, room, self.role())
    }

    /// The room, as a socket of the person is told of it: from `position` on it receives the room.
    #[must_use]
    pub fn membership(&self, user: &UserId, room: &RoomId, position: Position, unread: u64) -> Membership {
        let request = self.member.as_ref().is_some_and(|member| member.request);
        let hidden = self.hides(position.offset);
        Membership { about: self.described(user, room), position, unread, forked_at: None, request, hidden }
    }

    /// Whether the person closed the room, and `top` was its newest entry then.
    #[must_use]
    pub fn hides(&self, top: Offset) -> bool {
        self.member.as_ref().is_some_and(|member| member.hides(top))
    }

    /// What must still be so for the rights to hold.
    pub(crate) fn unchanged(&self, room: &RoomId, user: &UserId) -> Vec<(String, Option<String>)> {
        if room.is_lobby() {
            return Vec::new();
        }
        vec![(INFO.to_owned(), self.info_field.clone()), (member_field(user), self.member_field.clone())]
    }
}

impl Rooms {
    /// How a room stands to a person.
    ///
    /// # Errors
    /// `not_found` if there is no such room. Whether the person may see it is the caller's to
    /// ask, of [`Access::standing`].
    pub async fn access(&self, user: &User, room: &RoomId) -> Result<Access, Refusal> {
        self.try_access(user, room).await?.ok_or_else(no_such_room)
    }

    /// How a room stands to a person; `None` if there is no such room.
    ///
    /// # Errors
    /// The store's.
    pub async fn try_access(&self, user: &User, room: &RoomId) -> Result<Option<Access>, StoreError> {
        if room.is_lobby() {
            return Ok(Some(Access::lobby(user)));
        }
        Ok(self.accesses(&user.id, std::slice::from_ref(room)).await?.pop().flatten())
    }

    /// How rooms other than the lobby stand to a person, each as [`Rooms::try_access`].
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn accesses(&self, user: &UserId, rooms: &[RoomId]) -> Result<Vec<Option<Access>>, StoreError> {
        let topics: Vec<Topic> = rooms.iter().map(Topic::room).collect();
        let found = self.fields.values(&topics, &[INFO.to_owned(), member_field(user)]).await?;
        found.into_iter().map(access_from).collect()
    }
}

/// What the values of the fields of [`Access::unchanged`] say; `None` if there is no such room.
pub(crate) fn access_from(values: Vec<Option<String>>) -> Result<Option<Access>, StoreError> {
    let mut values = values.into_iter();
    let (info_field, member_field) = (values.next().flatten(), values.next().flatten());
    let Some(text) = &info_field else { return Ok(None) };
    let info = from_json(text)?;
    let member = member_field.as_deref().map(from_json).transpose()?;
    Ok(Some(Access { info, member, info_field, member_field }))
}

pub(crate) fn no_such_room() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such room")
}
