//! Continuing a session by its token.

use std::sync::Arc;

use super::previous::{self, Previous};
use super::record::{Record, Reused};
use super::token::{GuestClaims, Token};
use super::{
    Credentials, Identity, Mark, SessionError, Sessions, Stored, TRIES, Unstored, from_json, revoked_field,
    session_field, to_json,
};
use crate::domain::id::{SessionId, UserId};
use crate::domain::position::Millis;
use crate::domain::session::{RevokeReason, SESSION_TTL_MS};
use crate::domain::user::User;
use crate::store::{Commit, Committed, StoreError, Topic};

/// What the store has of a user and one of the user's sessions.
struct Found {
    now: Millis,
    user: Option<User>,
    /// The session, and its field, if it has one: what the commit that uses it expects.
    session: Option<(Record, Option<String>)>,
}

impl Sessions {
    /// Continues the session of a valid token. A token that is unknown, forged or expired counts as absent.
    ///
    /// # Errors
    /// The store's; [`SessionError::Revoked`].
    pub async fn resumed(&self, credentials: &Credentials) -> Result<Option<Identity>, SessionError> {
        let keys = self.keys().await?;
        match credentials.resume.as_ref().and_then(|text| Token::verify(&keys, text)) {
            Some(token) => self.resume(token, credentials.rotate).await,
            None => Ok(None),
        }
    }

    /// One read and one commit, which fails if the session was revoked in between; the read only, if nothing is stored of
    /// the guest.
    async fn resume(&self, token: Token, rotate: bool) -> Result<Option<Identity>, SessionError> {
        let Token { session, user: id, generation, guest } = token;
        for _ in 0..TRIES {
            let Found { now, user, session: stored } = self.find(&id, &session).await?;
            let claims = guest.clone().filter(|claims| !claims.is_expired(now));
            let is_stored = user.is_some();
            let adopted = |claims: &GuestClaims| (Record::adopted(claims.since, claims.client.clone(), now), None);
            let known = stored.or_else(|| claims.as_ref().map(adopted));
            let named = |claims: &GuestClaims| User { id: id.clone(), name: claims.name.clone(), guest: true };
            let user = user.or_else(|| claims.as_ref().map(named));
            let (Some(user), Some((mut record, field))) = (user, known) else { return Ok(None) };
            if record.is_expired(now) {
                return Ok(None);
            }
            if let Err(Reused) = record.note_used(&generation, rotate, now) {
                tracing::warn!(%session, "a resume token was used again after a newer one; its session is revoked");
                self.revoke_session(&id, &session, false, RevokeReason::TokenReused, None).await?;
                return Err(SessionError::Revoked(RevokeReason::TokenReused));
            }
            record.note_seen(now);
            let claims = claims.filter(|_| !is_stored).map(|claims| claims.renewed(now));
            if is_stored && !self.commit_used(&id, &session, field, &record).await? {
                continue;
            }
            // Signed anew, so that a change of keys reaches those who come back.
            let resume = self.next_resume(&session, &id, &record, claims).await?;
            let (user, since, client) = (Arc::new(user), record.since, record.client.clone().into());
            let unstored = (!is_stored).then_some(Unstored(record));
            return Ok(Some(Identity { user, session, resume, resumed: true, since, client, unstored }));
        }
        Err(StoreError::Unavailable("a session is changing too fast".to_owned()).into())
    }

    /// Notes that a session was used; false if it was changed or revoked since it was read.
    async fn commit_used(
        &self,
        user: &UserId,
        session: &SessionId,
        field: Option<String>,
        record: &Record,
    ) -> Result<bool, StoreError> {
        let text = to_json(record)?;
        let name = session_field(session);
        let set = if field.as_ref() == Some(&text) { vec![] } else { vec![(name.clone(), Some(text))] };
        let expect = vec![(name, field), (revoked_field(session), None)];
        let commit = Commit { expect, set, ttl_ms: Some(SESSION_TTL_MS), ..Commit::default() };
        Ok(matches!(self.log.commit(&Topic::User(user.clone()), commit).await?, Committed::Done { .. }))
    }

    /// What is stored of a user and a session, and the store's time.
    async fn find(&self, user: &UserId, session: &SessionId) -> Result<Found, SessionError> {
        let Stored { now, profile, session: field, revoked } = self.stored(user, session).await?;
        if let Some(Mark { reason, .. }) = revoked {
            return Err(SessionError::Revoked(reason));
        }
        let Some(profile) = profile else { return Ok(Found { now, user: None, session: None }) };
        let record = match &field {
            Some(text) => Some(from_json(text)?),
            None => previous::read(&*self.fields, session)
                .await?
                .filter(|previous| previous.user == *user)
                .map(|Previous { since, client, .. }| Record::adopted(since, client, now)),
        };
        let session = record.map(|record| (record, field));
        Ok(Found { now, user: Some(from_json(&profile)?), session })
    }

    /// Puts off the end of a session and its guest. Called while a socket is open. `unstored`: nothing was stored of the
    /// guest, as far as its socket knows; others may have done something to it since, which is kept then.
    ///
    /// # Errors
    /// The store's; [`SessionError::Revoked`] for a session that was revoked.
    pub async fn keep_alive(
        &self,
        session: &SessionId,
        user: &UserId,
        unstored: Option<&Unstored>,
    ) -> Result<(), SessionError> {
        let Found { now, user: profile, session: stored } = self.find(user, session).await?;
        let known = stored.or_else(|| Some((profile.and(unstored)?.0.clone(), None)));
        let Some((mut record, field)) = known else { return Ok(()) };
        record.note_seen(now);
        // Where somebody changed it meanwhile, it was seen then.
        self.commit_used(user, session, field, &record).await?;
        Ok(previous::touch(&*self.fields, session).await?)
    }
}
