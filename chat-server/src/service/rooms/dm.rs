//! Direct messages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Rooms;
use super::access::no_such_room;
use super::events::member_joined;
use super::fields::{INFO, member_field, to_json};
use super::invite::no_such_person;
use super::user_index::Doing;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::position::Offset;
use crate::domain::room::{Info, Kind, Member, Role};
use crate::domain::user::User;
use crate::service::actor::Actor;
use crate::service::identity::profile;
use crate::store::{Commit, Committed, Notice, Topic};

impl Rooms {
    /// Opens the direct message between two people: the same room whoever opens it. The offset is
    /// that of the last joining if the room was just made; then the sockets of both are told.
    ///
    /// # Errors
    /// `bad_request` with oneself, `not_found` for an unknown person.
    pub async fn open_dm(&self, actor: &Actor, other: &UserId) -> Result<(RoomId, Option<Offset>), Refusal> {
        let by = &*actor.user;
        let other = profile(&*self.fields, other).await?.ok_or_else(no_such_person)?;
        if by.id == other.id {
            return Err(Refusal::new(Code::BadRequest, "a direct message needs somebody else"));
        }
        let room = dm_id(&by.id, &other.id)?;
        if let Some(access) = self.try_access(by, &room).await?
            && access.member.is_some()
        {
            return Ok((room, None));
        }
        let mut between = [by.clone(), other.clone()];
        between.sort_by(|a, b| a.id.cmp(&b.id));
        self.index(&by.id, &room, Doing::Own).await?;
        self.index(&other.id, &room, Doing::Others).await?;
        let info =
            Info { name: String::new(), kind: Kind::Dm, topic: String::new(), archived: false, between: Some(between) };
        let member = |user: &User| to_json(&Member { user: user.clone(), role: Role::Member });
        let commit = Commit {
            expect: vec![(INFO.to_owned(), None)],
            set: vec![
                (INFO.to_owned(), Some(to_json(&info)?)),
                (member_field(&by.id), Some(member(by)?)),
                (member_field(&other.id), Some(member(&other)?)),
            ],
            append: Some(member_joined(by, by, Role::Member)?),
            ttl_ms: None,
        };
        let Committed::Done { entry } = self.log.commit(&Topic::room(&room), commit).await? else {
            // The other one opened it at the same moment.
            return Ok((room, None));
        };
        for user in [by, &other] {
            self.marks.mark_read(&Topic::room(&room), &user.id, 0).await?;
        }
        let made = entry.map(|(position, _)| position.offset);
        if let Some(offset) = made {
            self.notify_own_sockets(actor, &room, offset).await;
            self.notify(&other.id, &Notice::Added { room: room.clone(), offset, by_socket: None }).await;
        }
        Ok((room, made))
    }
}

/// The room of two people, found without asking anyone.
fn dm_id(a: &UserId, b: &UserId) -> Result<RoomId, Refusal> {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    // Ids hold no space, so that no two pairs give the same text.
    let digest = Sha256::digest(format!("{low} {high}"));
    RoomId::parse(&format!("d{}", URL_SAFE_NO_PAD.encode(&digest[..18]))).map_err(|_| no_such_room())
}
