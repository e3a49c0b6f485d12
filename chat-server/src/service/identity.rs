//! Who is behind a connection: guests, and the signed tokens that continue them on any node.
//!
//! A user's topic holds the user's sessions ([`record`]) and which of them were revoked ([`revoke`]), so that a connect
//! reads and writes all that it needs at once. A guest is there from the first time that it says or changes something
//! ([`guest`]), and gone some time after its last socket, with its read marks ([`gone`]).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::id::{Name, SessionId, UserId};
use crate::domain::position::Millis;
use crate::domain::session::RevokeReason;
use crate::domain::user::User;
use crate::service::actor::now;
use crate::store::{Bus, FieldStore, LogStore, ReadMarks, StoreError, Stores, Topic};
use keys::Keys;
use record::Record;
use token::{Generation, GuestClaims, SigningKey, Token};

mod gone;
mod guest;
mod keys;
mod list;
mod previous;
mod record;
mod restore;
mod resume;
mod revoke;
mod share_keys;
pub mod token;

pub use guest::Unstored;
pub(crate) use guest::store_profile;
pub use revoke::{Revocations, Revoked};

/// The field of a user's topic that says who it is.
pub(crate) const PROFILE: &str = "profile";
/// Of a user, before the id of a session: the session, [`Record`].
const SESSION: &str = "s:";
/// Of a user, before the id of a session: that it was revoked, [`Mark`].
const REVOKED: &str = "x:";
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
    /// When the session began.
    pub since: Millis,
    /// What the client calls itself.
    pub client: Box<str>,
    /// What is to be stored with the first that the guest says or changes; `None` if the guest is stored.
    pub unstored: Option<Unstored>,
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
    keys: Keys,
}

/// What is left of a session that was revoked, for as long as a token of it could be used.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    at: Millis,
    reason: RevokeReason,
}

/// What the store has of a user and of one of the user's sessions: the texts that a commit which uses them expects.
struct Stored {
    now: Millis,
    profile: Option<String>,
    session: Option<String>,
    revoked: Option<Mark>,
}

impl Sessions {
    /// Sessions signed by `keys`; without any, by a key that all nodes share through the store.
    #[must_use]
    pub fn new(stores: &Stores, keys: Vec<SigningKey>) -> Self {
        let Stores { log, fields, marks, bus, .. } = stores.clone();
        Self { log, fields, marks, bus, keys: Keys::new(keys) }
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

    /// Begins a session for a new guest. Nothing is stored.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn new_guest(&self, credentials: Credentials) -> Result<Identity, SessionError> {
        let Credentials { name, client, rotate, .. } = credentials;
        let name = name.ok_or(SessionError::Unauthenticated)?;
        let user = User { id: new_id("u").and_then(|id| parse(UserId::parse(&id)))?, name: name.clone(), guest: true };
        let session = new_id("s").and_then(|id| parse(SessionId::parse(&id)))?;
        let since = now();
        let record = Record::new(since, client.clone(), rotate);
        let claims = GuestClaims { name, since, client, at: since };
        let resume = self.next_resume(&session, &user.id, &record, Some(claims)).await?;
        let (user, client) = (Arc::new(user), record.client.clone().into());
        let unstored = Some(Unstored(record));
        Ok(Identity { user, session, resume, resumed: false, since, client, unstored })
    }

    /// Reads what is stored of a user and a session, in one call.
    async fn stored(&self, user: &UserId, session: &SessionId) -> Result<Stored, StoreError> {
        let names = [PROFILE.to_owned(), session_field(session), revoked_field(session)];
        let found = self.fields.fields(&Topic::User(user.clone()), &names).await?;
        let [profile, session, revoked] = <[_; 3]>::try_from(found.values).unwrap_or_default();
        let revoked = revoked.as_deref().map(from_json).transpose()?;
        Ok(Stored { now: found.now, profile, session, revoked })
    }

    /// The token to be used next: each one is another, unless the session does not rotate.
    async fn next_resume(
        &self,
        session: &SessionId,
        user: &UserId,
        record: &Record,
        guest: Option<GuestClaims>,
    ) -> Result<String, StoreError> {
        let generation = match record.next_number() {
            Some(number) => Generation { number, salt: new_id("")? },
            None => Generation::default(),
        };
        let token = Token { session: session.clone(), user: user.clone(), generation, guest };
        Ok(token.sign(&self.keys().await?))
    }
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
