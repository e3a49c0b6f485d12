//! `/cordon`, `/uncordon` and `/drain`, on the admin port: what an operator asks of a node.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;

use super::admin_token::{AdminToken, Answer};
use crate::lifecycle::Lifecycle;

#[derive(Clone)]
struct Shared {
    lifecycle: Arc<Lifecycle>,
    token: AdminToken,
}

/// The routes, for who has the token.
pub fn router(lifecycle: Arc<Lifecycle>, token: AdminToken) -> Router {
    Router::new()
        .route("/cordon", post(cordon))
        .route("/uncordon", post(uncordon))
        .route("/drain", post(drain))
        .with_state(Shared { lifecycle, token })
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
    shared.token.authorize(&headers).await?;
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
    shared.token.authorize(&headers).await?;
    if shared.lifecycle.uncordon() {
        Ok((StatusCode::OK, "sockets are taken\n"))
    } else {
        Err((StatusCode::CONFLICT, "this node drains, and a drain is for good\n"))
    }
}

async fn drain(State(shared): State<Shared>, headers: HeaderMap) -> Result<Answer, Answer> {
    shared.token.authorize(&headers).await?;
    shared.lifecycle.drain();
    Ok((StatusCode::ACCEPTED, "draining; /readyz says so, and chat_connections falls\n"))
}
