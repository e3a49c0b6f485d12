//! Every parser of what a client says, for `chat-server/fuzz`, for `chat-server/benches` and for a property test:
//! whatever comes, it is read or refused.

use super::auth::Auth;
use super::protocol::Packet;
use super::requests;
use super::requests::message_send::MessageSend;

/// Reads the `auth` of a connection.
pub fn auth(text: &str) {
    let _ = Auth::parse(Some(text));
}

/// Reads a request to send a message; whether it is one.
#[must_use]
pub fn message(text: &str) -> bool {
    Packet::parse(text, false).read::<MessageSend>().is_ok()
}

/// Reads a request, and its payload as every request there is.
pub fn request(text: &str) {
    for request in requests::ALL {
        let _ = (request.reads)(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text that is nearly what a client would send.
    fn nearly() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("room"),
            Just("lobby"),
            Just("text"),
            Just("nonce"),
            Just("name"),
            Just("resume"),
            Just("positions"),
            Just("epoch"),
            Just("offset"),
            Just("message:send"),
            Just("\\u0000"),
            Just("\\ud800"),
            Just("é😀"),
        ]
        .prop_map(|word| format!("\"{word}\""));
        let sign = "[\\[\\]{}:,\"\\\\0-9.eE+ -]{1,3}".prop_map(String::from);
        let piece = prop_oneof![3 => word, 3 => sign, 1 => Just("null".to_owned()), 1 => any::<String>()];
        proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_a_client_says_is_read_or_refused(text in prop_oneof![nearly(), any::<String>()]) {
            auth(&text);
            request(&text);
            request(&format!(r#"["message:send",{text}]"#));
        }
    }
}
