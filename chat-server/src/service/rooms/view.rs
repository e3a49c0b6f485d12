//! The rooms as a person sees them.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Rooms;
use super::access::{Access, access_from};
use super::fields::{INFO, MEMBER, member_field};
use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::domain::room::View;
use crate::store::{StoreError, Topic};

/// Rooms of a person that are looked up at a time.
const AT_ONCE: usize = 16;

impl Rooms {
    /// The rooms that a person is in, the lobby not among them.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_user(&self, user: &UserId) -> Result<Vec<(RoomId, Access)>, StoreError> {
        let ids = self.indexed(user).await?;
        let checked = stream::iter(ids).map(|room| async move {
            let names = [INFO.to_owned(), member_field(user)];
            let access = access_from(self.fields.fields(&Topic::room(&room), &names).await?.values)?;
            Ok(access.filter(|access| access.member.is_some()).map(|access| (room, access)))
        });
        checked.buffered(AT_ONCE).try_filter_map(|found: Option<_>| async { Ok(found) }).try_collect().await
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
