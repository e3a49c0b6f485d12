//! Blocking a person: they can't write to one, nor invite one.

use serde::Serialize;

use super::Rooms;
use super::dm::dm_id;
use super::fields::{BLOCKED, INVITED, INVITES, from_json, to_json};
use super::people::no_such_person;
use super::relation::blocked_field;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::UserId;
use crate::domain::limits::{Limit, MAX_BLOCKED, MAX_INVITATIONS};
use crate::domain::room::Invitation;
use crate::domain::user::Invites;
use crate::service::actor::Actor;
use crate::store::{Commit, Committed, FieldBound, Notice, StoreError, Topic};

/// What a person lets others do, and what waits for the person's word.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Consent {
    /// Whom the person lets add them to rooms.
    pub invites: Invites,
    /// Invitations that wait to be accepted.
    pub invited: Vec<Invitation>,
    /// Whom the person blocks.
    pub blocked: Vec<UserId>,
}

impl Rooms {
    /// What a person lets others do.
    ///
    /// # Errors
    /// The store's.
    pub async fn consent(&self, user: &UserId) -> Result<Consent, StoreError> {
        let topic = Topic::User(user.clone());
        let set = self.values_of(user, &[INVITES.to_owned()]).await?.into_iter().flatten().next();
        let invites = set.as_deref().map(from_json).transpose()?.unwrap_or_default();
        let invited = self.fields.list(&topic, INVITED, None, MAX_INVITATIONS).await?;
        let invited = invited.iter().map(|(_, value)| from_json(value)).collect::<Result<_, _>>()?;
        let blocked = self.fields.list(&topic, BLOCKED, None, MAX_BLOCKED).await?;
        let blocked = blocked.iter().filter_map(|(field, _)| UserId::parse(field.strip_prefix(BLOCKED)?).ok());
        Ok(Consent { invites, invited, blocked: blocked.collect() })
    }

    /// Says whom one lets add one to rooms.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn set_invites(&self, actor: &Actor, invites: Invites) -> Result<(), Refusal> {
        let set = vec![(INVITES.to_owned(), Some(to_json(&invites)?))];
        self.log.commit(&Topic::User(actor.user.id.clone()), Commit { set, ..Commit::default() }).await?;
        Ok(())
    }

    /// Blocks a person, or ends that. In force on all nodes when this returns; the person is not told.
    ///
    /// # Errors
    /// `bad_request` for oneself, `not_found` for an unknown person, `forbidden` over the number of blocked people.
    pub async fn block(&self, actor: &Actor, other: &UserId, on: bool) -> Result<(), Refusal> {
        let by = &actor.user.id;
        if by == other {
            return Err(Refusal::new(Code::BadRequest, "nobody can block themselves"));
        }
        let known = self.person(other).await?;
        let topic = Topic::User(by.clone());
        if on {
            known.as_ref().ok_or_else(no_such_person)?;
        }
        let set = vec![(blocked_field(other), on.then(String::new))];
        let bound = on.then_some(FieldBound { prefix: BLOCKED, most: MAX_BLOCKED });
        if self.log.commit(&topic, Commit { set, bound, ..Commit::default() }).await? == Committed::Full {
            let what = format!("at most {MAX_BLOCKED} people can be blocked; end a block first");
            return Err(Refusal::new(Code::Forbidden, what).at(Limit::Blocked));
        }
        // Whom the chat has forgotten writes no more.
        if let Some(other) = known {
            self.set_blocked(&other, &dm_id(by, &other.id)?, on).await?;
        }
        self.notify(by, &Notice::Blocked { user: other.clone(), on, by_socket: actor.socket() }).await;
        Ok(())
    }
}
