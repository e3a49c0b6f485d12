//! Putting back what the store lost of rooms that are there: names in the directory, and rooms in the lists of people.

use super::Rooms;
use super::fields::{INFO, from_json};
use super::names::claims_of;
use super::user_index::Doing;
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::room::{Info, Kind};
use crate::domain::user::User;
use crate::store::{Commit, Committed, StoreError, Topic};

/// Rooms whose descriptions are read at a time.
const ROOMS_AT_ONCE: usize = 500;

impl Rooms {
    /// Makes sure that the lobby is there, by a read unless it is not.
    ///
    /// # Errors
    /// The store's.
    pub async fn restore_lobby(&self) -> Result<(), StoreError> {
        let there = self.fields.verify(&[(Topic::room(&RoomId::lobby()), INFO.to_owned())]).await?;
        if there == [true] { Ok(()) } else { self.ensure_lobby().await }
    }

    /// Of these rooms, those that the store does not have. The lobby is none of them.
    ///
    /// # Errors
    /// The store's.
    pub async fn gone(&self, rooms: &[RoomId]) -> Result<Vec<RoomId>, StoreError> {
        let held: Vec<_> = rooms.iter().map(|room| (Topic::room(room), INFO.to_owned())).collect();
        let found = self.fields.verify(&held).await?;
        let gone = rooms.iter().zip(found).filter(|(room, there)| !there && !room.is_lobby());
        Ok(gone.map(|(room, _)| room.clone()).collect())
    }

    /// Claims the names of these rooms again, of those that are public; a name that another room has meanwhile stays
    /// that one's.
    ///
    /// # Errors
    /// The store's.
    pub async fn claim_names_again(&self, rooms: &[RoomId]) -> Result<(), StoreError> {
        for some in rooms.chunks(ROOMS_AT_ONCE) {
            let topics: Vec<Topic> = some.iter().map(Topic::room).collect();
            let found = self.fields.values(&topics, &[INFO.to_owned()]).await?;
            let now = self.fields.fields(&Topic::Directory, &[]).await?.now;
            for (room, values) in some.iter().zip(found) {
                let Some(info) = values.into_iter().flatten().next() else { continue };
                let info: Info = from_json(&info)?;
                if info.kind == Kind::Public && !room.is_lobby() {
                    self.claim_again(room, &info, now).await?;
                }
            }
        }
        Ok(())
    }

    async fn claim_again(&self, room: &RoomId, info: &Info, now: u64) -> Result<(), StoreError> {
        let claims = claims_of(&info.name, room, now);
        let claim = |claims: &[(String, String)]| Commit {
            expect: claims.iter().map(|(field, _)| (field.clone(), None)).collect(),
            set: claims.iter().map(|(field, value)| (field.clone(), Some(value.clone()))).collect(),
            ..Commit::default()
        };
        let Committed::Refused(found) = self.log.commit(&Topic::Directory, claim(&claims)).await? else {
            return Ok(());
        };
        // Another node of the room came first, or another room has a part of the name.
        for (field, _) in claims.into_iter().zip(found).filter(|(_, found)| found.is_none()) {
            self.log.commit(&Topic::Directory, claim(&[field])).await?;
        }
        Ok(())
    }

    /// Lists these rooms among the person's own again, those in which the person is a member and that are not listed.
    ///
    /// # Errors
    /// The store's; `forbidden` over the number of rooms.
    pub async fn list_again(&self, user: &User, rooms: &[RoomId]) -> Result<(), Refusal> {
        let known = self.indexed(&user.id).await?;
        let missing: Vec<RoomId> =
            rooms.iter().filter(|room| !room.is_lobby() && !known.contains(room)).cloned().collect();
        let memberships = self.membership(user, &missing).await?;
        for (room, _) in missing.iter().zip(memberships).filter(|(_, membership)| membership.is_some()) {
            self.index(&user.id, room, Doing::Own).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::id::{Name, UserId};
    use crate::domain::room::Draft;
    use crate::service::actor::Actor;
    use crate::store::memory::MemoryStore;
    use crate::store::{Retention, Stores};

    #[tokio::test]
    async fn a_lost_directory_is_made_anew_from_the_rooms_that_are_there() {
        let stores = Stores::new(Arc::new(MemoryStore::new(Retention::default()).0));
        let rooms = Rooms::new(&stores);
        let user = User { id: UserId::parse("u1").unwrap(), name: Name::parse("Ann").unwrap(), guest: true };
        let actor = Actor::unlimited(user);
        let draft = |name: &str, kind| Draft { name: Name::parse(name).unwrap(), kind, topic: String::new() };
        let (tea, _) = rooms.create(&actor, draft("Tea", Kind::Public)).await.unwrap();
        let (secret, _) = rooms.create(&actor, draft("Secret", Kind::Private)).await.unwrap();
        let known = stores.fields.list(&Topic::Directory, "", None, 9).await.unwrap();
        let set = known.iter().map(|(name, _)| (name.clone(), None)).collect();
        stores.log.commit(&Topic::Directory, Commit { set, ..Commit::default() }).await.unwrap();

        let there = [tea.clone(), secret, RoomId::lobby(), RoomId::parse("rGone").unwrap()];
        for _ in 0..2 {
            rooms.claim_names_again(&there).await.unwrap();
        }
        let names = |fields: &[(String, String)]| fields.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&stores.fields.list(&Topic::Directory, "", None, 9).await.unwrap()), names(&known));
        assert_eq!(rooms.gone(&there).await.unwrap(), [there[3].clone()]);
        let taken = rooms.create(&actor, draft("TEA", Kind::Public)).await;
        assert!(taken.is_err(), "{taken:?}");
    }

    #[tokio::test]
    async fn a_person_gets_back_the_rooms_that_the_person_is_in() {
        let stores = Stores::new(Arc::new(MemoryStore::new(Retention::default()).0));
        let rooms = Rooms::new(&stores);
        let user = |id: &str| User { id: UserId::parse(id).unwrap(), name: Name::parse("Ann").unwrap(), guest: true };
        let (ann, bob) = (Actor::unlimited(user("u1")), Actor::unlimited(user("u2")));
        let draft = |name: &str| Draft { name: Name::parse(name).unwrap(), kind: Kind::Private, topic: String::new() };
        let (hers, _) = rooms.create(&ann, draft("hers")).await.unwrap();
        let (his, _) = rooms.create(&bob, draft("his")).await.unwrap();
        rooms.unindex(&ann.user.id, &hers).await.unwrap();
        rooms.list_again(&ann.user, &[RoomId::lobby(), hers.clone(), his]).await.unwrap();
        assert_eq!(rooms.indexed(&ann.user.id).await.unwrap(), [hers]);
    }
}
