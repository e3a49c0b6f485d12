//! Sessions as builds before rotation keep them: each in a topic of its own. Such a node may run beside this one while the
//! chat is upgraded, so sessions are written there, too, and found there.

use serde::{Deserialize, Serialize};

use crate::domain::id::{SessionId, UserId};
use crate::domain::position::Millis;
use crate::domain::session::SESSION_TTL_MS;
use crate::store::{Commit, FieldStore, LogStore, StoreError, Topic};

const SESSION: &str = "session";

/// What the topic of a session holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Previous {
    pub(super) user: UserId,
    pub(super) since: Millis,
    pub(super) client: String,
}

/// Reads a session.
pub(super) async fn read(fields: &dyn FieldStore, session: &SessionId) -> Result<Option<Previous>, StoreError> {
    let found = fields.fields(&Topic::Session(session.clone()), &[SESSION.to_owned()]).await?;
    let text = found.values.into_iter().next().flatten();
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Writes a session, or `None` where it was revoked.
pub(super) async fn write(
    log: &dyn LogStore,
    session: &SessionId,
    previous: Option<&Previous>,
) -> Result<(), StoreError> {
    let text = previous.map(serde_json::to_string).transpose();
    let text = text.map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let commit = Commit { set: vec![(SESSION.to_owned(), text)], ttl_ms: Some(SESSION_TTL_MS), ..Commit::default() };
    log.commit(&Topic::Session(session.clone()), commit).await.map(drop)
}

/// Puts off the end of a session.
pub(super) async fn touch(fields: &dyn FieldStore, session: &SessionId) -> Result<(), StoreError> {
    fields.touch(&Topic::Session(session.clone()), SESSION_TTL_MS).await.map(drop)
}
