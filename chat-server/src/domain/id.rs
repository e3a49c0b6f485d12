//! Identifiers and names, made once at the door and trusted inside.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::fold::fold;
pub use super::text::InvalidText;
use super::text::visible;

/// Longest identifier that a client may send, in bytes. Ours are far shorter.
pub const MAX_ID_BYTES: usize = 128;
/// Longest name of a person or a room, in characters after trimming.
pub const MAX_NAME_CHARS: usize = 64;
/// Longest nonce, in characters.
pub const MAX_NONCE_CHARS: usize = 64;
/// Longest topic of a room, in characters.
pub const MAX_TOPIC_CHARS: usize = 256;

/// Names one connection of a client on its node. Small and copied: an answer and a delivery make no new one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId([u8; CONNECTION_ID_BYTES]);

const CONNECTION_ID_BYTES: usize = 16;

impl ConnectionId {
    /// Takes the 16 ASCII letters, digits, `-` or `_` that the transport gave the connection.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let bytes: [u8; CONNECTION_ID_BYTES] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(plain).then_some(Self(bytes))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Nothing else was taken in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses an identifier: ASCII letters, digits, `-`, `_`, `.`, at most
            /// [`MAX_ID_BYTES`]. The alphabet keeps keys and channels in Redis unambiguous.
            ///
            /// # Errors
            /// What is wrong with the text.
            pub fn parse(text: &str) -> Result<Self, InvalidText> {
                if text.is_empty() {
                    return Err(InvalidText::Empty);
                }
                if text.len() > MAX_ID_BYTES {
                    return Err(InvalidText::TooLong(MAX_ID_BYTES));
                }
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
                if !text.bytes().all(allowed) {
                    return Err(InvalidText::Character);
                }
                Ok(Self(text.into()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(|error| de::Error::custom(format!("an id {error}")))
            }
        }
    };
}

identifier!(
    /// A room: the lobby, a public or private room, or a direct message.
    RoomId
);
identifier!(
    /// A person.
    UserId
);
identifier!(
    /// Who is behind one resume token, over reconnects and nodes.
    SessionId
);
identifier!(
    /// One running chat-server.
    NodeId
);

impl RoomId {
    /// The room that is there from the start and in which everyone is.
    pub const LOBBY: &'static str = "lobby";

    /// The lobby.
    #[must_use]
    pub fn lobby() -> Self {
        Self(Self::LOBBY.into())
    }

    /// Whether this is the lobby.
    #[must_use]
    pub fn is_lobby(&self) -> bool {
        &*self.0 == Self::LOBBY
    }
}

/// A name of a person or a room: 1 to [`MAX_NAME_CHARS`] characters after trimming, no control
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Trims and checks a name, and gives it one spelling: see [`visible`].
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let name = text.trim();
        if name.is_empty() {
            return Err(InvalidText::Empty);
        }
        if name.chars().nth(MAX_NAME_CHARS).is_some() {
            return Err(InvalidText::TooLong(MAX_NAME_CHARS));
        }
        if name.chars().any(char::is_control) {
            return Err(InvalidText::Character);
        }
        visible(name).map(Self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared: two public rooms never share it.
    #[must_use]
    pub fn folded(&self) -> String {
        fold(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| de::Error::custom(format!("a name {error}")))
    }
}

/// A client's idempotency key: 1 to [`MAX_NONCE_CHARS`] characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Nonce(String);

impl Nonce {
    /// Checks a nonce.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        if text.is_empty() {
            return Err(InvalidText::Empty);
        }
        if text.chars().nth(MAX_NONCE_CHARS).is_some() {
            return Err(InvalidText::TooLong(MAX_NONCE_CHARS));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidText::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The nonce as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| de::Error::custom(format!("a nonce {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_counted_in_characters() {
        assert_eq!(Name::parse("  Zoë ").unwrap().as_str(), "Zoë");
        assert!(Name::parse(&"é".repeat(64)).is_ok());
        assert_eq!(Name::parse(&"é".repeat(65)), Err(InvalidText::TooLong(64)));
        assert_eq!(Name::parse(" \t "), Err(InvalidText::Empty));
        assert_eq!(Name::parse("a\u{7}b"), Err(InvalidText::Character));
    }

    #[test]
    fn names_that_differ_in_case_fold_to_one() {
        assert_eq!(Name::parse("Straße 7").unwrap().folded(), Name::parse("STRASSE 7").unwrap().folded());
        assert_eq!(Name::parse("RUST").unwrap().folded(), Name::parse("rust").unwrap().folded());
    }

    #[test]
    fn an_id_keeps_to_its_alphabet() {
        assert!(RoomId::parse("r-0Az_.").is_ok());
        assert_eq!(RoomId::parse("a{b}"), Err(InvalidText::Character));
        assert_eq!(RoomId::parse(""), Err(InvalidText::Empty));
        assert_eq!(RoomId::parse(&"a".repeat(129)), Err(InvalidText::TooLong(128)));
    }
}
