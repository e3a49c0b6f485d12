//! Who is behind a connection: guests, and the signed tokens that continue them on any node.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::domain::id::{Name, RoomId, SessionId, UserId};
use crate::domain::position::Millis;
use crate::domain::user::User;
use token::{SigningKey, sign, verify};

pub mod token;
use crate::store::{Commit, Committed, FieldStore, LogStore, ReadMarks, StoreError, Stores, Topic};

/// A guest and a session are forgotten this long after their last socket: 30 days.
pub const SESSION_TTL_MS: Millis = 30 * 24 * 3_600_000;

/// The field of a user's topic that says who it is.
pub(crate) const PROFILE: &str = "profile";
const SESSION: &str = "session";
const SIGNING_KEY: &str = "session-key";

/// What a client says of itself when it connects.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// What a guest wants to be called.
    pub name: Option<Name>,
    /// The token that continues a session.
    pub resume: Option<String>,
    /// What the client calls itself; for the list of one's sessions.
    pub client: String,
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
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    user: UserId,
    since: Millis,
    client: String,
}

/// The sessions of a cluster.
#[derive(Clone)]
pub struct Sessions {
    log: Arc<dyn LogStore>,
    fields: Arc<dyn FieldStore>,
    marks: Arc<dyn ReadMarks>,
    keys: Arc<OnceCell<Vec<SigningKey>>>,
}

impl Sessions {
    /// Sessions signed by `keys`; without any, by a key that all nodes share through the store.
    #[must_use]
    pub fn new(stores: &Stores, keys: Vec<SigningKey>) -> Self {
        let keys = if keys.is_empty() { OnceCell::new() } else { OnceCell::new_with(Some(keys)) };
        let Stores { log, fields, marks, .. } = stores.clone();
        Self { log, fields, marks, keys: Arc::new(keys) }
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
    /// A token that is unknown, forged or expired counts as absent.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn authenticate(&self, credentials: Credentials) -> Result<Identity, SessionError> {
        let keys = self.keys().await?;
        if let Some(token) = &credentials.resume
            && let Some((session, user)) = verify(keys, token)
            && let Some(user) = self.resume(&session, &user).await?
        {
            // Signed anew, so that a change of keys reaches those who come back.
            let resume = sign(keys, &session, &user.id);
            return Ok(Identity { user: Arc::new(user), resume, session, resumed: true });
        }
        let name = credentials.name.ok_or(SessionError::Unauthenticated)?;
        self.begin(keys, name, credentials.client).await
    }

    async fn resume(&self, session: &SessionId, user: &UserId) -> Result<Option<User>, StoreError> {
        let record = self.fields.fields(&Topic::Session(session.clone()), &[SESSION.to_owned()]).await?;
        let known =
            record.values.into_iter().next().flatten().and_then(|text| serde_json::from_str::<Record>(&text).ok());
        if known.is_none_or(|record| record.user != *user) {
            return Ok(None);
        }
        let Some(profile) = profile(&*self.fields, user).await? else { return Ok(None) };
        self.keep_alive(session, user).await?;
        Ok(Some(profile))
    }

    async fn begin(&self, keys: &[SigningKey], name: Name, client: String) -> Result<Identity, SessionError> {
        let user = User { id: new_id("u").and_then(|id| parse(UserId::parse(&id)))?, name, guest: true };
        let session = new_id("s").and_then(|id| parse(SessionId::parse(&id)))?;
        let profile = Commit {
            set: vec![(PROFILE.to_owned(), Some(to_json(&user)?))],
            ttl_ms: Some(SESSION_TTL_MS),
            ..Commit::default()
        };
        self.log.commit(&Topic::User(user.id.clone()), profile).await?;
        // A guest starts having read the lobby: what others said before is not unread.
        self.marks.mark_read(&Topic::Room(RoomId::lobby()), &user.id, u64::MAX).await?;
        let topic = Topic::Session(session.clone());
        let since = self.fields.fields(&topic, &[]).await?.now;
        let record = Record { user: user.id.clone(), since, client };
        let record = Commit {
            set: vec![(SESSION.to_owned(), Some(to_json(&record)?))],
            ttl_ms: Some(SESSION_TTL_MS),
            ..Commit::default()
        };
        self.log.commit(&topic, record).await?;
        let resume = sign(keys, &session, &user.id);
        Ok(Identity { user: Arc::new(user), session, resume, resumed: false })
    }

