//! `/drain`, on the admin port: what an operator asks of a node.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use subtle::ConstantTimeEq;

use crate::lifecycle::Lifecycle;

#[derive(Clone)]
struct Shared {
    lifecycle: Arc<Lifecycle>,
    token_file: Option<Arc<PathBuf>>,
}

/// The routes. Without a file that holds the token, nobody is let in.
pub fn router(lifecycle: Arc<Lifecycle>, token_file: Option<PathBuf>) -> Router {
    Router::new().route("/drain", post(drain)).with_state(Shared { lifecycle, token_file: token_file.map(Arc::new) })
}

async fn drain(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if let Err(refusal) = shared.authorize(&headers).await {
        return refusal.into_response();
    }
    shared.lifecycle.drain();
    (StatusCode::ACCEPTED, "draining; /readyz says so, and chat_connections falls\n").into_response()
}

impl Shared {
    async fn authorize(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let Some(file) = &self.token_file else {
            return Err((StatusCode::FORBIDDEN, "start the server with --admin-token-file to use this\n"));
        };
        // Read each time: a token is replaced without a restart.
        let token = match tokio::fs::read_to_string(file.as_path()).await {
            Ok(token) if !token.trim().is_empty() => token,
            _ => {
                tracing::error!(file = %file.display(), "the file of the admin token is absent, empty or can't be read");
                return Err((StatusCode::SERVICE_UNAVAILABLE, "the admin token can't be read; see the log\n"));
            }
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if bool::from(given.trim().as_bytes().ct_eq(token.trim().as_bytes())) {
            Ok(())
        } else {
            Err((StatusCode::UNAUTHORIZED, "give the admin token as `Authorization: Bearer …`\n"))
        }
    }
}
