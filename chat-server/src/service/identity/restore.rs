//! Putting sessions of the connected back that the store lost: as a whole, or a key of it.

use super::previous::{self, Previous};
use super::record::Record;
use super::{Identity, Mark, PROFILE, SessionError, Sessions, revoked_field, session_field, to_json};
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
        let stored = self.stored(&user.id, session).await?;
        if let Some(Mark { reason, .. }) = stored.revoked {
            return Err(SessionError::Revoked(reason));
        }
        if stored.session.is_some() {
            return Ok(());
        }
        let is_known = stored.profile.is_some();
        // The newest token is unknown: the next one that is used becomes it.
        let record = Record::adopted(*since, client.to_string(), stored.now);
        let mut set = vec![(session_field(session), Some(to_json(&record)?))];
        if !is_known {
            set.push((PROFILE.to_owned(), Some(to_json(&**user)?)));
        }
        let expect =
            vec![(PROFILE.to_owned(), stored.profile), (session_field(session), None), (revoked_field(session), None)];
        let commit = Commit { expect, set, ttl_ms: Some(SESSION_TTL_MS), ..Commit::default() };
        self.log.commit(&Topic::User(user.id.clone()), commit).await?;
        if !is_known {
            // As for a new guest: what was said before is not unread.
            self.marks.mark_read(&Topic::Room(RoomId::lobby()), &user.id, u64::MAX).await?;
        }
        let previous = Previous { user: user.id.clone(), since: *since, client: client.to_string() };
        Ok(previous::write(&*self.log, session, Some(&previous)).await?)
    }
}
