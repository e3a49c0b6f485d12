//! Letting others into a room: a person, or whoever has a link.

use super::Rooms;
use super::access::Access;
use super::fields::{INVITE, from_json, to_json};
use super::invites::within_role;
use super::join::{Joined, admission};
use super::retry::Attempts;
use super::user_index::Doing;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::limits::{Limit, MAX_INVITE_SECONDS, MAX_INVITE_USES, MAX_INVITES};
use crate::domain::position::Millis;
use crate::domain::room::Invite;
use crate::domain::user::{Invites, User};
use crate::service::actor::Actor;
use crate::service::identity::new_id;
use crate::store::{Commit, Committed, Notice, Topic};

impl Rooms {
    /// Adds a person to a room, and tells the person's sockets. Whom the person does not let add them asks: then the
    /// person is invited. Answers whether the person is in the room now.
    ///
    /// # Errors
    /// As for writing there; `not_found` for an unknown person, `forbidden` if the person has blocked the actor,
    /// `rate_limited` where others invite the person too often.
    pub async fn invite_person(&self, actor: &Actor, room: &RoomId, guest: &UserId) -> Result<bool, Refusal> {
        let by = &*actor.user;
        let host = self.access(by, room).await?;
        host.standing(room).may_invite()?;
        let guest = self.kept_person(guest).await?;
        let relation = self.relation(&guest.id, &by.id).await?;
        relation.may_reach()?;
        if self.access(&guest, room).await?.member.is_some() {
            return Ok(true);
        }
        self.received.count(&guest.id)?;
        let lets_add = match relation.invites {
            Invites::All => true,
            Invites::Known => self.knows(&guest.id, &by.id).await?,
            Invites::None => false,
        };
        let indexed = if lets_add { self.index(&guest.id, room, Doing::Others).await } else { Err(asks()) };
        match indexed {
            Ok(()) => self.add(by, host, &guest, room).await.map(|()| true),
            // Too many have added the person: it is not for them to use up what others may.
            Err(refusal) if refusal.code == Code::Forbidden => {
                self.ask_into(by, &guest.id, room, &host).await.map(|()| false)
            }
            Err(refusal) => Err(refusal),
        }
    }

    async fn add(&self, by: &User, host: Access, guest: &User, room: &RoomId) -> Result<(), Refusal> {
        let (mut known, mut attempts) = (Some(host), Attempts::default());
        let joined = loop {
            attempts.another()?;
            let host = match known.take() {
                Some(access) => access,
                None => self.access(by, room).await?,
            };
            host.standing(room).may_invite()?;
            let there = self.access(guest, room).await?;
            // One who is in already was told before.
            let Some(mut commit) = admission(by, guest, &there, Vec::new())? else { return Ok(()) };
            commit.expect.extend(there.unchanged(room, &guest.id));
            commit.expect.extend(host.unchanged(room, &by.id));
            if let Committed::Done { entry } = self.log.commit(&Topic::room(room), commit).await? {
                break self.joined(guest, room, entry.map(|(position, _)| position)).await?;
            }
        };
        if let Some(offset) = joined.entered {
            self.notify(&guest.id, &Notice::Added { room: room.clone(), offset, by_socket: None }).await;
        }
        Ok(())
    }

