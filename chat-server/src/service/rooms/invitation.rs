//! Invitations that wait for a person's word: of those whom the person does not let add them.

use serde::{Deserialize, Serialize};

use super::Rooms;
use super::access::Access;
use super::fields::{INVITED, from_json, to_json};
use super::join::{Joined, admission};
use super::retry::Attempts;
use super::user_index::Doing;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, UserId};
use crate::domain::limits::MAX_INVITATIONS;
use crate::domain::position::Millis;
use crate::domain::room::Invitation;
use crate::domain::user::User;
use crate::service::actor::Actor;
use crate::store::{Commit, Committed, FieldBound, Notice, StoreError, Topic};

/// An invitation as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Waiting {
    #[serde(flatten)]
    invitation: Invitation,
    at: Millis,
}

fn field(room: &RoomId) -> String {
    format!("{INVITED}{room}")
}

fn none_waits() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such invitation any more")
}

impl Rooms {
    /// Asks a person into a room. Where too many wait, the oldest makes room.
    pub(super) async fn ask_into(
        &self,
        by: &User,
        guest: &UserId,
        room: &RoomId,
        access: &Access,
    ) -> Result<(), Refusal> {
        let (topic, name) = (Topic::User(guest.clone()), field(room));
        let known = self.fields.fields(&topic, std::slice::from_ref(&name)).await?;
        if known.values.iter().any(Option::is_some) {
            return Ok(());
        }
        let (called, kind) = (access.info.name.clone(), access.info.kind);
        let invitation = Invitation { room: room.clone(), name: called, kind, by: by.clone() };
        let set = vec![(name, Some(to_json(&Waiting { invitation: invitation.clone(), at: known.now })?))];
        let bound = FieldBound { prefix: INVITED, most: MAX_INVITATIONS };
        let time = |value: &str| from_json::<Waiting>(value).ok().map(|waiting| waiting.at);
        self.put_over_oldest(&topic, set, bound, time).await?;
        self.notify(guest, &Notice::Invited { invitation }).await;
        Ok(())
    }

    /// Follows an invitation into a room, or accepts the direct message that a stranger opened.
    ///
    /// # Errors
    /// `not_found` if nobody who may invites the actor there; `forbidden` over the number of rooms.
    pub async fn accept_invitation(&self, actor: &Actor, room: &RoomId) -> Result<Joined, Refusal> {
        let user = &*actor.user;
        let (topic, name) = (Topic::User(user.id.clone()), field(room));
        let found = self.values_of(&user.id, std::slice::from_ref(&name)).await?;
        let Some(waiting) = found.into_iter().flatten().next() else {
            let access = self.access(user, room).await.map_err(|_| none_waits())?;
            if access.member.as_ref().is_none_or(|member| !member.request) {
                return Err(none_waits());
            }
            self.accept_request(actor, room).await?;
            return Ok(Joined { access, entered: None });
        };
        let by = from_json::<Waiting>(&waiting)?.invitation.by;
        self.index(&user.id, room, Doing::Own).await?;
        let entered = self.follow(&by, user, room).await;
        // It was for one time, and one that does not hold any more never will.
        if entered.as_ref().map_or_else(|refusal| refusal.code == Code::NotFound, |_| true) {
            self.log.commit(&topic, Commit { set: vec![(name, None)], ..Commit::default() }).await?;
        }
        let joined = entered?;
        self.notify_joined(actor, room, &joined).await;
        Ok(joined)
    }

    async fn follow(&self, by: &User, user: &User, room: &RoomId) -> Result<Joined, Refusal> {
        let mut attempts = Attempts::default();
        loop {
            attempts.another()?;
            let host = self.try_access(by, room).await?.ok_or_else(none_waits)?;
            host.standing(room).may_invite().map_err(|_| none_waits())?;
            let there = self.access(user, room).await?;
            let Some(mut commit) = admission(by, user, &there, Vec::new())? else {
                return Ok(Joined { access: there, entered: None });
            };
            commit.expect.extend(there.unchanged(room, &user.id));
            commit.expect.extend(host.unchanged(room, &by.id));
            if let Committed::Done { entry } = self.log.commit(&Topic::room(room), commit).await? {
                return self.joined(user, room, entry.map(|(position, _)| position)).await;
            }
        }
    }

    /// Takes back an invitation for the one who was invited. Answers whether there was one.
    pub(super) async fn decline(&self, user: &UserId, room: &RoomId) -> Result<bool, StoreError> {
        let (topic, name) = (Topic::User(user.clone()), field(room));
        let found = self.values_of(user, std::slice::from_ref(&name)).await?;
        let waits = found.iter().any(Option::is_some);
        if waits {
            self.log.commit(&topic, Commit { set: vec![(name, None)], ..Commit::default() }).await?;
        }
        Ok(waits)
    }
}
