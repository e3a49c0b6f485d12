//! The form of what a client says.

use serde::de::DeserializeOwned;

use crate::domain::error::{Code, Refusal};

/// How deep JSON may nest. serde_json stops at 128 by itself; ours needs far less.
const MAX_DEPTH: usize = 32;

/// A request as it comes: its name, and its payload as text.
#[derive(Debug)]
pub(crate) struct Packet {
    /// The event's name.
    pub event: String,
    /// The first argument, as JSON text; `None` where nothing was sent.
    pub payload: Result<Option<String>, Refusal>,
}

impl Packet {
    /// Takes apart `["event", payload, …]`. Arguments after the payload are ignored.
    #[must_use]
    pub(crate) fn parse(text: &str, has_attachments: bool) -> Self {
        let event = first_string(text).unwrap_or_default();
        let payload = if has_attachments {
            Err(bad_request("bytes are not understood here; send JSON"))
        } else if depth(text) > MAX_DEPTH {
            Err(bad_request("the JSON nests too deep"))
        } else {
            match serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text) {
                Ok(arguments) => Ok(arguments.get(1).map(|raw| raw.get().to_owned())),
                Err(_) => Err(bad_request("not JSON")),
            }
        };
        Self { event, payload }
    }

    /// Reads the payload; a missing one is `{}`.
    ///
    /// # Errors
    /// `bad_request` with what is wrong.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        let payload = self.payload?;
        let payload = payload.as_deref().unwrap_or("{}").trim_start();
        // serde takes an array for a struct; the protocol does not.
        if !payload.starts_with('{') {
            return Err(bad_request("the payload must be an object"));
        }
        serde_json::from_str(payload).map_err(|error| bad_request(&format!("the payload is wrong: {error}")))
    }
}

/// The event's name, also where the rest is no JSON that a strict parser takes.
fn first_string(text: &str) -> Option<String> {
    let mut stream = serde_json::Deserializer::from_str(text.strip_prefix('[')?).into_iter::<String>();
    stream.next()?.ok()
}

/// The deepest nesting of brackets outside strings.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A `bad_request`.
#[must_use]
pub(crate) fn bad_request(message: &str) -> Refusal {
    Refusal::new(Code::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::domain::id::RoomId;

    #[derive(Debug, Deserialize)]
    struct OneRoom {
        room: RoomId,
    }

    fn read(text: &str) -> Result<OneRoom, Code> {
        Packet::parse(text, false).read::<OneRoom>().map_err(|refusal| refusal.code)
    }

    #[test]
    fn an_object_is_read_and_more_arguments_are_ignored() {
        assert_eq!(read(r#"["room:leave",{"room":"a","new":1},7]"#).unwrap().room.as_str(), "a");
    }

    #[test]
    fn what_is_no_object_of_that_form_is_a_bad_request() {
        let deep = format!(r#"["e",{{"room":"a","x":{}{}}}]"#, "[".repeat(60), "]".repeat(60));
        for text in [
            r#"["e"]"#,
            r#"["e",["a"]]"#,
            r#"["e",null]"#,
            r#"["e","a"]"#,
            r#"["e",{"room":1}]"#,
            r#"["e",{"room":"a b"}]"#,
            r#"["e",{"room":"\ud800"}]"#,
            deep.as_str(),
        ] {
            assert_eq!(read(text).unwrap_err(), Code::BadRequest, "{text}");
        }
    }

    #[test]
    fn the_name_is_known_even_if_the_payload_is_broken() {
        let request = Packet::parse(r#"["message:send",{"text":"\ud800"}]"#, false);
        assert_eq!(request.event, "message:send");
        assert_eq!(Packet::parse(r#"["e",{}]"#, true).read::<OneRoom>().unwrap_err().code, Code::BadRequest);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(r#"["[[[\"[[",{"a":"]"}]"#), 2);
    }
}
