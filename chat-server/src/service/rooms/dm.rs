//! Direct messages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Rooms;
use super::access::{Access, no_such_room};
use super::events::member_joined;
use super::fields::{INFO, member_field, to_json};
use super::user_index::Doing;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::position::Offset;
use crate::domain::room::{Info, Kind, Member, Role};
use crate::domain::user::User;
use crate::service::actor::Actor;
use crate::store::{Commit, Committed, Notice, Topic};

impl Rooms {
    /// Opens the direct message between two people: the same room whoever opens it. The offset is
    /// that of the last joining if the room was just made; then the sockets of both are told. With a stranger it is a
    /// request, until the other writes in it or accepts it.
    ///
    /// # Errors
    /// `bad_request` with oneself, `not_found` for an unknown person, `forbidden` if one has blocked the other.
    pub async fn open_dm(&self, actor: &Actor, other: &UserId) -> Result<(RoomId, Option<Offset>), Refusal> {
        let by = &*actor.user;
        if by.id == *other {
            return Err(Refusal::new(Code::BadRequest, "a direct message needs somebody else"));
        }
        let other = self.kept_person(other).await?;
        let room = dm_id(&by.id, &other.id)?;
        if let Some(access) = self.try_access(by, &room).await?
            && let Some(member) = &access.member
        {
            if member.closed_at.is_some() {
                self.set_own(actor, &room, |member| member.closed_at = None).await?;
            }
            // Other requests may have taken its place in the list.
            if !self.is_indexed(&other.id, &room).await? {
                self.relation(&other.id, &by.id).await?.may_reach()?;
                self.index(&other.id, &room, Doing::Stranger).await?;
            }
            return Ok((room, None));
        }
        self.relation(&other.id, &by.id).await?.may_reach()?;
        if self.relation(&by.id, &other.id).await?.may_reach().is_err() {
            return Err(Refusal::new(Code::Forbidden, "you have blocked this person; end that first"));
        }
        self.received.count(&other.id)?;
        self.index(&by.id, &room, Doing::Own).await?;
        let request = self.index_opened(by, &other, &room).await?;
        let made = self.create_dm(by, &other, &room, request).await?;
        if let Some(offset) = made {
            self.notify_own_sockets(actor, &room, offset).await;
            self.notify(&other.id, &Notice::Added { room: room.clone(), offset, by_socket: None }).await;
            // Who was blocked while it was made is blocked in it.
            if self.relation(&other.id, &by.id).await?.may_reach().is_err() {
                self.set_blocked(by, &room, true).await?;
            }
        }
        Ok((room, made))
    }

    /// Puts a new direct message into the other one's list. Answers whether it is a stranger's request there.
    async fn index_opened(&self, by: &User, other: &User, room: &RoomId) -> Result<bool, Refusal> {
        if self.knows(&other.id, &by.id).await? {
            match self.index(&other.id, room, Doing::Others).await {
                Err(refusal) if refusal.code == Code::Forbidden => {}
                indexed => return indexed.map(|()| false),
            }
        }
        self.index(&other.id, room, Doing::Stranger).await?;
        Ok(true)
    }

    async fn create_dm(
        &self,
        by: &User,
        other: &User,
        room: &RoomId,
        request: bool,
    ) -> Result<Option<Offset>, Refusal> {
        let mut between = [by.clone(), other.clone()];
        between.sort_by(|a, b| a.id.cmp(&b.id));
        let info =
            Info { name: String::new(), kind: Kind::Dm, topic: String::new(), archived: false, between: Some(between) };
        let opener = Member::new(by.clone(), Role::Member);
        let asked = Member { request, ..Member::new(other.clone(), Role::Member) };
        let commit = Commit {
            expect: vec![(INFO.to_owned(), None)],
            set: vec![
                (INFO.to_owned(), Some(to_json(&info)?)),
                (member_field(&by.id), Some(to_json(&opener)?)),
                (member_field(&other.id), Some(to_json(&asked)?)),
            ],
            append: Some(member_joined(by, by, Role::Member)?),
            read_by: vec![by.id.clone(), other.id.clone()],
            ..Commit::default()
        };
        let Committed::Done { entry } = self.log.commit(&Topic::room(room), commit).await? else {
            // The other one opened it at the same moment.
            return Ok(None);
        };
        Ok(entry.map(|(position, _)| position.offset))
    }

    /// Hides a direct message from one's list until something is said in it, and marks it as read.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_close`].
    pub async fn close_dm(&self, actor: &Actor, room: &RoomId) -> Result<(), Refusal> {
        let user = &*actor.user;
        self.access(user, room).await?.standing(room).may_close()?;
        let tops = self.log.tops(&[Topic::room(room)]).await?;
        let top = tops.into_iter().next().flatten().ok_or_else(unreachable_room)?.offset;
        self.marks.mark_read(&Topic::room(room), &user.id, top).await?;
        self.set_own(actor, room, |member| member.closed_at = Some(top)).await
    }

    /// Makes a stranger's request a direct message like others.
    ///
    /// # Errors
    /// As for writing there.
    pub(crate) async fn accept_request(&self, actor: &Actor, room: &RoomId) -> Result<(), Refusal> {
        match self.index_accepted(&actor.user.id, room).await {
            // It stays among the requests, where it may have to make room.
            Err(refusal) if refusal.code == Code::Forbidden => {}
            indexed => indexed?,
        }
        // One that was closed before is open again.
        let accept = |member: &mut Member| (member.request, member.closed_at) = (false, None);
        self.set_own(actor, room, accept).await
    }

    /// Changes what a direct message is to the actor, and tells the actor's other sockets.
    async fn set_own(&self, actor: &Actor, room: &RoomId, set: impl Fn(&mut Member)) -> Result<(), Refusal> {
        let user = &*actor.user;
        let (before, _) = self.change(user, room, None, |access| changed(access, &set)).await?;
        if let Some(mut member) = before.member {
            set(&mut member);
            let (request, hidden) = (member.request, member.closed_at.is_some());
            self.notify(&user.id, &Notice::Settings { room: room.clone(), request, hidden, by_socket: actor.socket() })
                .await;
        }
        Ok(())
    }

    /// Notes in a direct message whether the other one takes messages of `user`; nothing if there is none.
    pub(super) async fn set_blocked(&self, user: &User, room: &RoomId, on: bool) -> Result<(), Refusal> {
        match self.change(user, room, None, |access| changed(access, &|member: &mut Member| member.blocked = on)).await
        {
            Err(refusal) if refusal.code == Code::NotFound => Ok(()),
            done => done.map(drop),
        }
    }
}

/// The commit that sets the person's own membership so; `None` if it is so already.
fn changed(access: &Access, set: &impl Fn(&mut Member)) -> Result<Option<Commit>, Refusal> {
    let Some(member) = &access.member else { return Ok(None) };
    let mut wanted = member.clone();
    set(&mut wanted);
    if wanted == *member {
        return Ok(None);
    }
    let set = vec![(member_field(&member.user.id), Some(to_json(&wanted)?))];
    Ok(Some(Commit { set, ..Commit::default() }))
}

fn unreachable_room() -> Refusal {
    Refusal::new(Code::Unavailable, "the room can't be reached; send the same request again")
}

/// The room of two people, found without asking anyone.
pub(super) fn dm_id(a: &UserId, b: &UserId) -> Result<RoomId, Refusal> {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    // Ids hold no space, so that no two pairs give the same text.
    let digest = Sha256::digest(format!("{low} {high}"));
    RoomId::parse(&format!("d{}", URL_SAFE_NO_PAD.encode(&digest[..18]))).map_err(|_| no_such_room())
}
