//! Who is behind a connection: guests, and the signed tokens that continue them on any node.
//!
//! A user's topic holds the user's sessions ([`record`]) and which of them were revoked ([`revoke`]), so that a connect
//! reads and writes all that it needs at once.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::domain::id::{Name, RoomId, SessionId, UserId};
use crate::domain::position::Millis;
use crate::domain::session::RevokeReason;
use crate::domain::user::User;
use previous::Previous;
use record::{Record, Reused};
use token::{Generation, SigningKey, Token};

mod list;
mod previous;
mod record;
mod revoke;
pub mod token;
use crate::store::{Bus, Commit, Committed, FieldStore, LogStore, ReadMarks, StoreError, Stores, Topic};

pub use record::SESSION_TTL_MS;
pub use revoke::{Revocations, Revoked};

/// The field of a user's topic that says who it is.
pub(crate) const PROFILE: &str = "profile";
/// Of a user, before the id of a session: the session, [`Record`].
const SESSION: &str = "s:";
/// Of a user, before the id of a session: that it was revoked, [`Mark`].
const REVOKED: &str = "x:";
const SIGNING_KEY: &str = "session-key";
/// How often a check is repeated when somebody changed the session between check and commit.
const TRIES: usize = 8;

/// What a client says of itself when it connects.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// What a guest wants to be called.
    pub name: Option<Name>,
    /// The token that continues a session.
    pub resume: Option<String>,
    /// What the client calls itself; for the list of one's sessions.
    pub client: String,
    /// The client always uses the newest token that it was given, so an older one is somebody else's.
    pub rotate: bool,
}

/// Who connected.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The person; not copied for all who need to know.
    pub user: Arc<User>,
    /// The session.
    pub session: SessionId,
    /// The token with which to come back.
    pub resume: String,
    /// Whether the session was there before.
    pub resumed: bool,
}

/// Why nobody connected.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Neither a token that holds nor a name.
    #[error("neither a name nor a valid token was given")]
    Unauthenticated,
    /// The token is of a session that was revoked, or is by this connect.
    #[error("the session was revoked")]
    Revoked(RevokeReason),
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The sessions of a cluster.
#[derive(Clone)]
pub struct Sessions {
    log: Arc<dyn LogStore>,
    fields: Arc<dyn FieldStore>,
    marks: Arc<dyn ReadMarks>,
    bus: Arc<dyn Bus>,
    keys: Arc<OnceCell<Vec<SigningKey>>>,
}

/// What is left of a session that was revoked, for as long as a token of it could be used.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    at: Millis,
    reason: RevokeReason,
}

/// A session and its user, as the store has them.
struct Found {
    user: User,
    record: Record,
    /// What the commit that uses it expects.
    field: Option<String>,
}

impl Sessions {
    /// Sessions signed by `keys`; without any, by a key that all nodes share through the store.
    #[must_use]
    pub fn new(stores: &Stores, keys: Vec<SigningKey>) -> Self {
        let keys = if keys.is_empty() { OnceCell::new() } else { OnceCell::new_with(Some(keys)) };
        let Stores { log, fields, marks, bus, .. } = stores.clone();
        Self { log, fields, marks, bus, keys: Arc::new(keys) }
    }

    /// The keys. The first call reads the shared key from the store.
    ///
    /// # Errors
    /// The store's.
    pub async fn keys(&self) -> Result<&[SigningKey], StoreError> {
        let keys = self.keys.get_or_try_init(|| async { Ok(vec![shared_key(&*self.log).await?]) }).await?;
        Ok(keys)
    }

    /// Continues the session of a valid token, or begins one for a new guest.
    ///
    /// # Errors
    /// See [`SessionError`]. A revoked session is refused, whatever else the client gives.
    pub async fn authenticate(&self, credentials: Credentials) -> Result<Identity, SessionError> {
        match self.resumed(&credentials).await? {
            Some(identity) => Ok(identity),
            None => self.new_guest(credentials).await,
        }
    }