    /// Makes a link that lets in `uses` people within `seconds`.
    ///
    /// # Errors
    /// As for writing there; `bad_request` outside of the limits; `forbidden` when the room has too many links.
    pub async fn invite_link(&self, actor: &Actor, room: &RoomId, uses: u32, seconds: u64) -> Result<String, Refusal> {
        let outside = |what: &str, most: u64| Refusal::new(Code::BadRequest, format!("{what} must be 1 to {most}"));
        if !(1..=MAX_INVITE_USES).contains(&uses) {
            return Err(outside("uses", MAX_INVITE_USES.into()));
        }
        if !(1..=MAX_INVITE_SECONDS).contains(&seconds) {
            return Err(outside("expiresInSeconds", MAX_INVITE_SECONDS));
        }
        let by = &*actor.user;
        let access = self.access(by, room).await?;
        let standing = access.standing(room);
        standing.may_invite()?;
        within_role(standing, uses, seconds)?;
        let now = self.drop_dead_invites(room).await?;
        if self.fields.count(&Topic::room(room), INVITE).await? >= MAX_INVITES as u64 {
            let what = format!("a room has at most {MAX_INVITES} open invites");
            return Err(Refusal::new(Code::Forbidden, what).at(Limit::Invites));
        }
        let secret = new_id("")?;
        let invite = to_json(&Invite { uses, expires_at: now.saturating_add(seconds * 1000), by: Some(by.clone()) })?;
        self.change(by, room, Some(access), |access| {
            access.standing(room).may_invite()?;
            within_role(access.standing(room), uses, seconds)?;
            Ok(Some(Commit { set: vec![(format!("{INVITE}{secret}"), Some(invite.clone()))], ..Commit::default() }))
        })
        .await?;
        Ok(format!("{room}.{secret}"))
    }

    /// Removes links that let in nobody any more. Returns the store's time.
    async fn drop_dead_invites(&self, room: &RoomId) -> Result<Millis, Refusal> {
        let topic = Topic::room(room);
        let now = self.fields.fields(&topic, &[]).await?.now;
        let invites = self.fields.list(&topic, INVITE, None, MAX_INVITES).await?;
        for (field, value) in invites {
            if from_json::<Invite>(&value)?.used(now).is_none() {
                let commit = Commit {
                    expect: vec![(field.clone(), Some(value))],
                    set: vec![(field, None)],
                    ..Commit::default()
                };
                self.log.commit(&topic, commit).await?;
            }
        }
        Ok(now)
    }

    /// Enters a room by a link. Uses are counted exactly, whatever node they come from.
    ///
    /// # Errors
    /// `not_found` for a link that is unknown, spent or expired.
    pub async fn accept(&self, actor: &Actor, link: &str) -> Result<(RoomId, Joined), Refusal> {
        let gone = || Refusal::new(Code::NotFound, "the invite is unknown, spent or expired");
        let user = &*actor.user;
        let (room, secret) = link.rsplit_once('.').ok_or_else(gone)?;
        let room = RoomId::parse(room).map_err(|_| gone())?;
        if secret.is_empty() || secret.len() > 64 {
            return Err(gone());
        }
        let field = format!("{INVITE}{secret}");
        let (mut indexed, mut attempts) = (false, Attempts::default());
        let joined = loop {
            attempts.another()?;
            let there = match self.access(user, &room).await {
                Err(refusal) if refusal.code == Code::NotFound => return Err(gone()),
                other => other?,
            };
            let found = self.fields.fields(&Topic::room(&room), std::slice::from_ref(&field)).await?;
            let text = found.values.into_iter().next().flatten().ok_or_else(gone)?;
            let used = from_json::<Invite>(&text)?.used(found.now).ok_or_else(gone)?;
            if !std::mem::replace(&mut indexed, true) && there.member.is_none() {
                self.index(&user.id, &room, Doing::Own).await?;
            }
            let left = if used.uses == 0 { None } else { Some(to_json(&used)?) };
            // Who is in already takes no use away.
            let Some(mut commit) = admission(user, user, &there, vec![(field.clone(), left)])? else {
                return Ok((room, Joined { access: there, entered: None }));
            };
            commit.expect.extend(there.unchanged(&room, &user.id));
            commit.expect.push((field.clone(), Some(text)));
            if let Committed::Done { entry } = self.log.commit(&Topic::room(&room), commit).await? {
                break self.joined(user, &room, entry.map(|(position, _)| position)).await?;
            }
        };
        self.notify_joined(actor, &room, &joined).await;
        Ok((room, joined))
    }
}

fn asks() -> Refusal {
    Refusal::new(Code::Forbidden, "the person is asked first")
}
