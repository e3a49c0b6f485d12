//! The rooms as a person sees them.

use futures_util::future::try_join_all;

use super::Rooms;
use super::access::{Access, access_from};
use super::fields::{INFO, MEMBER, member_field};
use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::domain::room::View;
use crate::domain::user::User;
use crate::store::{StoreError, Topic};

impl Rooms {
    /// The rooms that a person is in, the lobby not among them.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_user(&self, user: &UserId) -> Result<Vec<(RoomId, Access)>, StoreError> {
        let rooms = self.indexed(user).await?;
        let found = self.accesses(user, &rooms).await?;
        let with_access = rooms.into_iter().zip(found);
        Ok(with_access.filter_map(|(room, access)| Some((room, access.filter(|a| a.member.is_some())?))).collect())
    }

    /// The rooms that a person may be in: the lobby, and those that [`Rooms::membership`] finds, or one more.
    ///
    /// # Errors
    /// The store's.
    pub async fn candidates(&self, user: &UserId) -> Result<Vec<RoomId>, StoreError> {
        let mut rooms = self.indexed(user).await?;
        rooms.insert(0, RoomId::lobby());
        Ok(rooms)
    }

    /// What the person is in each of these rooms and how many messages of others are unread there; `None` for a room that
    /// the person is not in.
    ///
    /// # Errors
    /// The store's.
    pub async fn membership(&self, user: &User, rooms: &[RoomId]) -> Result<Vec<Option<(Access, u64)>>, StoreError> {
        let topics: Vec<Topic> = rooms.iter().map(Topic::room).collect();
        let seen = self.marks.seen(&topics, &user.id, &[INFO.to_owned(), member_field(&user.id)]).await?;
        let each = rooms.iter().zip(seen).map(|(room, seen)| {
            let access = if room.is_lobby() { Some(Access::lobby(user)) } else { access_from(seen.values)? };
            Ok(access.filter(|access| access.member.is_some()).map(|access| (access, seen.unread)))
        });
        each.collect()
    }

    /// The rooms as the person sees them.
    ///
    /// # Errors
    /// `unavailable`.
    pub(super) async fn views(&self, user: &UserId, rooms: &[(RoomId, Access)]) -> Result<Vec<View>, Refusal> {
        try_join_all(rooms.iter().map(|(room, access)| self.view(user, room, access))).await
    }

    /// The room as the person sees it.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn view(&self, user: &UserId, room: &RoomId, access: &Access) -> Result<View, Refusal> {
        let members = if room.is_lobby() {
            self.presence.online_count().await?
        } else {
            self.fields.count(&Topic::room(room), MEMBER).await?
        };
        Ok(View { about: access.described(user, room), members })
    }
}