    /// Continues the session of a valid token. A token that is unknown, forged or expired counts as absent.
    ///
    /// # Errors
    /// The store's; [`SessionError::Revoked`].
    pub async fn resumed(&self, credentials: &Credentials) -> Result<Option<Identity>, SessionError> {
        let keys = self.keys().await?;
        if let Some(token) = credentials.resume.as_ref().and_then(|text| Token::verify(keys, text))
            && let Some((user, record)) = self.resume(&token, credentials.rotate).await?
        {
            // Signed anew, so that a change of keys reaches those who come back.
            let resume = next_token(&token.session, &user.id, &record)?.sign(keys);
            return Ok(Some(Identity { user: Arc::new(user), resume, session: token.session, resumed: true }));
        }
        Ok(None)
    }

    /// Begins a session for a new guest.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn new_guest(&self, credentials: Credentials) -> Result<Identity, SessionError> {
        let Credentials { name, client, rotate, .. } = credentials;
        let name = name.ok_or(SessionError::Unauthenticated)?;
        Ok(self.begin(self.keys().await?, name, client, rotate).await?)
    }

    /// One read and one commit, which fails if the session was revoked in between.
    async fn resume(&self, token: &Token, rotate: bool) -> Result<Option<(User, Record)>, SessionError> {
        let Token { session, user, generation } = token;
        for _ in 0..TRIES {
            let (now, Some(found)) = self.find(user, session).await? else { return Ok(None) };
            let mut record = found.record;
            if record.is_expired(now) {
                return Ok(None);
            }
            if let Err(Reused) = record.note_used(generation, rotate, now) {
                tracing::warn!(%session, "a resume token was used again after a newer one; its session is revoked");
                self.revoke_session(user, session, RevokeReason::TokenReused, None).await?;
                return Err(SessionError::Revoked(RevokeReason::TokenReused));
            }
            record.note_seen(now);
            let text = to_json(&record)?;
            let name = session_field(session);
            let set = if found.field.as_ref() == Some(&text) { vec![] } else { vec![(name.clone(), Some(text))] };
            let expect = vec![(name, found.field), (revoked_field(session), None)];
            let commit = Commit { expect, set, ttl_ms: Some(SESSION_TTL_MS), ..Commit::default() };
            if let Committed::Done { .. } = self.log.commit(&Topic::User(user.clone()), commit).await? {
                return Ok(Some((found.user, record)));
            }
        }
        Err(StoreError::Unavailable("a session is changing too fast".to_owned()).into())
    }

    /// A session and its user, if both are known, and the store's time.
    async fn find(&self, user: &UserId, session: &SessionId) -> Result<(Millis, Option<Found>), SessionError> {
        let names = [PROFILE.to_owned(), session_field(session), revoked_field(session)];
        let found = self.fields.fields(&Topic::User(user.clone()), &names).await?;
        let mut values = found.values.into_iter();
        let (profile, field, revoked) = (values.next().flatten(), values.next().flatten(), values.next().flatten());
        if let Some(mark) = revoked {
            return Err(SessionError::Revoked(from_json::<Mark>(&mark)?.reason));
        }
        let Some(profile) = profile else { return Ok((found.now, None)) };
        let record = match &field {
            Some(text) => Some(from_json(text)?),
            None => previous::read(&*self.fields, session)
                .await?
                .filter(|previous| previous.user == *user)
                .map(|Previous { since, client, .. }| Record::adopted(since, client, found.now)),
        };
        let user = from_json(&profile)?;
        Ok((found.now, record.map(|record| Found { user, record, field })))
    }

    async fn begin(
        &self,
        keys: &[SigningKey],
        name: Name,
        client: String,
        rotate: bool,
    ) -> Result<Identity, StoreError> {
        let user = User { id: new_id("u").and_then(|id| parse(UserId::parse(&id)))?, name, guest: true };
        let session = new_id("s").and_then(|id| parse(SessionId::parse(&id)))?;
        let topic = Topic::User(user.id.clone());
        // A guest starts having read the lobby: what others said before is not unread.
        let lobby = Topic::Room(RoomId::lobby());
        let (now, _) =
            tokio::try_join!(self.fields.fields(&topic, &[]), self.marks.mark_read(&lobby, &user.id, u64::MAX))?;
        let since = now.now;
        let previous = Previous { user: user.id.clone(), since, client: client.clone() };
        let record = Record::new(since, client, rotate);
        let commit = Commit {
            set: vec![(PROFILE.to_owned(), Some(to_json(&user)?)), (session_field(&session), Some(to_json(&record)?))],
            ttl_ms: Some(SESSION_TTL_MS),
            ..Commit::default()
        };
        tokio::try_join!(self.log.commit(&topic, commit), previous::write(&*self.log, &session, Some(&previous)))?;
        let resume = next_token(&session, &user.id, &record)?.sign(keys);
        Ok(Identity { user: Arc::new(user), session, resume, resumed: false })
    }

    /// Puts off the end of a session and its guest. Called while a socket is open.
    ///
    /// # Errors
    /// The store's; [`SessionError::Revoked`] for a session that was revoked.
    pub async fn keep_alive(&self, session: &SessionId, user: &UserId) -> Result<(), SessionError> {
        let (now, found) = self.find(user, session).await?;
        let Some(Found { mut record, field, .. }) = found else { return Ok(()) };
        record.note_seen(now);
        let name = session_field(session);
        // Where somebody changed it meanwhile, it was seen then.
        let commit = Commit {
            expect: vec![(name.clone(), field), (revoked_field(session), None)],
            set: vec![(name, Some(to_json(&record)?))],
            ttl_ms: Some(SESSION_TTL_MS),
            ..Commit::default()
        };
        self.log.commit(&Topic::User(user.clone()), commit).await?;
        Ok(previous::touch(&*self.fields, session).await?)
    }
}

