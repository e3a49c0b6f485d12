//! The names of public rooms: each belongs to one room, and so does what it looks like.

use super::Rooms;
use super::fields::{INFO, from_json};
use super::retry::Attempts;
use crate::domain::error::{Code, Refusal};
use crate::domain::fold::fold;
use crate::domain::id::{Name, RoomId};
use crate::domain::position::Millis;
use crate::domain::room::{Info, Kind};
use crate::domain::text::looks;
use crate::store::{Commit, Committed, StoreError, Topic};

/// How long a public name waits for its room.
const CLAIM_MS: Millis = 30_000;
/// Of the directory, before the look of a name: the room that it belongs to. No name has this character, and all names
/// come before it.
const LOOK: &str = "\u{10ffff}";
/// Names that are read at a time.
const NAMES_AT_ONCE: usize = 500;

/// What a room has of the directory: fields and their values.
pub(super) type Claims = Vec<(String, String)>;

/// Public names in their order.
pub(super) struct NamePage {
    /// Each with its room.
    pub names: Vec<(String, Option<RoomId>)>,
    /// There may be others after these.
    pub more: bool,
}

impl Rooms {
    /// A name and its look belong to the first room that claims them. A claim whose room never came to be, or is called
    /// otherwise (its node died in between), is taken over after [`CLAIM_MS`]. Answers with what is new
    /// to the room, and with what it has by its `former` name and no more needs.
    ///
    /// # Errors
    /// `conflict`: one of them belongs to another.
    pub(super) async fn claim_name(
        &self,
        name: &Name,
        room: &RoomId,
        former: Option<&str>,
    ) -> Result<(Claims, Claims), Refusal> {
        let fields = fields_of(name.as_str());
        if fields_of(&Info::lobby().name).iter().any(|field| fields.contains(field)) {
            return Err(taken());
        }
        let known: Vec<String> = former.map(fields_of).into_iter().flatten().collect();
        let former: Vec<String> = known.iter().filter(|field| !fields.contains(field)).cloned().collect();
        let asked: Vec<String> = fields.iter().chain(&former).cloned().collect();
        let found = self.fields.fields(&Topic::Directory, &asked).await?;
        let (now, mut holders) = (found.now, found.values);
        let held = former.into_iter().zip(holders.split_off(fields.len()));
        let former = held.filter_map(|(field, value)| Some((field, value?))).filter(|(_, value)| is_of(value, room));
        let former = former.collect();

        let claimed = claims_of(name.as_str(), room, now);
        let mut attempts = Attempts::default();
        loop {
            attempts.another()?;
            for ((field, _), holder) in claimed.iter().zip(&holders) {
                if self.is_held(field, holder.as_deref(), room, now).await? {
                    return Err(taken());
                }
            }
            let expect = claimed.iter().map(|(field, _)| field.clone()).zip(holders).collect();
            let set = claimed.iter().cloned().map(|(field, value)| (field, Some(value))).collect();
            let claim = Commit { expect, set, ..Commit::default() };
            match self.log.commit(&Topic::Directory, claim).await? {
                Committed::Refused(found) => holders = found,
                _ => {
                    let is_new = |(field, _): &(String, String)| !known.contains(field);
                    return Ok((claimed.into_iter().filter(is_new).collect(), former));
                }
            }
        }
    }

    /// Whether a room other than `room` holds a field of the directory.
    async fn is_held(&self, field: &str, value: Option<&str>, room: &RoomId, now: Millis) -> Result<bool, StoreError> {
        let Some((other, since)) = value.and_then(claim_of).filter(|(other, _)| other != room) else {
            return Ok(false);
        };
        if now < since + CLAIM_MS {
            return Ok(true);
        }
        let found = self.fields.values(&[Topic::room(&other)], &[INFO.to_owned()]).await?;
        let info = found.into_iter().flatten().flatten().next();
        let info = info.map(|text| from_json::<Info>(&text)).transpose()?;
        Ok(info.is_some_and(|info| info.kind == Kind::Public && fields_of(&info.name).iter().any(|own| own == field)))
    }

