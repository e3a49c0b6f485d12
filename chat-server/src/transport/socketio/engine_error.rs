//! The errors of Engine.IO, as its reference implementation answers them: `{"code":NUMBER,"message":TEXT}`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An error of Engine.IO. The numbers are those of its reference implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineError {
    /// Neither `polling` nor `websocket`.
    UnknownTransport = 0,
    /// No such session here.
    UnknownSession = 1,
    /// A handshake is a GET.
    BadHandshakeMethod = 2,
    /// What was asked for can't be done.
    BadRequest = 3,
    /// The page may not connect.
    Forbidden = 4,
    /// Another version than 4 of the protocol.
    UnsupportedVersion = 5,
}

impl EngineError {
    const ALL: [Self; 6] = [
        Self::UnknownTransport,
        Self::UnknownSession,
        Self::BadHandshakeMethod,
        Self::BadRequest,
        Self::Forbidden,
        Self::UnsupportedVersion,
    ];

    const fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSession => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedVersion => "Unsupported protocol version",
        }
    }

    /// The error of the transport's answer, which has the code as a text.
    pub(super) fn of_answer(body: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Answer<'a> {
            code: &'a str,
        }
        let code: usize = serde_json::from_slice::<Answer<'_>>(body).ok()?.code.parse().ok()?;
        Self::ALL.get(code).copied()
    }
}

impl IntoResponse for EngineError {
    fn into_response(self) -> Response {
        let status = if self == Self::Forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        let body = format!(r#"{{"code":{},"message":"{}"}}"#, self as u8, self.message());
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transports_errors_are_known_by_their_codes() {
        for error in EngineError::ALL {
            let body = format!(r#"{{"code":"{}","message":"any"}}"#, error as u8);
            assert_eq!(EngineError::of_answer(body.as_bytes()), Some(error));
        }
        for other in [r#"{"code":1}"#, r#"{"code":"6"}"#, r#"{"code":"x"}"#, "", "ok"] {
            assert_eq!(EngineError::of_answer(other.as_bytes()), None, "{other}");
        }
    }
}
