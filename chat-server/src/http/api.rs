//! `/cordon`, `/uncordon` and `/drain`, on the admin port: what an operator asks of a node.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::lifecycle::Lifecycle;

#[derive(Clone)]
struct Shared {
    lifecycle: Arc<Lifecycle>,
    token_file: Option<Arc<PathBuf>>,
}

/// A status and a sentence.
type Answer = (StatusCode, &'static str);

/// The routes. Without a file that holds the token, nobody is let in.
pub fn router(lifecycle: Arc<Lifecycle>, token_file: Option<PathBuf>) -> Router {
    Router::new()
        .route("/cordon", post(cordon))
        .route("/uncordon", post(uncordon))
        .route("/drain", post(drain))
        .with_state(Shared { lifecycle, token_file: token_file.map(Arc::new) })
}

/// How a node is to be cordoned.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Cordon {
    connections_per_second: Option<NonZeroU32>,
}

async fn cordon(
    State(shared): State<Shared>,
    headers: HeaderMap,
    cordon: Result<Query<Cordon>, QueryRejection>,
) -> Result<Answer, Answer> {
    shared.authorize(&headers).await?;
    let Ok(Query(Cordon { connections_per_second })) = cordon else {
        return Err((
            StatusCode::BAD_REQUEST,
            "connectionsPerSecond is a whole number from 1, and all there is to say\n",
        ));
    };
    shared.lifecycle.cordon(connections_per_second.map(NonZeroU32::get));
    Ok((StatusCode::ACCEPTED, "no new sockets are taken; /readyz says `cordoned` once no socket polls\n"))
}

async fn uncordon(State(shared): State<Shared>, headers: HeaderMap) -> Result<Answer, Answer> {
    shared.authorize(&headers).await?;
    if shared.lifecycle.uncordon() {
        Ok((StatusCode::OK, "sockets are taken\n"))
    } else {
        Err((StatusCode::CONFLICT, "this node drains, and a drain is for good\n"))
    }
}

async fn drain(State(shared): State<Shared>, headers: HeaderMap) -> Result<Answer, Answer> {
    shared.authorize(&headers).await?;
    shared.lifecycle.drain();
    Ok((StatusCode::ACCEPTED, "draining; /readyz says so, and chat_connections falls\n"))
}

impl Shared {
    async fn authorize(&self, headers: &HeaderMap) -> Result<(), Answer> {
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
