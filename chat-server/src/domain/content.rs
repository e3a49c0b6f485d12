//! What a message holds.

use serde::{Deserialize, Serialize};

use super::error::{Code, Refusal};
use super::limits::Limit;

/// What a message holds, as its members in the log and on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// A text, kept exactly as it came.
    Text(String),
}

impl Content {
    /// Whether it may be sent, where a message has at most `max_bytes`.
    ///
    /// # Errors
    /// `too_large`; `bad_request` for an empty text.
    pub fn check(&self, max_bytes: usize) -> Result<(), Refusal> {
        let Self::Text(text) = self;
        if text.len() > max_bytes {
            let what = format!("a text has at most {max_bytes} bytes of UTF-8");
            return Err(Refusal::new(Code::TooLarge, what).at(Limit::MessageBytes));
        }
        if text.is_empty() {
            return Err(Refusal::new(Code::BadRequest, "a text must not be empty"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_member_of_the_message() {
        let content = Content::Text("a \"b\"".to_owned());
        let json = serde_json::to_string(&content).unwrap();
        assert_eq!(json, r#"{"text":"a \"b\""}"#);
        assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
    }

    #[test]
    fn a_text_has_a_length() {
        let check = |text: &str| Content::Text(text.to_owned()).check(3).map_err(|refusal| refusal.code);
        assert_eq!(check("é"), Ok(()));
        assert_eq!(check("éé"), Err(Code::TooLarge));
        assert_eq!(check(""), Err(Code::BadRequest));
    }
}
