//! Resume tokens, which every node can verify.
//!
//! A session that does not rotate has one token, `SESSION.USER.SIGNATURE`, as builds before rotation signed it. One that
//! does has a new one after each connect, `SESSION.USER.GENERATION.SIGNATURE`. As long as nothing is stored of a guest, the
//! token says all that there is to know: `SESSION.USER.GENERATION.GUEST.SIGNATURE`, with `0` for the generation of a session
//! that does not rotate.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::id::{Name, SessionId, UserId};
use crate::domain::position::Millis;
use crate::domain::session::SESSION_TTL_MS;

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

/// A guest of whom nothing is stored, as a token tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GuestClaims {
    pub(super) name: Name,
    /// When the session began.
    pub(super) since: Millis,
    /// What the client calls itself.
    pub(super) client: String,
    /// When the token was given, to the day.
    pub(super) at: Millis,
}

/// How exact the time is at which a token was given: a client that does not rotate keeps the same one so long.
const GIVEN_GRAIN_MS: Millis = 24 * 3_600_000;

impl GuestClaims {
    /// Whether the time of the token is over: it is as long as that of what is stored.
    pub(super) fn is_expired(&self, now: Millis) -> bool {
        self.at.saturating_add(SESSION_TTL_MS) < now
    }

    /// Puts off the end of the token, since the guest came back.
    pub(super) fn renewed(mut self, now: Millis) -> Self {
        if now >= self.at.saturating_add(GIVEN_GRAIN_MS) {
            self.at = now;
        }
        self
    }

    fn encode(&self) -> String {
        // Texts and numbers can always be written.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) session: SessionId,
    pub(super) user: UserId,
    pub(super) generation: Generation,
    /// The guest, where nothing was stored when the token was given.
    pub(super) guest: Option<GuestClaims>,
}

impl Token {
    /// The token as text, signed by the first key.
    pub(super) fn sign(&self, keys: &[SigningKey]) -> String {
        let content = self.content();
        let signature = keys.first().map(|key| signature(key, &signed(&content)).finalize().into_bytes());
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap_or_default()))
    }

    /// Reads a token that one of the keys signed.
    pub(super) fn verify(keys: &[SigningKey], text: &str) -> Option<Self> {
        let (content, signature_text) = text.rsplit_once('.')?;
        let signature_bytes = URL_SAFE_NO_PAD.decode(signature_text).ok()?;
        // `verify_slice` compares in constant time.
        keys.iter().find(|key| signature(key, &signed(content)).verify_slice(&signature_bytes).is_ok())?;
        let mut parts = content.split('.');
        let (session, user, generation, guest) = (parts.next()?, parts.next()?, parts.next(), parts.next());
        if parts.next().is_some() {
            return None;
        }
        let guest = match guest {
            Some(guest) => Some(GuestClaims::decode(guest)?),
            None => None,
        };
        let generation = match generation {
            None => Generation::default(),
            Some("0") if guest.is_some() => Generation::default(),
            Some(generation) => Generation::parse(generation)?,
        };
        Some(Self { session: SessionId::parse(session).ok()?, user: UserId::parse(user).ok()?, generation, guest })
    }

    fn content(&self) -> String {
        let Self { session, user, generation, guest } = self;
        let rotates = (!generation.is_none()).then(|| format!("{}-{}", generation.number, generation.salt));
        match (rotates, guest) {
            (None, None) => format!("{session}.{user}"),
            (Some(generation), None) => format!("{session}.{user}.{generation}"),
            (generation, Some(guest)) => {
                format!("{session}.{user}.{}.{}", generation.as_deref().unwrap_or("0"), guest.encode())
            }
        }
    }
}

/// What the signature covers: a token of one form is never one of another.
fn signed(content: &str) -> String {
    format!("resume.v{}.{content}", content.matches('.').count())
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
        Token { session: SessionId::parse("s1").unwrap(), user: UserId::parse("u1").unwrap(), generation, guest: None }
    }

    fn of_guest(token: Token) -> Token {
        let (name, client) = (Name::parse("Zoë. Q").unwrap(), "a \"phone\".".to_owned());
        Token { guest: Some(GuestClaims { name, since: 7, client, at: 9 }), ..token }
    }

    #[test]
    fn a_token_of_each_form_is_read_back_and_no_other() {
        let keys = [SigningKey::new(vec![7; 32])];
        let stored = [token(0, ""), token(1, "aB-_9"), token(u32::MAX, "x")];
        for token in stored.clone().into_iter().chain(stored.map(of_guest)) {
            let text = token.sign(&keys);
            assert_eq!(Token::verify(&keys, &text), Some(token.clone()), "{text}");
            assert_eq!(Token::verify(&[SigningKey::new(vec![8; 32])], &text), None, "{text}");
            assert_eq!(Token::verify(&keys, &format!("{text}A")), None, "{text}");
        }
        let (plain, rotated) = (token(0, "").sign(&keys), token(1, "x").sign(&keys));
        let guest = of_guest(token(0, "")).sign(&keys);
        let signature = |text: &str| text.rsplit('.').next().unwrap().to_owned();
        for forged in [
            format!("s1.u1.{}", signature(&rotated)),
            format!("s1.u1.1-x.{}", signature(&plain)),
            format!("s1.u1.2-x.{}", signature(&rotated)),
            format!("s1.u1.1-y.{}", signature(&rotated)),
            format!("s1.u1.0-.{}", signature(&plain)),
            format!("s1.u1.1-x.z.{}", signature(&rotated)),
            format!("s1.u1.1-x.e30.{}", signature(&guest)),
            format!("s1.u1.{}", signature(&guest)),
            guest.replacen("s1.u1.0", "s1.u1.1-x", 1),
            guest.replacen("s1.u1.0", "s1.u2.0", 1),
            guest.replacen("s1.u1.0", "s1.u1.0-", 1),
        ] {
            assert_eq!(Token::verify(&keys, &forged), None, "{forged}");
        }
    }

    #[test]
    fn a_guest_who_comes_back_has_the_same_token_for_a_day_and_a_good_one_for_ever() {
        let mut guest = of_guest(token(0, "")).guest.unwrap();
        for now in (0..100).map(|day| day * GIVEN_GRAIN_MS) {
            assert!(!guest.is_expired(now));
            guest = guest.renewed(now);
            assert_eq!(guest.clone().renewed(guest.at + GIVEN_GRAIN_MS - 1), guest);
        }
        assert!(!guest.is_expired(guest.at + SESSION_TTL_MS));
        assert!(guest.is_expired(guest.at + SESSION_TTL_MS + 1));
    }

    #[test]
    fn the_token_of_a_session_that_does_not_rotate_is_the_one_of_earlier_builds() {
        let key = SigningKey::new(vec![7; 32]);
        let text = token(0, "").sign(std::slice::from_ref(&key));
        let signature = signature(&key, "resume.v1.s1.u1").finalize().into_bytes();
        assert_eq!(text, format!("s1.u1.{}", URL_SAFE_NO_PAD.encode(signature)));
    }
}