    /// Lets go of what a room has of the directory.
    pub(super) async fn release_name(&self, claims: Claims) -> Result<(), StoreError> {
        let release = |claims: &[(String, String)]| Commit {
            expect: claims.iter().map(|(field, value)| (field.clone(), Some(value.clone()))).collect(),
            set: claims.iter().map(|(field, _)| (field.clone(), None)).collect(),
            ..Commit::default()
        };
        if claims.is_empty() {
            return Ok(());
        }
        if let Committed::Refused(_) = self.log.commit(&Topic::Directory, release(&claims)).await? {
            // One was taken over; the others are not kept for it.
            for claim in claims {
                self.log.commit(&Topic::Directory, release(&[claim])).await?;
            }
        }
        Ok(())
    }

    /// Lets go of a name whose room has expired. Its room may also be about to be made: for that it is given time.
    pub(super) async fn release_dead_name(&self, folded: &str, room: &RoomId) -> Result<(), StoreError> {
        let asked = fields_of(folded);
        let found = self.fields.fields(&Topic::Directory, &asked).await?;
        let claims = asked.into_iter().zip(found.values).filter_map(|(field, value)| Some((field, value?)));
        let claims: Claims = claims.filter(|(_, value)| is_of(value, room)).collect();
        let is_old = |value: &str| claim_of(value).is_some_and(|(_, since)| found.now >= since + CLAIM_MS);
        if claims.iter().all(|(_, value)| is_old(value)) { self.release_name(claims).await } else { Ok(()) }
    }

    /// Some public names and their rooms, in the order of the names, those after `after` only.
    pub(super) async fn public_names(&self, after: Option<&str>) -> Result<NamePage, StoreError> {
        let page = self.fields.list(&Topic::Directory, "", after, NAMES_AT_ONCE).await?;
        let full = page.len() == NAMES_AT_ONCE;
        let is_name = |(name, _): &(String, String)| !name.starts_with(LOOK);
        let names: Vec<_> = page.into_iter().take_while(is_name).collect();
        let more = full && names.len() == NAMES_AT_ONCE;
        let names = names.into_iter().map(|(name, claim)| (name, claim_of(&claim).map(|(room, _)| room))).collect();
        Ok(NamePage { names, more })
    }

    /// Has all public names as this version compares them: those that an earlier version folded otherwise are folded anew,
    /// and looks are claimed where there are none. A name or a look that belongs to another room stays with it.
    ///
    /// # Errors
    /// The store's.
    pub async fn renew_names(&self) -> Result<(), StoreError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.fields.list(&Topic::Directory, "", after.as_deref(), NAMES_AT_ONCE).await?;
            let names: Vec<_> = page.into_iter().take_while(|(name, _)| !name.starts_with(LOOK)).collect();
            for (name, claim) in names.iter().filter(|(name, _)| fold(name) != *name) {
                let renamed = Commit {
                    expect: vec![(name.clone(), Some(claim.clone())), (fold(name), None)],
                    set: vec![(name.clone(), None), (fold(name), Some(claim.clone()))],
                    ..Commit::default()
                };
                self.log.commit(&Topic::Directory, renamed).await?;
            }
            // The directory has names folded, so that they have one look.
            let looks: Vec<String> = names.iter().map(|(name, _)| look_field(&looks(name)[0])).collect();
            let known = self.fields.values(&[Topic::Directory], &looks).await?.into_iter().flatten();
            for ((look, (_, claim)), _) in looks.iter().zip(&names).zip(known).filter(|(_, known)| known.is_none()) {
                let claim = Commit {
                    expect: vec![(look.clone(), None)],
                    set: vec![(look.clone(), Some(claim.clone()))],
                    ..Commit::default()
                };
                self.log.commit(&Topic::Directory, claim).await?;
            }
            if names.len() < NAMES_AT_ONCE {
                return Ok(());
            }
            after = names.into_iter().next_back().map(|(name, _)| name);
        }
    }
}

fn taken() -> Refusal {
    Refusal::new(Code::Conflict, "a public room has that name, or one that looks like it")
}

/// The fields of the directory that belong to the room of a name.
fn fields_of(name: &str) -> Vec<String> {
    let mut fields = vec![fold(name)];
    fields.extend(looks(name).iter().map(|look| look_field(look)));
    fields.dedup();
    fields
}

