//! Putting sessions of the connected back that the store lost: as a whole, or a key of it.

use super::previous::{self, Previous};
use super::record::Record;
use super::{Identity, Mark, PROFILE, SessionError, Sessions, from_json, revoked_field, session_field, to_json};
use crate::domain::id::RoomId;
use crate::domain::session::SESSION_TTL_MS;
use crate::store::{Commit, StoreError, Topic};

impl Sessions {
    /// Whether the store has each of these sessions.
    ///
    /// # Errors
    /// The store's.
    pub async fn are_there(&self, sessions: &[&Identity]) -> Result<Vec<bool>, StoreError> {
        let held = |session: &&Identity| (Topic::User(session.user.id.clone()), session_field(&session.session));
        self.fields.verify(&sessions.iter().map(held).collect::<Vec<_>>()).await
    }

    /// Puts a session, and the profile of its user, back where the store has neither. Of the two that may do so at a
    /// time, the first one's stays.
    ///
    /// # Errors
    /// The store's; [`SessionError::Revoked`] for a session that was revoked.
    pub async fn put_back(&self, identity: &Identity) -> Result<(), SessionError> {
        let Identity { user, session, since, client, .. } = identity;
        let topic = Topic::User(user.id.clone());
        let names = [PROFILE.to_owned(), session_field(session), revoked_field(session)];
        let found = self.fields.fields(&topic, &names).await?;
        let [profile, record, revoked] = <[_; 3]>::try_from(found.values).unwrap_or_default();
        if let Some(mark) = revoked {
            return Err(SessionError::Revoked(from_json::<Mark>(&mark)?.reason));
        }
        if record.is_some() {
            return Ok(());
        }
        let is_known = profile.is_some();
        // The newest token is unknown: the next one that is used becomes it.
        let record = Record::adopted(*since, client.to_string(), found.now);
        let mut set = vec![(names[1].clone(), Some(to_json(&record)?))];
        if !is_known {
            set.push((PROFILE.to_owned(), Some(to_json(&**user)?)));
        }
        let expect = names.into_iter().zip([profile, None, None]).collect();
        let commit = Commit { expect, set, ttl_ms: Some(SESSION_TTL_MS), ..Commit::default() };
        self.log.commit(&topic, commit).await?;
        if !is_known {
            // As for a new guest: what was said before is not unread.
            self.marks.mark_read(&Topic::Room(RoomId::lobby()), &user.id, u64::MAX).await?;
        }
        let previous = Previous { user: user.id.clone(), since: *since, client: client.to_string() };
        Ok(previous::write(&*self.log, session, Some(&previous)).await?)
    }
}
