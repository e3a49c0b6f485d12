//! What a client says when it connects.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::error::{Code, Refusal};
use crate::domain::id::Name;
use crate::domain::position::Position;
use crate::service::identity::Credentials;
use crate::transport::socketio::protocol::bad_request;

/// Most positions that one client may hand in: one a room it can be in, and some to spare.
const MAX_POSITIONS: usize = 1_000;
const MAX_CLIENT_CHARS: usize = 64;
const MAX_TOKEN_BYTES: usize = 4_096;

/// The `auth` of a connection.
#[derive(Debug, Default)]
pub(super) struct Auth {
    /// Who.
    pub credentials: Credentials,
    /// What the client has of each room; `None` if it says nothing of it.
    pub positions: Option<HashMap<String, Position>>,
}

#[derive(Deserialize, Default)]
struct Raw {
    name: Option<Value>,
    resume: Option<Value>,
    token: Option<Value>,
    positions: Option<Value>,
    client: Option<Value>,
    rotate: Option<Value>,
}

impl Auth {
    /// Reads the `auth` object.
    ///
    /// # Errors
    /// `bad_request` with what is wrong; `unauthenticated` for a JWT, which this version does
    /// not know.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        let text = text.unwrap_or("{}").trim();
        let raw: Raw = match text {
            "null" => Raw::default(),
            _ if text.starts_with('{') => {
                serde_json::from_str(text).map_err(|_| bad_request("auth is no JSON that can be read"))?
            }
            _ => return Err(bad_request("auth must be an object")),
        };
        if string(raw.token, "token")?.is_some() {
            return Err(Refusal::new(Code::Unauthenticated, "tokens are not accepted here; give a name"));
        }
        let resume = string(raw.resume, "resume")?;
        // A session to be continued has its name; one that is sent along must not spoil it.
        let name = match string(raw.name, "name")?.map(|name| Name::parse(&name)) {
            None => None,
            Some(Ok(name)) => Some(name),
            Some(Err(_)) if resume.is_some() => None,
            Some(Err(error)) => return Err(bad_request(&format!("a name {error}"))),
        };
        if resume.as_ref().is_some_and(|token| token.len() > MAX_TOKEN_BYTES) {
            return Err(bad_request("resume is too long"));
        }
        let client = string(raw.client, "client")?.unwrap_or_default().chars().take(MAX_CLIENT_CHARS).collect();
        let rotate = match raw.rotate {
            None | Some(Value::Null) => false,
            Some(Value::Bool(rotate)) => rotate,
            Some(_) => return Err(bad_request("rotate must be true or false")),
        };
        let positions = match raw.positions {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(positions(serde_json::from_str(&text).ok())?),
            Some(value) => Some(positions(Some(value))?),
        };
        Ok(Self { credentials: Credentials { name, resume, client, rotate }, positions })
    }
}

fn string(value: Option<Value>, what: &str) -> Result<Option<String>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad_request(&format!("{what} must be a string"))),
    }
}

fn positions(value: Option<Value>) -> Result<HashMap<String, Position>, Refusal> {
    let positions: HashMap<String, Position> = value
        .and_then(|value| serde_json::from_value(value).ok())
        .ok_or_else(|| bad_request("positions must be {ROOM: {epoch, offset}}"))?;
    if positions.len() > MAX_POSITIONS {
        return Err(bad_request(&format!("at most {MAX_POSITIONS} positions")));
    }
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_as_an_object_or_as_its_text() {
        let object = Auth::parse(Some(r#"{"name":"A","positions":{"lobby":{"epoch":"e","offset":3}}}"#)).unwrap();
        let text =
            Auth::parse(Some(r#"{"name":"A","positions":"{\"lobby\":{\"epoch\":\"e\",\"offset\":3}}"}"#)).unwrap();
        assert_eq!(object.positions, text.positions);
        assert_eq!(object.positions.unwrap()["lobby"].offset, 3);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for bad in [
            "[]",
            "3",
            "\"x\"",
            r#"{"name":3}"#,
            r#"{"name":""}"#,
            r#"{"name":"a","positions":[1]}"#,
            r#"{"rotate":1}"#,
        ] {
            assert_eq!(Auth::parse(Some(bad)).unwrap_err().code, Code::BadRequest, "{bad}");
        }
        assert_eq!(Auth::parse(Some(r#"{"token":"x"}"#)).unwrap_err().code, Code::Unauthenticated);
    }

    #[test]
    fn nothing_at_all_is_nobody() {
        for nothing in [None, Some("null"), Some("{}")] {
            let auth = Auth::parse(nothing).unwrap();
            assert!(auth.credentials.name.is_none() && auth.credentials.resume.is_none());
        }
    }
}