/// The token to be used next: each one is another, unless the session does not rotate.
fn next_token(session: &SessionId, user: &UserId, record: &Record) -> Result<Token, StoreError> {
    let generation = match record.next_number() {
        Some(number) => Generation { number, salt: new_id("")? },
        None => Generation::default(),
    };
    Ok(Token { session: session.clone(), user: user.clone(), generation })
}

fn session_field(session: &SessionId) -> String {
    format!("{SESSION}{session}")
}

fn revoked_field(session: &SessionId) -> String {
    format!("{REVOKED}{session}")
}

/// The person of that id, if known.
///
/// # Errors
/// The store's.
pub(crate) async fn profile(fields: &dyn FieldStore, user: &UserId) -> Result<Option<User>, StoreError> {
    let found = fields.values(&[Topic::User(user.clone())], &[PROFILE.to_owned()]).await?;
    let Some(text) = found.into_iter().flatten().next().flatten() else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| StoreError::Corrupt(format!("a profile: {error}")))
}

/// The key that all nodes of a cluster share: the first to come makes it.
async fn shared_key(log: &dyn LogStore) -> Result<SigningKey, StoreError> {
    let mut bytes = [0; 32];
    fill_random(&mut bytes)?;
    let mine = URL_SAFE_NO_PAD.encode(bytes);
    let commit = Commit {
        expect: vec![(SIGNING_KEY.to_owned(), None)],
        set: vec![(SIGNING_KEY.to_owned(), Some(mine.clone()))],
        ..Commit::default()
    };
    let key = match log.commit(&Topic::Cluster, commit).await? {
        Committed::Refused(values) => values.into_iter().next().flatten().unwrap_or(mine),
        Committed::Done { .. } | Committed::Repeated(_) | Committed::Full => mine,
    };
    Ok(SigningKey::new(key.into_bytes()))
}

/// A new identifier that nobody guesses: `prefix` and 128 random bits.
///
/// # Errors
/// The system has no randomness to give.
pub fn new_id(prefix: &str) -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes)?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn fill_random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Unavailable(format!("no randomness: {error}")))
}

fn parse<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, StoreError> {
    result.map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    parse(serde_json::to_string(value))
}

fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, StoreError> {
    parse(serde_json::from_str(text))
}

#[cfg(test)]
mod tests;
