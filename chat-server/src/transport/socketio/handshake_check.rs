//! What is no handshake is answered as the reference implementation of Engine.IO does, before a place is kept for it; and the
//! transport's own errors are written as that does.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::engine_error::EngineError;
use super::polling::query;

/// The most bytes of an error's body.
const MOST_BYTES: usize = 512;

/// Why a request without a session is no handshake, in the order in which the reference implementation looks.
fn error_of(request: &Request) -> Option<EngineError> {
    let transport = query(request.uri(), "transport");
    let is_upgrade = is_upgrade(request.headers());
    match transport.as_deref() {
        Some("polling" | "websocket") if request.method() != Method::GET => Some(EngineError::BadHandshakeMethod),
        Some("websocket") if !is_upgrade => Some(EngineError::BadRequest),
        Some("polling" | "websocket") => {
            let version = query(request.uri(), "EIO");
            (version.as_deref() != Some("4")).then_some(EngineError::UnsupportedVersion)
        }
        _ => Some(EngineError::UnknownTransport),
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers what is no handshake, and writes the transport's errors as the reference implementation does. A layer around
/// the gate.
pub async fn answer_errors(request: Request, next: Next) -> Response {
    if query(request.uri(), "sid").is_none()
        && let Some(error) = error_of(&request)
    {
        return error.into_response();
    }
    let response = next.run(request).await;
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::BAD_REQUEST || !is_json {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else { return EngineError::BadRequest.into_response() };
    match EngineError::of_answer(&body) {
        Some(error) => error.into_response(),
        None => Response::from_parts(parts, Body::from(body)),
    }
}
