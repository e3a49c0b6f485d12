//! What people do in rooms. Each function checks the rights, makes one [`Commit`] and says what
//! came of it; the events reach everyone through the bus.
//!
//! A room is a topic: the field `info` says what it is, `m:USER` that someone is a member and
//! what they may do, `i:TOKEN` that a link lets people in. A commit expects the fields that its
//! check read, so that a right that was taken meanwhile is not used.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::json::Members;
use crate::domain::permission::Standing;
use crate::domain::position::Position;
use crate::domain::room::{Info, Member, Role, View};
use crate::domain::user::User;
use crate::store::{
    Append, Bus, Commit, Committed, FieldStore, LogStore, Notice, PresenceStore, ReadMarks, Signal, StoreError, Stores,
    Topic,
};

pub mod membership;

/// Most rooms one person can be in, the lobby not counted.
pub const MAX_ROOMS_PER_USER: usize = 500;
/// How often a check is repeated when somebody changed the room between check and commit.
pub(crate) const TRIES: usize = 8;
/// Requests to the broker that one user's list of rooms makes at a time.
const AT_ONCE: usize = 16;

pub(crate) const INFO: &str = "info";
const MEMBER: &str = "m:";
const ROOM: &str = "r:";

/// The rooms of a cluster.
#[derive(Clone)]
pub struct Rooms {
    pub(crate) log: Arc<dyn LogStore>,
    fields: Arc<dyn FieldStore>,
    pub(crate) marks: Arc<dyn ReadMarks>,
    bus: Arc<dyn Bus>,
    presence: Arc<dyn PresenceStore>,
}

/// A room as it stands to one person, with the very field values that say so.
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
    /// What the person is to the room.
    #[must_use]
    pub fn standing(&self, room: &RoomId) -> Standing {
        Standing { kind: self.info.kind, lobby: room.is_lobby(), role: self.member.as_ref().map(|member| member.role) }
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
    /// The rooms that a store keeps.
    #[must_use]
    pub fn new(stores: &Stores) -> Self {
        let Stores { log, fields, marks, bus, presence, .. } = stores.clone();
        Self { log, fields, marks, bus, presence }
    }

    /// Makes sure that the lobby is there.
    ///
    /// # Errors
    /// The broker's.
    pub async fn ensure_lobby(&self) -> Result<(), StoreError> {
        let commit = Commit {
            expect: vec![(INFO.to_owned(), None)],
            set: vec![(INFO.to_owned(), Some(to_json(&Info::lobby())?))],
            ..Commit::default()
        };
        self.log.commit(&Topic::room(&RoomId::lobby()), commit).await.map(drop)
    }

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
    /// The broker's.
    pub async fn try_access(&self, user: &User, room: &RoomId) -> Result<Option<Access>, StoreError> {
        if room.is_lobby() {
            let member = Member { user: user.clone(), role: Role::Member };
            let access = Access { info: Info::lobby(), member: Some(member), info_field: None, member_field: None };
            return Ok(Some(access));
        }
        let fields = self.fields.fields(&Topic::room(room), &[INFO.to_owned(), member_field(&user.id)]).await?;
        access_from(fields.values)
    }

    /// The rooms that a person is in, the lobby not among them.
    ///
    /// # Errors
    /// The broker's.
    pub async fn of_user(&self, user: &UserId) -> Result<Vec<(RoomId, Info)>, StoreError> {
        let listed = self.fields.list(&Topic::User(user.clone()), ROOM, None, MAX_ROOMS_PER_USER).await?;
        let ids = listed.into_iter().filter_map(|(field, _)| RoomId::parse(field.strip_prefix(ROOM)?).ok());
        // The list is written before the membership and removed after it, so that it may name a
        // room too many, never one too few: the room itself decides.
        let checked = stream::iter(ids).map(|room| async move {
            let names = [INFO.to_owned(), member_field(user)];
            let access = access_from(self.fields.fields(&Topic::room(&room), &names).await?.values)?;
            Ok(access.filter(|access| access.member.is_some()).map(|access| (room, access.info)))
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
        Ok(View {
            room: room.clone(),
            name: access.info.name_for(user).to_owned(),
            kind: access.info.kind,
            topic: access.info.topic.clone(),
            role: access.member.as_ref().map(|member| member.role),
            members,
        })
    }

    /// Tells the sockets of a room something that passes.
    ///
    /// # Errors
    /// The broker's.
    pub async fn signal(&self, room: &RoomId, signal: &Signal) -> Result<(), StoreError> {
        self.bus.signal(&Topic::room(room), to_json(signal)?).await
    }

    /// Tells all sockets of a person something.
    ///
    /// # Errors
    /// The broker's.
    pub async fn notify(&self, user: &UserId, notice: &Notice) -> Result<(), StoreError> {
        self.bus.signal(&Topic::User(user.clone()), to_json(notice)?).await
    }

    /// Commits what `change` makes of the room as it stands, anew if somebody changed the room
    /// in between. `None` from `change`: there is nothing to do.
    async fn commit_with<F>(&self, user: &User, room: &RoomId, change: F) -> Result<(Access, Option<Position>), Refusal>
    where
        F: Fn(&Access) -> Result<Option<Commit>, Refusal>,
    {
        for _ in 0..TRIES {
            let access = self.access(user, room).await?;
            let Some(mut commit) = change(&access)? else { return Ok((access, None)) };
            commit.expect.extend(access.unchanged(room, &user.id));
            match self.log.commit(&Topic::room(room), commit).await? {
                Committed::Done { entry } => return Ok((access, entry.map(|(position, _)| position))),
                Committed::Repeated(entry) => return Ok((access, Some(entry.position()))),
                Committed::Refused(_) => {}
            }
        }
        Err(Refusal::new(Code::Unavailable, "the room is changing too fast; try again"))
    }
}

pub(crate) fn access_from(values: Vec<Option<String>>) -> Result<Option<Access>, StoreError> {
    let mut values = values.into_iter();
    let (info_field, member_field) = (values.next().flatten(), values.next().flatten());
    let Some(text) = &info_field else { return Ok(None) };
    let info = from_json(text)?;
    let member = member_field.as_deref().map(from_json).transpose()?;
    Ok(Some(Access { info, member, info_field, member_field }))
}

fn member_field(user: &UserId) -> String {
    format!("{MEMBER}{user}")
}

fn room_field(room: &RoomId) -> String {
    format!("{ROOM}{room}")
}

pub(crate) fn no_such_room() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such room")
}

/// The entry that tells of a member who came or went.
pub(crate) fn member_event(
    event: &'static str,
    by: &User,
    user: &User,
    detail: serde_json::Value,
) -> Result<Append, StoreError> {
    let mut payload = json!({ "by": by, "user": user });
    if let (Some(payload), serde_json::Value::Object(detail)) = (payload.as_object_mut(), detail) {
        payload.extend(detail);
    }
    Ok(Append { event, by: by.id.clone(), payload: members(&payload)?, nonce: None, counted: false, trace: None })
}

/// The members of an object, for [`Append::payload`].
pub(crate) fn members<T: Serialize>(object: &T) -> Result<Members, StoreError> {
    Members::of(object).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(crate) fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(Code::Unavailable, "the store can't be reached; send the same request again")
            .because(error.to_string())
    }
}
