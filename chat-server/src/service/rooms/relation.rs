//! What one person lets another do.

use super::Rooms;
use super::fields::{BLOCKED, INVITES, from_json};
use super::user_index::{KNOWN_BY, all_fields};
use crate::domain::error::Refusal;
use crate::domain::id::UserId;
use crate::domain::permission::takes_nothing_from_you;
use crate::domain::user::Invites;
use crate::store::{StoreError, Topic};

/// What a person has said of another, and of all.
pub(super) struct Relation {
    blocked: bool,
    pub(super) invites: Invites,
}

impl Relation {
    /// # Errors
    /// `forbidden` if the other is blocked.
    pub(super) fn may_reach(&self) -> Result<(), Refusal> {
        if self.blocked { Err(takes_nothing_from_you()) } else { Ok(()) }
    }
}

pub(super) fn blocked_field(user: &UserId) -> String {
    format!("{BLOCKED}{user}")
}

impl Rooms {
    /// What `of` lets `other` do.
    pub(super) async fn relation(&self, of: &UserId, other: &UserId) -> Result<Relation, StoreError> {
        let mut values = self.values_of(of, &[blocked_field(other), INVITES.to_owned()]).await?.into_iter();
        let (blocked, invites) = (values.next().flatten().is_some(), values.next().flatten());
        let invites = invites.as_deref().map(from_json).transpose()?.unwrap_or_default();
        Ok(Relation { blocked, invites })
    }

    /// Whether a person knows another: they share a room other than the lobby, which may be a direct message that the
    /// person opened or answered.
    pub(super) async fn knows(&self, person: &UserId, other: &UserId) -> Result<bool, StoreError> {
        let rooms = self.indexed_by(person, &KNOWN_BY).await?;
        if rooms.is_empty() {
            return Ok(false);
        }
        let shared: Vec<String> = rooms.iter().flat_map(all_fields).collect();
        Ok(self.values_of(other, &shared).await?.iter().any(Option::is_some))
    }

    /// Fields of a person's topic.
    pub(super) async fn values_of(&self, user: &UserId, names: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        Ok(self.fields.values(&[Topic::User(user.clone())], names).await?.pop().unwrap_or_default())
    }
}
