//! Revoking a session: first it is gone from the store, then every node closes its sockets.
//!
//! A revocation leaves three things. A mark beside the user's sessions, which refuses the session's tokens for as long as
//! they could be used. A notice to the user's sockets, which may be lost. And an entry in the log of the cluster, which
//! each node reads every few seconds: so a node learns of it though the notice was lost, or came before the socket was
//! there.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Mark, REVOKED, Sessions, TRIES, from_json, previous, revoked_field, session_field, to_json};
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{SessionId, UserId};
use crate::domain::json::Members;
use crate::domain::limits::MAX_SESSIONS;
use crate::domain::position::{Millis, Offset};
use crate::domain::session::{RevokeReason, SESSION_TTL_MS};
use crate::service::actor::Actor;
use crate::store::{Append, Commit, Committed, Entry, Keep, LogStore, Notice, Range, StoreError, Topic};

/// The entry of the cluster's log.
const EVENT: &str = "session:revoked";
/// Revocations that are read at a time.
const PAGE: usize = 500;
/// How many of the last revocations are read where it is not known which ones were.
const LAST: u64 = 100;

/// What the log of the cluster says of a revocation.
#[derive(Serialize, Deserialize)]
struct Content {
    session: SessionId,
    reason: RevokeReason,
}

/// What a session was before it was revoked.
enum Was {
    /// It was stored, perhaps as builds before rotation do.
    Stored,
    /// It was in its token only.
    Unstored,
}

/// A session that was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Whose it was.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Why.
    pub reason: RevokeReason,
}

impl Sessions {
    /// Revokes one of a person's own sessions, of which `current` is the one that asks: it need not be stored. To revoke one
    /// again does no harm.
    ///
    /// # Errors
    /// `not_found` for a session that is not the person's.
    pub async fn revoke(&self, actor: &Actor, session: &SessionId, current: &SessionId) -> Result<(), Refusal> {
        let own = session == current;
        if self.revoke_session(&actor.user.id, session, own, RevokeReason::Requested, actor.socket()).await? {
            return Ok(());
        }
        Err(Refusal::new(Code::NotFound, "there is no such session"))
    }

