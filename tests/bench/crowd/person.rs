//! What a client knows, beyond its connection.

use serde::Deserialize;
use serde_json::{Value, json};

/// Up to where a client has heard its room.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: String,
    pub(super) offset: u64,
}

/// One client.
#[derive(Default)]
pub(super) struct Person {
    /// The number of the server that it connects to.
    pub(super) home: usize,
    /// What continues its session.
    pub(super) resume: Option<String>,
    pub(super) position: Option<Position>,
    /// How many of its messages have no answer yet.
    pub(super) waits_for: u32,
    /// When it asked for some history.
    pub(super) asked_at: u64,
    /// Up to where it pages what was left out.
    pub(super) pages_to: Option<u64>,
    /// Whether what it hears late is its own fault.
    pub(super) is_slow: bool,
}

impl Person {
    /// Who connects to the server of this number.
    pub(super) fn at(home: usize) -> Self {
        Self { home, ..Self::default() }
    }

    /// What to connect with so that everything goes on where it was.
    pub(super) fn auth(&self, room: &str) -> Option<String> {
        let mut auth = json!({"resume": self.resume.as_ref()?});
        if let Some(Position { epoch, offset }) = &self.position {
            auth["positions"] = json!({room: {"epoch": epoch, "offset": offset}});
        }
        Some(auth.to_string())
    }
}

/// What `session` says of the past.
#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub(super) resume: String,
    pub(super) recovered: bool,
}

/// What was left out: `gap`.
#[derive(Debug, Deserialize)]
pub(super) struct Gap {
    pub(super) room: String,
    pub(super) epoch: String,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// An answer to `log:get`.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) events: Vec<Entry>,
    pub(super) position: Option<Position>,
    #[serde(default)]
    pub(super) complete: bool,
}

/// An entry of a log.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) offset: u64,
    #[serde(default)]
    pub(super) text: String,
}

/// The position after an entry of a room's log; nothing if the event is not in a log.
pub(super) fn position(event: &[u8]) -> Option<Position> {
    if !event.starts_with(b"[\"message:") && !event.starts_with(b"[\"member:") {
        return None;
    }
    let after = |what: &[u8]| {
        let at = event.windows(what.len()).position(|window| window == what)?;
        Some(&event[at + what.len()..])
    };
    let epoch = after(b"\"epoch\":\"")?.split(|byte| *byte == b'"').next()?;
    let digits = after(b"\"offset\":")?.iter().take_while(|byte| byte.is_ascii_digit());
    let offset = digits.fold(0_u64, |offset, digit| offset.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    Some(Position { epoch: String::from_utf8(epoch.to_vec()).ok()?, offset })
}

/// The first argument of an ack.
pub(super) fn answer<T: for<'a> Deserialize<'a>>(ack: &[u8]) -> Option<T> {
    let mut ack: Value = serde_json::from_slice(ack).ok()?;
    serde_json::from_value(ack.get_mut(0)?.take()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_an_entry_is_read_from_the_event() {
        let event = br#"["message:new",{"at":1,"by":{"id":"a"},"epoch":"e-1_","offset":42,"room":"r"}]"#;
        assert_eq!(position(event), Some(Position { epoch: "e-1_".to_owned(), offset: 42 }));
        assert_eq!(position(br#"["read:marked",{"offset":42}]"#), None);
    }

    #[test]
    fn who_knows_no_session_is_someone_new() {
        let mut person = Person::default();
        assert_eq!(person.auth("r"), None);
        person.resume = Some("token".to_owned());
        assert_eq!(person.auth("r").as_deref(), Some(r#"{"resume":"token"}"#));
        person.position = Some(Position { epoch: "e".to_owned(), offset: 7 });
        let auth: Value = serde_json::from_str(&person.auth("r").unwrap()).unwrap();
        assert_eq!(auth["positions"]["r"], json!({"epoch": "e", "offset": 7}));
    }
}
