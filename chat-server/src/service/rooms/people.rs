//! Finding the person to whom something is done.

use super::Rooms;
use super::fields::from_json;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::UserId;
use crate::domain::user::User;
use crate::service::identity::{profile, store_profile};
use crate::store::StoreError;

impl Rooms {
    /// The person of that id: one who is stored, or a guest who is connected.
    pub(super) async fn person(&self, user: &UserId) -> Result<Option<User>, StoreError> {
        match profile(&*self.fields, user).await? {
            Some(person) => Ok(Some(person)),
            None => self.connected(user).await,
        }
    }

    /// The same, of whom something is about to be kept: a guest who is not stored is stored for it.
    ///
    /// # Errors
    /// `not_found` for an unknown person.
    pub(super) async fn kept_person(&self, user: &UserId) -> Result<User, Refusal> {
        if let Some(person) = profile(&*self.fields, user).await? {
            return Ok(person);
        }
        let guest = self.connected(user).await?.ok_or_else(no_such_person)?;
        store_profile(&*self.log, &guest).await?;
        Ok(guest)
    }

    /// Who a connected user is.
    async fn connected(&self, user: &UserId) -> Result<Option<User>, StoreError> {
        let cards = self.presence.presence(std::slice::from_ref(user)).await?;
        cards.into_iter().flatten().next().map(|card| from_json(&card)).transpose()
    }
}

pub(super) fn no_such_person() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such person")
}
