//! The list of a person's rooms: written before a membership and removed after it.

use super::Rooms;
use super::fields::{ROOM, room_field};
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::limits::MAX_ROOMS_PER_USER;
use crate::store::{Commit, StoreError, Topic};

impl Rooms {
    /// The rooms that the list names. It may name one too many, never one too few: the room itself decides.
    pub(super) async fn indexed(&self, user: &UserId) -> Result<Vec<RoomId>, StoreError> {
        let listed = self.fields.list(&Topic::User(user.clone()), ROOM, None, MAX_ROOMS_PER_USER).await?;
        Ok(listed.into_iter().filter_map(|(field, _)| RoomId::parse(field.strip_prefix(ROOM)?).ok()).collect())
    }

    /// Notes that the person is about to be in a room.
    ///
    /// # Errors
    /// `forbidden` over the number of rooms a person can be in.
    pub(super) async fn index(&self, user: &UserId, room: &RoomId) -> Result<(), Refusal> {
        let topic = Topic::User(user.clone());
        let field = room_field(room);
        if self.fields.count(&topic, ROOM).await? >= MAX_ROOMS_PER_USER as u64 {
            let known = self.fields.fields(&topic, std::slice::from_ref(&field)).await?;
            if known.values.into_iter().flatten().next().is_none() {
                return Err(Refusal::new(Code::Forbidden, format!("at most {MAX_ROOMS_PER_USER} rooms a person")));
            }
        }
        let commit = Commit { set: vec![(field, Some(String::new()))], ..Commit::default() };
        self.log.commit(&topic, commit).await?;
        Ok(())
    }

    /// Notes that the person is no longer in a room.
    pub(super) async fn unindex(&self, user: &UserId, room: &RoomId) -> Result<(), Refusal> {
        let commit = Commit { set: vec![(room_field(room), None)], ..Commit::default() };
        self.log.commit(&Topic::User(user.clone()), commit).await?;
        Ok(())
    }
}
