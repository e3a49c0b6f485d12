//! Creating, finding, joining and leaving rooms; letting others in; direct messages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Access, INFO, MAX_ROOMS_PER_USER, MEMBER, ROOM, Rooms, TRIES};
use super::{from_json, member_event, member_field, no_such_room, room_field, to_json};
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{Name, RoomId, UserId};
use crate::domain::position::{Millis, Offset, Position};
use crate::domain::room::{Draft, Info, Invite, Kind, Member, Role, View};
use crate::domain::user::User;
use crate::service::identity::new_id;
use crate::store::{Append, Commit, Committed, Topic};

const INVITE: &str = "i:";
/// Most links of one room that let people in.
const MAX_INVITES: u64 = 1_000;
/// How long a public name waits for its room.
const CLAIM_MS: Millis = 30_000;
/// Names that one `room:list` looks at before it hands out a cursor.
const LISTED_AT_ONCE: usize = 2_000;

/// A page of rooms.
pub struct Listed {
    /// The rooms.
    pub rooms: Vec<View>,
    /// Where the next page begins, if there may be one.
    pub cursor: Option<String>,
}

/// A membership that now is.
pub struct Joined {
    /// The room to the new member.
    pub access: Access,
    /// The offset of the entry that tells of it; `None` if nothing changed.
    pub entered: Option<Offset>,
}

impl Rooms {
    /// Creates a room with its first owner.
    ///
    /// # Errors
    /// `conflict` for a public name in use, `bad_request`, `forbidden` over the number of rooms.
    pub async fn create(&self, owner: &User, draft: Draft) -> Result<(RoomId, Offset), Refusal> {
        if let Some(problem) = draft.problem() {
            return Err(Refusal::new(Code::BadRequest, problem));
        }
        let room = new_room_id()?;
        if draft.kind == Kind::Public {
            self.claim_name(&draft.name, &room).await?;
        }
        let info = Info { name: draft.name.as_str().to_owned(), kind: draft.kind, topic: draft.topic, between: None };
        self.index(&owner.id, &room).await?;
        let member = Member { user: owner.clone(), role: Role::Owner };
        let commit = Commit {
            expect: vec![(INFO.to_owned(), None)],
            set: vec![(INFO.to_owned(), Some(to_json(&info)?)), (member_field(&owner.id), Some(to_json(&member)?))],
            append: Some(member_event("member:joined", owner, owner, json!({ "role": Role::Owner }))?),
            ttl_ms: None,
        };
        match self.log.commit(&Topic::room(&room), commit).await? {
            Committed::Done { entry: Some((position, _)) } => Ok((room, position.offset)),
            _ => Err(Refusal::new(Code::Unavailable, "the room could not be created; try again")),
        }
    }

    /// A name belongs to the first room that claims it. A claim whose room never came to be (its
    /// node died in between) is taken over after [`CLAIM_MS`].
    async fn claim_name(&self, name: &Name, room: &RoomId) -> Result<(), Refusal> {
        let taken = || Refusal::new(Code::Conflict, "a public room has that name");
        let field = name.folded();
        if field == Info::lobby().name.to_lowercase() {
            return Err(taken());
        }
        let now = self.fields.fields(&Topic::Directory, &[]).await?.now;
        let mut holder = None;
        for _ in 0..TRIES {
            let claim = Commit {
                expect: vec![(field.clone(), holder)],
                set: vec![(field.clone(), Some(format!("{room} {now}")))],
                ..Commit::default()
            };
            let Committed::Refused(found) = self.log.commit(&Topic::Directory, claim).await? else {
                return Ok(());
            };
            holder = found.into_iter().next().flatten();
            if let Some((other, since)) = holder.as_deref().and_then(claim_of) {
                let info = self.fields.fields(&Topic::room(&other), &[INFO.to_owned()]).await?;
                if info.now < since + CLAIM_MS || info.values.into_iter().flatten().next().is_some() {
                    return Err(taken());
                }
            }
        }
        Err(taken())
    }

