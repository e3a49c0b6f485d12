//! The list of a person's rooms: written before a membership and removed after it.
//!
//! It has parts, each with a bound of its own: the rooms that the person created, joined or opened, those that others
//! added the person to, and the direct messages of strangers that wait for an answer. So nobody can use up what a person
//! may do.

use super::Rooms;
use super::fields::{ADDED, REQUEST, ROOM};
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::limits::{Limit, MAX_REQUESTS, MAX_ROOMS_ADDED_TO, MAX_ROOMS_PER_USER};
use crate::service::actor::now;
use crate::store::{Commit, Committed, FieldBound, StoreError, Topic};

/// Whose doing a membership is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// The person's own.
    Own,
    /// That of somebody whom the person knows, or lets add them.
    Others,
    /// A stranger's, who opened a direct message.
    Stranger,
}

const ALL: [Doing; 3] = [Doing::Own, Doing::Others, Doing::Stranger];

/// The parts by which a person knows those who are in the rooms. A stranger's request is none.
pub(super) const KNOWN_BY: [Doing; 2] = [Doing::Own, Doing::Others];

impl Doing {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Own => ROOM,
            Self::Others => ADDED,
            Self::Stranger => REQUEST,
        }
    }

    /// How many rooms a person can be in by it.
    const fn most(self) -> usize {
        match self {
            Self::Own => MAX_ROOMS_PER_USER,
            Self::Others => MAX_ROOMS_ADDED_TO,
            Self::Stranger => MAX_REQUESTS,
        }
    }

    /// What is said at the bound; `None` where the oldest makes room.
    fn refusal(self) -> Option<Refusal> {
        let (whose, limit) = match self {
            Self::Own => ("you are in", Limit::Rooms),
            Self::Others => ("others have added this person to", Limit::RoomsAdded),
            Self::Stranger => return None,
        };
        Some(Refusal::new(Code::Forbidden, format!("{whose} {} rooms, which is the most", self.most())).at(limit))
    }
}

fn field(doing: Doing, room: &RoomId) -> String {
    format!("{}{room}", doing.prefix())
}

/// The fields that may name a room.
pub(super) fn all_fields(room: &RoomId) -> [String; 3] {
    ALL.map(|doing| field(doing, room))
}

impl Rooms {
    /// The rooms that the list names. It may name one too many, never one too few: the room itself decides.
    pub(super) async fn indexed(&self, user: &UserId) -> Result<Vec<RoomId>, StoreError> {
        self.indexed_by(user, &ALL).await
    }

    /// The rooms that these parts of the list name, in the order of their ids.
    pub(super) async fn indexed_by(&self, user: &UserId, parts: &[Doing]) -> Result<Vec<RoomId>, StoreError> {
        let topic = Topic::User(user.clone());
        let mut rooms = Vec::new();
        for doing in parts {
            let listed = self.fields.list(&topic, doing.prefix(), None, doing.most()).await?;
            rooms.extend(
                listed.into_iter().filter_map(|(field, _)| RoomId::parse(field.strip_prefix(doing.prefix())?).ok()),
            );
        }
        rooms.sort_unstable();
        rooms.dedup();
        Ok(rooms)
    }

    /// Whether the list names a room.
    pub(super) async fn is_indexed(&self, user: &UserId, room: &RoomId) -> Result<bool, StoreError> {
        Ok(self.values_of(user, &all_fields(room)).await?.iter().any(Option::is_some))
    }

    /// Notes that the person is about to be in a room, by whose doing it may be.
    ///
    /// # Errors
    /// `forbidden` over the number of rooms that a person can be in by it. Of what strangers do, the oldest makes room.
    pub(super) async fn index(&self, user: &UserId, room: &RoomId, doing: Doing) -> Result<(), Refusal> {
        self.index_with(user, room, doing, Vec::new()).await
    }

    /// Notes that a stranger's request is one of the person's own rooms now.
    ///
    /// # Errors
    /// As [`Rooms::index`].
    pub(super) async fn index_accepted(&self, user: &UserId, room: &RoomId) -> Result<(), Refusal> {
        self.index_with(user, room, Doing::Own, vec![(field(Doing::Stranger, room), None)]).await
    }

    async fn index_with(
        &self,
        user: &UserId,
        room: &RoomId,
        doing: Doing,
        mut set: Vec<(String, Option<String>)>,
    ) -> Result<(), Refusal> {
        let topic = Topic::User(user.clone());
        let value = match doing {
            Doing::Own | Doing::Others => String::new(),
            // It only says which is the oldest.
            Doing::Stranger => now().to_string(),
        };
        set.push((field(doing, room), Some(value)));
        let bound = FieldBound { prefix: doing.prefix(), most: doing.most() };
        let Some(refusal) = doing.refusal() else {
            return self.put_over_oldest(&topic, set, bound, |at| at.parse().ok()).await;
        };
        let commit = Commit { set, bound: Some(bound), ..Commit::default() };
        if self.log.commit(&topic, commit).await? == Committed::Full { Err(refusal) } else { Ok(()) }
    }

    /// Notes that the person is no longer in a room.
    pub(super) async fn unindex(&self, user: &UserId, room: &RoomId) -> Result<(), Refusal> {
        let set = all_fields(room).map(|field| (field, None)).into();
        self.log.commit(&Topic::User(user.clone()), Commit { set, ..Commit::default() }).await?;
        Ok(())
    }
}
