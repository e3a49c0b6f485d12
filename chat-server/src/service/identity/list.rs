//! The sessions of a person.

use std::cmp::Reverse;

use super::record::Record;
use super::{SESSION, Sessions, Unstored, from_json};
use crate::domain::error::Refusal;
use crate::domain::id::SessionId;
use crate::domain::limits::MAX_SESSIONS;
use crate::domain::session::{RevokeReason, SessionView};
use crate::service::actor::Actor;
use crate::store::{Commit, Topic};

impl Sessions {
    /// The person's sessions: the current one, then those that were used last. Removes expired ones, and revokes those
    /// that are too many. The current one need not be stored: `unstored` is what its socket knows of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        actor: &Actor,
        current: &SessionId,
        unstored: Option<&Unstored>,
    ) -> Result<Vec<SessionView>, Refusal> {
        let user = &actor.user.id;
        let topic = Topic::User(user.clone());
        let (now, fields) = tokio::try_join!(
            self.fields.fields(&topic, &[]),
            self.fields.list(&topic, SESSION, None, 2 * MAX_SESSIONS)
        )?;
        let (mut views, mut expired) = (Vec::new(), Commit::default());
        for (name, text) in fields {
            let Some(session) = name.strip_prefix(SESSION).and_then(|id| SessionId::parse(id).ok()) else { continue };
            let record: Record = from_json(&text)?;
            if record.is_expired(now.now) {
                expired.expect.push((name.clone(), Some(text)));
                expired.set.push((name, None));
                continue;
            }
            let Record { since, last_seen, client, .. } = record;
            views.push(SessionView { current: session == *current, session, since, last_seen, client });
        }
        if let Some(Unstored(record)) = unstored.filter(|_| views.iter().all(|view| !view.current)) {
            let Record { since, client, .. } = record.clone();
            views.push(SessionView {
                current: true,
                session: current.clone(),
                since,
                last_seen: now.now.max(since),
                client,
            });
        }
        views.sort_by_key(|view| (!view.current, Reverse(view.last_seen)));
        if !expired.set.is_empty() {
            self.log.commit(&topic, expired).await?;
        }
        for surplus in views.drain(MAX_SESSIONS.min(views.len())..) {
            self.revoke_session(user, &surplus.session, false, RevokeReason::TooMany, None).await?;
        }
        Ok(views)
    }
}
