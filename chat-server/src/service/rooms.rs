//! What people do with rooms, a file a use case. Each checks the rights, makes one [`Commit`] and says what came of it;
//! the events reach everyone through the bus.
//!
//! A room is a topic. [`fields`] names its fields; [`access`] says what they mean to a person. A commit expects the fields
//! that its check read, so that a right that was taken meanwhile is not used.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::domain::position::Offset;
use crate::domain::room::{Info, View};
use crate::service::actor::Actor;
use crate::store::{
    Bus, Commit, FieldStore, LogStore, Notice, PresenceStore, ReadMarks, Signal, StoreError, Stores, Topic,
};
use access::{Access, access_from};
use fields::{INFO, MEMBER, member_field, to_json};

pub mod access;
mod create;
mod dm;
pub(crate) mod events;
pub(crate) mod fields;
mod invite;
pub mod join;
mod leave;
mod list;
mod members;
mod names;
pub(crate) mod retry;
mod typing;
mod update;
mod user_index;

/// Rooms of a person that are looked up at a time.
const AT_ONCE: usize = 16;

/// The rooms of a cluster.
#[derive(Clone)]
pub struct Rooms {
    log: Arc<dyn LogStore>,
    fields: Arc<dyn FieldStore>,
    marks: Arc<dyn ReadMarks>,
    bus: Arc<dyn Bus>,
    presence: Arc<dyn PresenceStore>,
}

impl Rooms {
    /// The rooms that a store keeps.
    #[must_use]
    pub fn new(stores: &Stores) -> Self {
        let Stores { log, fields, marks, bus, presence, .. } = stores.clone();
        Self { log, fields, marks, bus, presence }
    }

    /// Makes sure that the lobby is there.
    ///
    /// # Errors
    /// The store's.
    pub async fn ensure_lobby(&self) -> Result<(), StoreError> {
        let commit = Commit {
            expect: vec![(INFO.to_owned(), None)],
            set: vec![(INFO.to_owned(), Some(to_json(&Info::lobby())?))],
            ..Commit::default()
        };
        self.log.commit(&Topic::room(&RoomId::lobby()), commit).await.map(drop)
    }

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

    /// Tells the sockets of a room something that passes.
    ///
    /// # Errors
    /// The store's.
    pub async fn signal(&self, room: &RoomId, signal: &Signal) -> Result<(), StoreError> {
        self.bus.signal(&Topic::room(room), to_json(signal)?).await
    }

    /// Tells all sockets of a person something. A notice that does not get through is not lost for good: a socket learns
    /// of all rooms of its person when it connects.
    pub(crate) async fn notify(&self, user: &UserId, notice: &Notice) {
        let told = async { self.bus.signal(&Topic::User(user.clone()), to_json(notice)?).await };
        if let Err(error) = told.await {
            tracing::warn!(%error, "the other sockets of a person could not be told");
        }
    }

    /// The other sockets of a person who just became a member receive the room, too.
    async fn notify_own_sockets(&self, actor: &Actor, room: &RoomId, offset: Offset) {
        let by_socket = actor.connection.map(|connection| connection.to_string());
        self.notify(&actor.user.id, &Notice::Added { room: room.clone(), offset, by_socket }).await;
    }
}