    /// Notes in the person's list that they are about to be in a room.
    async fn index(&self, user: &UserId, room: &RoomId) -> Result<(), Refusal> {
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

    async fn unindex(&self, user: &UserId, room: &RoomId) -> Result<(), Refusal> {
        let commit = Commit { set: vec![(room_field(room), None)], ..Commit::default() };
        self.log.commit(&Topic::User(user.clone()), commit).await?;
        Ok(())
    }

    /// Joins a public room, or finds that one is in the room already.
    ///
    /// # Errors
    /// `not_found` for a hidden room.
    pub async fn join(&self, user: &User, room: &RoomId) -> Result<Joined, Refusal> {
        let access = self.access(user, room).await?;
        access.standing(room).may_join()?;
        if access.member.is_some() {
            return Ok(Joined { access, entered: None });
        }
        self.index(&user.id, room).await?;
        let (_, entered) = self
            .commit_with(user, room, |access| {
                access.standing(room).may_join()?;
                admission(user, user, access, Vec::new())
            })
            .await?;
        self.joined(user, room, entered).await
    }

    async fn joined(&self, user: &User, room: &RoomId, entered: Option<Position>) -> Result<Joined, Refusal> {
        if let Some(position) = &entered {
            // One joins having read everything.
            self.marks.mark_read(&Topic::room(room), &user.id, position.offset).await?;
        }
        let access = self.access(user, room).await?;
        Ok(Joined { access, entered: entered.map(|position| position.offset) })
    }

    /// Leaves a room, with all one's sockets.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_leave`].
    pub async fn leave(&self, user: &User, room: &RoomId) -> Result<(), Refusal> {
        self.commit_with(user, room, |access| {
            access.standing(room).may_leave()?;
            Ok(Some(Commit {
                set: vec![(member_field(&user.id), None)],
                append: Some(member_event("member:left", user, user, json!({ "reason": "left" }))?),
                ..Commit::default()
            }))
        })
        .await?;
        self.unindex(&user.id, room).await
    }

    /// Adds a person to a room.
    ///
    /// # Errors
    /// As for writing there; `not_found` for an unknown person.
    pub async fn invite_person(&self, by: &User, room: &RoomId, guest: &User) -> Result<Joined, Refusal> {
        self.access(by, room).await?.standing(room).may_invite()?;
        self.index(&guest.id, room).await?;
        for _ in 0..TRIES {
            let host = self.access(by, room).await?;
            host.standing(room).may_invite()?;
            let there = self.access(guest, room).await?;
            let Some(mut commit) = admission(by, guest, &there, Vec::new())? else {
                return Ok(Joined { access: there, entered: None });
            };
            commit.expect.extend(there.unchanged(room, &guest.id));
            commit.expect.extend(host.unchanged(room, &by.id));
            if let Committed::Done { entry } = self.log.commit(&Topic::room(room), commit).await? {
                return self.joined(guest, room, entry.map(|(position, _)| position)).await;
            }
        }
        Err(Refusal::new(Code::Unavailable, "the room is changing too fast; try again"))
    }

    /// Makes a link that lets in `uses` people within `expires_in_ms`.
    ///
    /// # Errors
    /// As for writing there; `forbidden` when the room has too many links.
    pub async fn invite_link(
        &self,
        by: &User,
        room: &RoomId,
        uses: u32,
        expires_in_ms: u64,
    ) -> Result<String, Refusal> {
        self.access(by, room).await?.standing(room).may_invite()?;
        let now = self.drop_dead_invites(room).await?;
        if self.fields.count(&Topic::room(room), INVITE).await? >= MAX_INVITES {
            return Err(Refusal::new(Code::Forbidden, format!("a room has at most {MAX_INVITES} open invites")));
        }
        let secret = new_id("")?;
        let invite = to_json(&Invite { uses, expires_at: now.saturating_add(expires_in_ms) })?;
        self.commit_with(by, room, |access| {
            access.standing(room).may_invite()?;
            Ok(Some(Commit { set: vec![(format!("{INVITE}{secret}"), Some(invite.clone()))], ..Commit::default() }))
        })
        .await?;
        Ok(format!("{room}.{secret}"))
    }

    /// Removes links that let in nobody any more. Returns the broker's time.
    async fn drop_dead_invites(&self, room: &RoomId) -> Result<u64, Refusal> {
        let topic = Topic::room(room);
        let now = self.fields.fields(&topic, &[]).await?.now;
        let invites = self.fields.list(&topic, INVITE, None, MAX_INVITES as usize).await?;
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
    pub async fn accept(&self, user: &User, link: &str) -> Result<(RoomId, Joined), Refusal> {
        let gone = || Refusal::new(Code::NotFound, "the invite is unknown, spent or expired");
        let (room, secret) = link.rsplit_once('.').ok_or_else(gone)?;
        let room = RoomId::parse(room).map_err(|_| gone())?;
        if secret.is_empty() || secret.len() > 64 {
            return Err(gone());
        }
        let field = format!("{INVITE}{secret}");
        let mut indexed = false;
        for _ in 0..TRIES {
            let there = match self.access(user, &room).await {
                Err(refusal) if refusal.code == Code::NotFound => return Err(gone()),
                other => other?,
            };
            let found = self.fields.fields(&Topic::room(&room), std::slice::from_ref(&field)).await?;
            let text = found.values.into_iter().next().flatten().ok_or_else(gone)?;
            let used = from_json::<Invite>(&text)?.used(found.now).ok_or_else(gone)?;
            if there.member.is_some() {
                // Who is in already takes no use away.
                return Ok((room, Joined { access: there, entered: None }));
            }
            if !std::mem::replace(&mut indexed, true) {
                self.index(&user.id, &room).await?;
            }
            let left = if used.uses == 0 { None } else { Some(to_json(&used)?) };
            let Some(mut commit) = admission(user, user, &there, vec![(field.clone(), left)])? else { continue };
            commit.expect.extend(there.unchanged(&room, &user.id));
            commit.expect.push((field.clone(), Some(text)));
            if let Committed::Done { entry } = self.log.commit(&Topic::room(&room), commit).await? {
                let joined = self.joined(user, &room, entry.map(|(position, _)| position)).await?;
                return Ok((room, joined));
            }
        }
        Err(Refusal::new(Code::Unavailable, "the room is changing too fast; try again"))
    }

    /// Opens the direct message between two people: the same room whoever opens it. The offset is
    /// that of the last joining if the room was just made.
    ///
    /// # Errors
    /// `bad_request` with oneself.
    pub async fn open_dm(&self, by: &User, other: &User) -> Result<(RoomId, Option<Offset>), Refusal> {
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
        for user in &between {
            self.index(&user.id, &room).await?;
        }
        let info = Info { name: String::new(), kind: Kind::Dm, topic: String::new(), between: Some(between) };
        let member = |user: &User| to_json(&Member { user: user.clone(), role: Role::Member });
        let commit = Commit {
            expect: vec![(INFO.to_owned(), None)],
            set: vec![
                (INFO.to_owned(), Some(to_json(&info)?)),
                (member_field(&by.id), Some(member(by)?)),
                (member_field(&other.id), Some(member(other)?)),
            ],
            append: Some(member_event("member:joined", by, by, json!({ "role": Role::Member }))?),
            ttl_ms: None,
        };
        let Committed::Done { entry } = self.log.commit(&Topic::room(&room), commit).await? else {
            // The other one opened it at the same moment.
            return Ok((room, None));
        };
        for user in [by, other] {
            self.marks.mark_read(&Topic::room(&room), &user.id, 0).await?;
        }
        Ok((room, entry.map(|(position, _)| position.offset)))
    }

    /// Lists one's own rooms and then the public ones, those whose name holds `query`.
    ///
    /// # Errors
    /// `bad_request` for a cursor that none of these made.
    pub async fn list(&self, user: &User, query: &str, cursor: Option<&str>, limit: usize) -> Result<Listed, Refusal> {
        let query = query.trim().to_lowercase();
        let mut rooms = Vec::new();
        let own = self.of_user(&user.id).await?;
        let is_own = |room: &RoomId| room.is_lobby() || own.iter().any(|(id, _)| id == room);
        let (mut skip, mut after) = match cursor {
            None => (0, None),
            Some(cursor) => parse_cursor(cursor)?,
        };
        if after.is_none() {
            let lobby = (RoomId::lobby(), Info::lobby());
            let matching = std::iter::once(&lobby)
                .chain(&own)
                .filter(|(_, info)| info.name_for(&user.id).to_lowercase().contains(&query));
            for (room, _) in matching.skip(skip) {
                if rooms.len() == limit {
                    return Ok(Listed { rooms, cursor: Some(format!("own:{skip}")) });
                }
                if let Some(access) = self.try_access(user, room).await? {
                    rooms.push(self.view(&user.id, room, &access).await?);
                }
                skip += 1;
            }
        }
        let mut looked_at = 0;
        loop {
            let page = self.fields.list(&Topic::Directory, "", after.as_deref(), 100).await?;
            if page.is_empty() {
                return Ok(Listed { rooms, cursor: None });
            }
            for (name, id) in page {
                if rooms.len() == limit || looked_at == LISTED_AT_ONCE {
                    let cursor = format!("all:{}", after.unwrap_or_default());
                    return Ok(Listed { rooms, cursor: Some(cursor) });
                }
                looked_at += 1;
                let found = name.contains(&query);
                after = Some(name);
                let room = claim_of(&id).map(|(room, _)| room).filter(|room| found && !is_own(room));
                let Some(room) = room else { continue };
                if let Some(access) = self.try_access(user, &room).await? {
                    rooms.push(self.view(&user.id, &room, &access).await?);
                }
            }
        }
    }

    /// A page of a room's members, by id, and where the next begins.
    ///
    /// # Errors
    /// See [`crate::domain::permission::Standing::may_read`].
    pub async fn members(
        &self,
        user: &User,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<(Vec<Member>, Option<UserId>), Refusal> {
        self.access(user, room).await?.standing(room).may_read()?;
        let after = after.map(member_field);
        let page = self.fields.list(&Topic::room(room), MEMBER, after.as_deref(), limit).await?;
        let full = page.len() == limit;
        let members = page.iter().map(|(_, value)| from_json(value)).collect::<Result<Vec<Member>, _>>()?;
        let next = members.last().filter(|_| full).map(|member| member.user.id.clone());
        Ok((members, next))
    }
}

/// What makes `guest` a member of a room; `None` if that is so already.
fn admission(
    by: &User,
    guest: &User,
    there: &Access,
    mut set: Vec<(String, Option<String>)>,
) -> Result<Option<Commit>, Refusal> {
    if there.member.is_some() {
        return Ok(None);
    }
    let member = Member { user: guest.clone(), role: Role::Member };
    set.push((member_field(&guest.id), Some(to_json(&member)?)));
    let append: Append = member_event("member:joined", by, guest, json!({ "role": Role::Member }))?;
    Ok(Some(Commit { set, append: Some(append), ..Commit::default() }))
}

/// A room that has a public name, and since when.
fn claim_of(value: &str) -> Option<(RoomId, Millis)> {
    let (room, since) = value.split_once(' ')?;
    Some((RoomId::parse(room).ok()?, since.parse().ok()?))
}

fn parse_cursor(cursor: &str) -> Result<(usize, Option<String>), Refusal> {
    let unknown = || Refusal::new(Code::BadRequest, "not a cursor of room:list");
    match cursor.split_once(':').ok_or_else(unknown)? {
        ("own", skip) => Ok((skip.parse().map_err(|_| unknown())?, None)),
        ("all", after) => Ok((0, Some(after.to_owned()))),
        _ => Err(unknown()),
    }
}

fn new_room_id() -> Result<RoomId, Refusal> {
    RoomId::parse(&new_id("r")?).map_err(|_| no_such_room())
}

/// The room of two people, found without asking anyone.
fn dm_id(a: &UserId, b: &UserId) -> Result<RoomId, Refusal> {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    // Ids hold no space, so that no two pairs give the same text.
    let digest = Sha256::digest(format!("{low} {high}"));
    RoomId::parse(&format!("d{}", URL_SAFE_NO_PAD.encode(&digest[..18]))).map_err(|_| no_such_room())
}
