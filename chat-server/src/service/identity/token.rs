//! Resume tokens: `SESSION.USER.SIGNATURE`, which every node can verify.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::domain::id::{SessionId, UserId};

/// A key that signs resume tokens. Never shown.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Wraps the bytes of a key.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for signing only.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The token of a session, by the first key.
pub(super) fn sign(keys: &[SigningKey], session: &SessionId, user: &UserId) -> String {
    let signature = keys.first().map(|key| signature(key, session, user).finalize().into_bytes());
    format!("{session}.{user}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap_or_default()))
}

/// Whose token it is, if one of the keys signed it.
pub(super) fn verify(keys: &[SigningKey], token: &str) -> Option<(SessionId, UserId)> {
    let mut parts = token.split('.');
    let (session, user, signed) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let session = SessionId::parse(session).ok()?;
    let user = UserId::parse(user).ok()?;
    let signed = URL_SAFE_NO_PAD.decode(signed).ok()?;
    // `verify_slice` compares in constant time.
    let genuine = keys.iter().any(|key| signature(key, &session, &user).verify_slice(&signed).is_ok());
    genuine.then_some((session, user))
}

fn signature(key: &SigningKey, session: &SessionId, user: &UserId) -> Hmac<Sha256> {
    // A block of the hash is the one length that always fits; a digest makes it of any key.
    let mut block = [0; 64];
    block[..32].copy_from_slice(&Sha256::digest(key.bytes()));
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(format!("resume.v1.{session}.{user}").as_bytes());
    mac
}
