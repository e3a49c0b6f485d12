//! The subprotocol of a WebSocket. Socket.IO has none of its own; but a client that offers some ends the connection if
//! the server names none of them, so the first one is named, as the reference implementation does.

use axum::http::{HeaderMap, HeaderValue, header};

/// The first subprotocol that a handshake offers; `None` if it offers none, or what it offers is malformed.
pub(super) fn first_offered(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let first = lines.flat_map(|line| line.split(',')).map(str::trim).find(|offer| !offer.is_empty())?;
    first.bytes().all(is_token).then(|| HeaderValue::from_str(first).ok())?
}

/// What a token of HTTP is made of.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(line).unwrap());
        }
        first_offered(&headers).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_first_subprotocol_is_named() {
        for (lines, named) in [
            (&["chat.v1"][..], Some("chat.v1")),
            (&["chat.v1, x"], Some("chat.v1")),
            (&[" , ,x,chat.v1"], Some("x")),
            (&["chat.v1", "x"], Some("chat.v1")),
            (&["base64url.bearer.authorization.k8s.io.dG9r"], Some("base64url.bearer.authorization.k8s.io.dG9r")),
            (&[], None),
            (&[""], None),
            (&["a b"], None),
            (&["chat/v1"], None),
            (&["\"x\""], None),
        ] {
            assert_eq!(offered(lines).as_deref(), named, "{lines:?}");
        }
    }
}