    /// Puts off the end of a session and its guest. Called while a socket is open.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep_alive(&self, session: &SessionId, user: &UserId) -> Result<(), StoreError> {
        self.fields.touch(&Topic::Session(session.clone()), SESSION_TTL_MS).await?;
        self.fields.touch(&Topic::User(user.clone()), SESSION_TTL_MS).await?;
        Ok(())
    }
}

/// The person of that id, if known.
///
/// # Errors
/// The store's.
pub(crate) async fn profile(fields: &dyn FieldStore, user: &UserId) -> Result<Option<User>, StoreError> {
    let found = fields.fields(&Topic::User(user.clone()), &[PROFILE.to_owned()]).await?;
    let Some(text) = found.values.into_iter().next().flatten() else { return Ok(None) };
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
        Committed::Done { .. } | Committed::Repeated(_) => mine,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Retention;
    use crate::store::memory::MemoryStore;

    fn sessions(stores: &Stores, keys: &[&str]) -> Sessions {
        let keys = keys.iter().map(|key| SigningKey::new(key.as_bytes().to_vec())).collect();
        Sessions::new(stores, keys)
    }

    fn stores() -> Stores {
        Stores::new(Arc::new(MemoryStore::new(Retention::default()).0))
    }

    fn guest(name: &str) -> Credentials {
        Credentials { name: Name::parse(name).ok(), ..Credentials::default() }
    }

    fn token(resume: &str) -> Credentials {
        Credentials { resume: Some(resume.to_owned()), ..Credentials::default() }
    }

    #[tokio::test]
    async fn a_token_continues_the_same_guest_on_another_node() {
        let stores = stores();
        let ann = sessions(&stores, &[]).authenticate(guest("Ann")).await.unwrap();
        let again = sessions(&stores, &[]).authenticate(token(&ann.resume)).await.unwrap();
        assert!(again.resumed);
        assert_eq!((again.user, again.session), (ann.user, ann.session));
    }

    #[tokio::test]
    async fn a_forged_token_counts_as_absent() {
        let sessions = sessions(&stores(), &[]);
        let ann = sessions.authenticate(guest("Ann")).await.unwrap();
        let bob = sessions.authenticate(guest("Bob")).await.unwrap();
        let signature = ann.resume.rsplit('.').next().unwrap();
        let forged = format!("{}.{}.{signature}", ann.session, bob.user.id);
        for bad in [forged.as_str(), "", "x", "a.b.c", "a.b.c.d", "é.é.é"] {
            assert!(matches!(sessions.authenticate(token(bad)).await, Err(SessionError::Unauthenticated)), "{bad}");
            let with_name = Credentials { resume: Some(bad.to_owned()), ..guest("Eve") };
            assert!(!sessions.authenticate(with_name).await.unwrap().resumed);
        }
    }

    #[tokio::test]
    async fn keys_are_changed_without_throwing_anyone_out() {
        let stores = stores();
        let (old, new) = ("o".repeat(32), "n".repeat(32));
        let ann = sessions(&stores, &[&old]).authenticate(guest("Ann")).await.unwrap();
        let both = sessions(&stores, &[&new, &old]).authenticate(token(&ann.resume)).await.unwrap();
        assert!(both.resumed);
        assert!(sessions(&stores, &[&new]).authenticate(token(&both.resume)).await.unwrap().resumed);
        assert!(sessions(&stores, &[&new]).authenticate(token(&ann.resume)).await.is_err());
    }
}
