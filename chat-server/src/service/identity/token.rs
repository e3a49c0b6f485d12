//! Resume tokens, which every node can verify.
//!
//! A session that does not rotate has one token, `SESSION.USER.SIGNATURE`, as builds before rotation signed it. One that
//! does has a new one after each connect, `SESSION.USER.GENERATION.SIGNATURE`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
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

/// Which of a session's tokens it is. Two tokens that were given for the same one have the same number and different
/// salts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) salt: String,
}

impl Generation {
    /// Whether the token is the one of a session that does not rotate.
    fn is_none(&self) -> bool {
        self.number == 0
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, salt) = text.split_once('-')?;
        let generation = Self { number: number.parse().ok()?, salt: salt.to_owned() };
        (!generation.is_none()).then_some(generation)
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) session: SessionId,
    pub(super) user: UserId,
    pub(super) generation: Generation,
}

impl Token {
    /// The token as text, signed by the first key.
    pub(super) fn sign(&self, keys: &[SigningKey]) -> String {
        let content = self.content();
        let signature = keys.first().map(|key| signature(key, &self.signed(&content)).finalize().into_bytes());
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap_or_default()))
    }

    /// Reads a token that one of the keys signed.
    pub(super) fn verify(keys: &[SigningKey], text: &str) -> Option<Self> {
        let (content, signed) = text.rsplit_once('.')?;
        let mut parts = content.split('.');
        let (session, user, generation) = (parts.next()?, parts.next()?, parts.next());
        if parts.next().is_some() {
            return None;
        }
        let token = Self {
            session: SessionId::parse(session).ok()?,
            user: UserId::parse(user).ok()?,
            generation: generation.map_or(Some(Generation::default()), Generation::parse)?,
        };
        let signed = URL_SAFE_NO_PAD.decode(signed).ok()?;
        // `verify_slice` compares in constant time.
        let genuine = keys.iter().any(|key| signature(key, &token.signed(content)).verify_slice(&signed).is_ok());
        genuine.then_some(token)
    }

    fn content(&self) -> String {
        let Self { session, user, generation } = self;
        if generation.is_none() {
            return format!("{session}.{user}");
        }
        format!("{session}.{user}.{}-{}", generation.number, generation.salt)
    }

    /// What the signature covers: a token of one form is never one of the other.
    fn signed(&self, content: &str) -> String {
        format!("resume.v{}.{content}", if self.generation.is_none() { 1 } else { 2 })
    }
}

fn signature(key: &SigningKey, content: &str) -> Hmac<Sha256> {
    // A block of the hash is the one length that always fits; a digest makes it of any key.
    let mut block = [0; 64];
    block[..32].copy_from_slice(&Sha256::digest(key.bytes()));
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(content.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u32, salt: &str) -> Token {
        let generation = Generation { number, salt: salt.to_owned() };
        Token { session: SessionId::parse("s1").unwrap(), user: UserId::parse("u1").unwrap(), generation }
    }

    #[test]
    fn a_token_of_each_form_is_read_back_and_no_other() {
        let keys = [SigningKey::new(vec![7; 32])];
        for token in [token(0, ""), token(1, "aB-_9"), token(u32::MAX, "x")] {
            let text = token.sign(&keys);
            assert_eq!(Token::verify(&keys, &text), Some(token.clone()), "{text}");
            assert_eq!(Token::verify(&[SigningKey::new(vec![8; 32])], &text), None, "{text}");
            assert_eq!(Token::verify(&keys, &format!("{text}A")), None, "{text}");
        }
        let (plain, rotated) = (token(0, "").sign(&keys), token(1, "x").sign(&keys));
        let signature = |text: &str| text.rsplit('.').next().unwrap().to_owned();
        for forged in [
            format!("s1.u1.{}", signature(&rotated)),
            format!("s1.u1.1-x.{}", signature(&plain)),
            format!("s1.u1.2-x.{}", signature(&rotated)),
            format!("s1.u1.1-y.{}", signature(&rotated)),
            format!("s1.u1.0-.{}", signature(&plain)),
            format!("s1.u1.1-x.z.{}", signature(&rotated)),
        ] {
            assert_eq!(Token::verify(&keys, &forged), None, "{forged}");
        }
    }

    #[test]
    fn the_token_of_a_session_that_does_not_rotate_is_the_one_of_earlier_builds() {
        let key = SigningKey::new(vec![7; 32]);
        let text = token(0, "").sign(std::slice::from_ref(&key));
        let signature = signature(&key, "resume.v1.s1.u1").finalize().into_bytes();
        assert_eq!(text, format!("s1.u1.{}", URL_SAFE_NO_PAD.encode(signature)));
    }
}