    /// Why the session was revoked, if it was.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoked(&self, user: &UserId, session: &SessionId) -> Result<Option<RevokeReason>, StoreError> {
        let found = self.fields.fields(&Topic::User(user.clone()), &[revoked_field(session)]).await?;
        let mark = found.values.into_iter().next().flatten();
        mark.map(|mark| Ok(from_json::<Mark>(&mark)?.reason)).transpose()
    }

    /// What was revoked on any node.
    #[must_use]
    pub fn revocations(&self) -> Revocations {
        Revocations { log: self.log.clone(), after: None }
    }

    /// Revokes a session; false if the user has no such session. `own`: there is one, though it may not be stored.
    pub(super) async fn revoke_session(
        &self,
        user: &UserId,
        session: &SessionId,
        own: bool,
        reason: RevokeReason,
        by_socket: Option<String>,
    ) -> Result<bool, StoreError> {
        match self.mark_revoked(user, session, own, reason).await? {
            None => return Ok(false),
            Some(Was::Unstored) => {}
            Some(Was::Stored) => previous::write(&*self.log, session, None).await?,
        }
        let content = Members::of(&Content { session: session.clone(), reason });
        let append = Append {
            event: EVENT,
            by: user.clone(),
            payload: content.map_err(|error| StoreError::Corrupt(error.to_string()))?,
            // A revocation that is repeated, because a part of it failed, is one entry.
            nonce: Some(session.to_string()),
            counted: false,
            trace: None,
        };
        self.log.commit(&Topic::Cluster, Commit { append: Some(append), ..Commit::default() }).await?;
        let notice = Notice::SessionRevoked { session: session.clone(), reason, by_socket };
        if let Err(error) = self.bus.signal(&Topic::User(user.clone()), to_json(&notice)?).await {
            tracing::warn!(%error, "the sockets of a revoked session could not be told; their nodes will find out");
        }
        Ok(true)
    }

    /// Puts a mark in the place of a session; `None` if there is neither, and it is not the user's `own` all the same.
    async fn mark_revoked(
        &self,
        user: &UserId,
        session: &SessionId,
        own: bool,
        reason: RevokeReason,
    ) -> Result<Option<Was>, StoreError> {
        let topic = Topic::User(user.clone());
        let names = [session_field(session), revoked_field(session)];
        for _ in 0..TRIES {
            let found = self.fields.fields(&topic, &names).await?;
            let mut values = found.values.into_iter();
            let (record, mark) = (values.next().flatten(), values.next().flatten());
            if mark.is_some() {
                return Ok(Some(Was::Stored));
            }
            let was = match &record {
                Some(_) => Was::Stored,
                None => match previous::read(&*self.fields, session).await? {
                    Some(previous) if previous.user == *user => Was::Stored,
                    _ if own => Was::Unstored,
                    _ => return Ok(None),
                },
            };
            let mut set = self.outdated_marks(&topic, found.now).await?;
            set.extend([(names[0].clone(), None), (names[1].clone(), Some(to_json(&Mark { at: found.now, reason })?))]);
            let expect = vec![(names[0].clone(), record)];
            let commit = Commit { expect, set, ttl_ms: Some(SESSION_TTL_MS), ..Commit::default() };
            if let Committed::Done { .. } = self.log.commit(&topic, commit).await? {
                return Ok(Some(was));
            }
        }
        Err(StoreError::Unavailable("a session is changing too fast".to_owned()))
    }

    /// Removes marks whose tokens are past their time, and the oldest where one more would be too many.
    async fn outdated_marks(&self, topic: &Topic, now: Millis) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let marks = self.fields.list(topic, REVOKED, None, 2 * MAX_SESSIONS).await?;
        // One that can't be read goes first.
        let at = |text: &str| from_json::<Mark>(text).map_or(0, |mark| mark.at);
        let mut marks: Vec<(Millis, String)> = marks.into_iter().map(|(name, text)| (at(&text), name)).collect();
        marks.sort_unstable();
        let surplus = (marks.len() + 1).saturating_sub(MAX_SESSIONS);
        let outdated =
            |(place, (at, _)): &(usize, (Millis, String))| *place < surplus || at.saturating_add(SESSION_TTL_MS) < now;
        Ok(marks.into_iter().enumerate().filter(outdated).map(|(_, (_, name))| (name, None)).collect())
    }
}

/// Reads what was revoked on any node, from the log of the cluster.
pub struct Revocations {
    log: Arc<dyn LogStore>,
    after: Option<Offset>,
}

impl Revocations {
    /// What was revoked since the last call; at first, the last that there were.
    ///
    /// # Errors
    /// The store's. The next call goes on from where this one failed.
    pub async fn next(&mut self) -> Result<Vec<Revoked>, StoreError> {
        let tops = self.log.tops(&[Topic::Cluster]).await?;
        let Some(top) = tops.into_iter().next().flatten() else {
            return Err(StoreError::Unavailable("the log of the cluster can't be reached".to_owned()));
        };
        // A store that lost its last entries assigns their offsets again.
        let mut after = self.after.filter(|after| *after <= top.offset).unwrap_or(top.offset.saturating_sub(LAST));
        let mut found = Vec::new();
        while after < top.offset {
            let range = Range { after, before: None, limit: PAGE, keep: Keep::Oldest };
            let entries = self.log.read(&Topic::Cluster, range).await?.entries;
            // What is past its retention is not returned.
            after = entries.last().map_or(top.offset, |last| last.offset);
            found.extend(entries.iter().filter_map(revoked));
        }
        self.after = Some(after);
        Ok(found)
    }
}

/// What an entry says; nothing for one that is no revocation.
fn revoked(entry: &Entry) -> Option<Revoked> {
    let Content { session, reason } = entry.payload.parse().ok()?;
    (entry.event == EVENT).then(|| Revoked { user: entry.by.clone(), session, reason })
}