/// What a room claims of the directory by its name.
pub(super) fn claims_of(name: &str, room: &RoomId, now: Millis) -> Claims {
    fields_of(name).into_iter().map(|field| (field, format!("{room} {now}"))).collect()
}

fn look_field(look: &str) -> String {
    format!("{LOOK}{look}")
}

/// Whether a room is called by a public name, as the directory has it.
pub(super) fn is_called(info: &Info, folded: &str) -> bool {
    info.kind == Kind::Public && fold(&info.name) == fold(folded)
}

/// The room that claimed a name, and since when.
fn claim_of(value: &str) -> Option<(RoomId, Millis)> {
    let (room, since) = value.split_once(' ')?;
    Some((RoomId::parse(room).ok()?, since.parse().ok()?))
}

fn is_of(value: &str, room: &RoomId) -> bool {
    claim_of(value).is_some_and(|(holder, _)| holder == *room)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::room::Draft;
    use crate::domain::user::User;
    use crate::service::actor::Actor;
    use crate::store::memory::MemoryStore;
    use crate::store::{Retention, Stores};

    #[tokio::test]
    async fn a_name_whose_room_has_expired_is_free() {
        let stores = Stores::new(Arc::new(MemoryStore::new(Retention::default()).0));
        let rooms = Rooms::new(&stores);
        let user = User { id: UserId::parse("u1").unwrap(), name: Name::parse("Ann").unwrap(), guest: true };
        let actor = Actor::unlimited(user);
        let long_ago = |name: &str| (name.to_owned(), Some("rGone 5".to_owned()));
        let commit = Commit { set: vec![long_ago("tea"), long_ago("cake")], ..Commit::default() };
        stores.log.commit(&Topic::Directory, commit).await.unwrap();
        let draft = Draft { name: Name::parse("Tea").unwrap(), kind: Kind::Public, topic: String::new() };
        let (tea, _) = rooms.create(&actor, draft).await.unwrap();
        assert_eq!(rooms.list(&actor, "", None, 9).await.unwrap().rooms.len(), 2, "the lobby, and Tea");
        let left = rooms.public_names(None).await.unwrap().names;
        assert_eq!(left, [("tea".to_owned(), Some(tea.clone()))]);
        // The claim of a room that is about to be made stays.
        let now = stores.fields.fields(&Topic::Directory, &[]).await.unwrap().now;
        let commit = Commit { set: vec![("pie".to_owned(), Some(format!("rSoon {now}")))], ..Commit::default() };
        stores.log.commit(&Topic::Directory, commit).await.unwrap();
        rooms.list(&actor, "", None, 9).await.unwrap();
        assert_eq!(rooms.public_names(None).await.unwrap().names.len(), 2);
    }
    #[tokio::test]
    async fn a_name_that_an_earlier_version_folded_otherwise_is_folded_anew() {
        let stores = Stores::new(Arc::new(MemoryStore::new(Retention::default()).0));
        let rooms = Rooms::new(&stores);
        let user = User { id: UserId::parse("u1").unwrap(), name: Name::parse("Ann").unwrap(), guest: true };
        let actor = Actor::unlimited(user);
        let draft = |name: &str| Draft { name: Name::parse(name).unwrap(), kind: Kind::Public, topic: String::new() };
        let (street, _) = rooms.create(&actor, draft("Straße")).await.unwrap();
        let claim = |name: &str, claim: Option<String>| (name.to_owned(), claim);
        let held = stores.fields.values(&[Topic::Directory], &["strasse".to_owned()]).await.unwrap();
        let set = vec![claim("straße", held[0][0].clone()), claim("strasse", None)];
        stores.log.commit(&Topic::Directory, Commit { set, ..Commit::default() }).await.unwrap();
        rooms.renew_names().await.unwrap();
        let names = rooms.public_names(None).await.unwrap().names;
        assert_eq!(names, [("strasse".to_owned(), Some(street))]);
        assert_eq!(rooms.create(&actor, draft("STRASSE")).await.unwrap_err().code, Code::Conflict);
    }
}
