//! The list of a person's rooms: written before a membership and removed after it.
//!
//! It has two parts, each with a bound of its own: the rooms that the person created, joined or opened, and those that
//! others added the person to. So nobody can use up what a person may do.

use super::Rooms;
use super::fields::{ADDED, ROOM};
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::limits::{Limit, MAX_ROOMS_ADDED_TO, MAX_ROOMS_PER_USER};
use crate::store::{Commit, StoreError, Topic};

/// Whose doing a membership is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// The person's own.
    Own,
    /// Somebody else's.
    Others,
}

impl Doing {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Own => ROOM,
            Self::Others => ADDED,
        }
    }

    /// How many rooms a person can be in by it.
    const fn most(self) -> usize {
        match self {
            Self::Own => MAX_ROOMS_PER_USER,
            Self::Others => MAX_ROOMS_ADDED_TO,
        }
    }

    fn refusal(self) -> Refusal {
        let (whose, limit) = match self {
            Self::Own => ("you are in", Limit::Rooms),
            Self::Others => ("others have added this person to", Limit::RoomsAdded),
        };
        Refusal::new(Code::Forbidden, format!("{whose} {} rooms, which is the most", self.most())).at(limit)
    }
}

fn field(doing: Doing, room: &RoomId) -> String {
    format!("{}{room}", doing.prefix())
}

impl Rooms {
    /// The rooms that the list names. It may name one too many, never one too few: the room itself decides.
    pub(super) async fn indexed(&self, user: &UserId) -> Result<Vec<RoomId>, StoreError> {
        let topic = Topic::User(user.clone());
        let mut rooms = Vec::new();
        for doing in [Doing::Own, Doing::Others] {
            let listed = self.fields.list(&topic, doing.prefix(), None, doing.most()).await?;
            rooms.extend(
                listed.into_iter().filter_map(|(field, _)| RoomId::parse(field.strip_prefix(doing.prefix())?).ok()),
            );
        }
        rooms.sort_unstable();
        rooms.dedup();
        Ok(rooms)
    }

    /// Notes that the person is about to be in a room, by whose doing it may be.
    ///
    /// # Errors
    /// `forbidden` over the number of rooms that a person can be in by it.
    pub(super) async fn index(&self, user: &UserId, room: &RoomId, doing: Doing) -> Result<(), Refusal> {
        let topic = Topic::User(user.clone());
        let field = field(doing, room);
        if self.fields.count(&topic, doing.prefix()).await? >= doing.most() as u64 {
            let known = self.fields.fields(&topic, std::slice::from_ref(&field)).await?;
            if known.values.into_iter().flatten().next().is_none() {
                return Err(doing.refusal());
            }
        }
        let commit = Commit { set: vec![(field, Some(String::new()))], ..Commit::default() };
        self.log.commit(&topic, commit).await?;
        Ok(())
    }

    /// Notes that the person is no longer in a room.
    pub(super) async fn unindex(&self, user: &UserId, room: &RoomId) -> Result<(), Refusal> {
        let set = [Doing::Own, Doing::Others].map(|doing| (field(doing, room), None)).into();
        self.log.commit(&Topic::User(user.clone()), Commit { set, ..Commit::default() }).await?;
        Ok(())
    }
}
