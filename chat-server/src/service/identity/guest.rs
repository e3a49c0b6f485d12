//! When a guest is stored: with the first that it says or changes, or that others do to it. Until then there is nothing of it
//! but its token and, while it is connected, its presence: whoever only comes and goes leaves nothing behind.

use super::previous::{self, Previous};
use super::record::Record;
use super::{PROFILE, Sessions, TRIES, revoked_field, session_field, to_json};
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{RoomId, SessionId};
use crate::domain::position::Offset;
use crate::domain::session::SESSION_TTL_MS;
use crate::domain::user::User;
use crate::store::{Commit, Committed, LogStore, StoreError, Topic};

/// The session of a guest of whom nothing was stored when it connected.
#[derive(Debug, Clone)]
pub struct Unstored(pub(super) Record);

impl Sessions {
    /// Stores a guest and its session, if they are not stored. `admit` decides whether there is room for one more, and
    /// `read` is how much of the lobby the guest has read.
    ///
    /// # Errors
    /// That of `admit`; `unauthenticated` for a session that was revoked; the store's.
    pub async fn store(
        &self,
        user: &User,
        session: &SessionId,
        unstored: &Unstored,
        read: Offset,
        admit: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let topic = Topic::User(user.id.clone());
        let mut admit = Some(admit);
        for _ in 0..TRIES {
            let stored = self.stored(&user.id, session).await?;
            if stored.revoked.is_some() {
                return Err(Refusal::new(Code::Unauthenticated, "the session was revoked"));
            }
            if stored.session.is_some() {
                // Another socket was first.
                return Ok(());
            }
            let is_new = stored.profile.is_none();
            if let Some(admit) = admit.take().filter(|_| is_new) {
                admit()?;
            }
            let mut record = unstored.0.clone();
            record.note_seen(stored.now);
            let mut set = vec![(session_field(session), Some(to_json(&record)?))];
            set.extend(is_new.then_some((PROFILE.to_owned(), Some(to_json(user)?))));
            let expect = vec![
                (PROFILE.to_owned(), stored.profile),
                (session_field(session), None),
                (revoked_field(session), None),
            ];
            let commit = Commit { expect, set, ttl_ms: Some(SESSION_TTL_MS), ..Commit::default() };
            if let Committed::Done { .. } = self.log.commit(&topic, commit).await? {
                let (since, client) = (record.since, record.client);
                let previous = Previous { user: user.id.clone(), since, client };
                // Read marks of users who are not stored are removed: this one comes after its user.
                let lobby = Topic::Room(RoomId::lobby());
                tokio::try_join!(
                    previous::write(&*self.log, session, Some(&previous)),
                    self.marks.mark_read(&lobby, &user.id, read)
                )?;
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("a session is changing too fast".to_owned()).into())
    }
}

/// Stores who a connected guest is, to whom somebody is about to do something.
pub(crate) async fn store_profile(log: &dyn LogStore, user: &User) -> Result<(), StoreError> {
    let commit = Commit {
        expect: vec![(PROFILE.to_owned(), None)],
        set: vec![(PROFILE.to_owned(), Some(to_json(user)?))],
        ttl_ms: Some(SESSION_TTL_MS),
        ..Commit::default()
    };
    // Where it was refused, it is there.
    log.commit(&Topic::User(user.id.clone()), commit).await.map(drop)
}
