//! JSON that is stored as it was written.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::ser::{Error as _, Serialize};

/// The members of a JSON object without its braces, such as `"text":"hi","reactions":[]`.
///
/// An entry is stored in this form, so that a node that delivers it puts room, epoch and offset
/// before the members without reading them.
#[derive(Clone, PartialEq, Eq)]
pub struct Members(String);

impl Members {
    /// The members of an object.
    ///
    /// # Errors
    /// The value can't be serialized, or it is not an object.
    pub fn of<T: Serialize>(object: &T) -> Result<Self, serde_json::Error> {
        let mut text = serde_json::to_string(object)?;
        if !text.starts_with('{') {
            return Err(serde_json::Error::custom("not an object"));
        }
        text.pop();
        text.remove(0);
        Ok(Self(text))
    }

    /// Members as a store gives them back. They are not checked here: whoever parses the object
    /// finds out.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text between the braces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text between the braces, for the store.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Parses the object.
    ///
    /// # Errors
    /// The members are not JSON, or not those of a `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&format!("{{{}}}", self.0))
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn members_are_the_text_between_the_braces() {
        let members = Members::of(&json!({ "text": "a}\n{b", "reactions": [] })).unwrap();
        assert_eq!(members.as_str(), r#""reactions":[],"text":"a}\n{b""#);
        assert_eq!(members.parse::<Value>().unwrap(), json!({ "text": "a}\n{b", "reactions": [] }));
        assert_eq!(Members::of(&json!({})).unwrap().into_string(), "");
    }

    #[test]
    fn only_an_object_has_members() {
        for value in [json!([1]), json!("{}"), json!(1), Value::Null] {
            assert!(Members::of(&value).is_err(), "{value}");
        }
        assert!(Members::stored("\"text\":".to_owned()).parse::<Value>().is_err());
    }
}
