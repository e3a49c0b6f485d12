//! What people do with rooms, a file a use case. Each checks the rights, makes one [`Commit`] and says what came of it;
//! the events reach everyone through the bus.
//!
//! A room is a topic. [`fields`] names its fields; [`access`] says what they mean to a person. A commit expects the fields
//! that its check read, so that a right that was taken meanwhile is not used.

use std::sync::Arc;

use crate::domain::id::{RoomId, UserId};
use crate::domain::position::Offset;
use crate::domain::rate_limit::Rate;
use crate::domain::room::Info;
use crate::service::actor::Actor;
use crate::store::{
    Bus, Commit, FieldStore, LogStore, Notice, PresenceStore, ReadMarks, Signal, StoreError, Stores, Topic,
};
use fields::{INFO, to_json};
use received::Received;

pub mod access;
pub mod block;
mod create;
mod dm;
pub(crate) mod events;
pub(crate) mod fields;
mod invitation;
mod invite;
mod invites;
pub mod join;
mod leave;
mod list;
mod members;
mod names;
mod oldest;
mod people;
mod received;
mod relation;
mod restore;
pub(crate) mod retry;
mod typing;
mod update;
mod user_index;
mod view;

/// The rooms of a cluster.
#[derive(Clone)]
pub struct Rooms {
    log: Arc<dyn LogStore>,
    fields: Arc<dyn FieldStore>,
    marks: Arc<dyn ReadMarks>,
    bus: Arc<dyn Bus>,
    presence: Arc<dyn PresenceStore>,
    received: Received,
}

impl Rooms {
    /// The rooms that a store keeps.
    #[must_use]
    pub fn new(stores: &Stores) -> Self {
        let Stores { log, fields, marks, bus, presence, .. } = stores.clone();
        Self { log, fields, marks, bus, presence, received: Received::default() }
    }

    /// The same, where others do something to a person at this rate at most.
    #[must_use]
    pub fn with_received_at(self, rate: Rate) -> Self {
        Self { received: Received::at(rate), ..self }
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
        self.notify(&actor.user.id, &Notice::Added { room: room.clone(), offset, by_socket: actor.socket() }).await;
    }
}
