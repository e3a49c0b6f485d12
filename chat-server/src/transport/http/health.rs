//! `/livez`, `/readyz` and `/metrics`, on the admin port.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::lifecycle::{Lifecycle, NodeState};
use crate::observability::metrics::{Metrics, Now};
use crate::service::reserve::Reserve;
use crate::store::Health;

#[derive(Clone)]
struct Shared {
    lifecycle: Arc<Lifecycle>,
    health: Arc<dyn Health>,
    reserve: Reserve,
    metrics: Metrics,
    advice: Option<&'static str>,
}

/// The admin port's routes. `advice` is for whoever runs the node, for as long as it runs.
pub fn router(
    lifecycle: Arc<Lifecycle>,
    health: Arc<dyn Health>,
    reserve: Reserve,
    metrics: Metrics,
    advice: Option<&'static str>,
) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Shared { lifecycle, health, reserve, metrics, advice })
}

/// A store that becomes unavailable later does not make the node unready: it would take all nodes out at
/// once, and their open sockets with them. Handshakes are refused one by one instead; and the operator
/// reads here that it is so.
///
/// A cordoned node stays ready until nobody polls it: a proxy that forgets the node sends polls
/// elsewhere, where their sessions are unknown. It cuts no WebSocket for that.
async fn readyz(State(shared): State<Shared>) -> Response {
    let state = shared.lifecycle.state();
    if state == NodeState::Draining || shared.lifecycle.is_cordon_finished() {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", state.as_str())).into_response()
    } else if !shared.lifecycle.is_bus_healthy() {
        (StatusCode::SERVICE_UNAVAILABLE, "deaf: what is published does not reach this node\n").into_response()
    } else if shared.lifecycle.has_started() {
        match remark(&shared) {
            None => "ok\n".into_response(),
            Some(why) => format!("ok, but {why}\n").into_response(),
        }
    } else {
        let why = shared.lifecycle.waiting_for();
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for the broker: {why}\n")).into_response()
    }
}

/// What an operator should know of a node that is ready: the worst of it.
fn remark(shared: &Shared) -> Option<String> {
    let trouble = shared.health.trouble().map(|trouble| trouble.sentence().to_owned());
    let full = || {
        let percent = shared.reserve.in_use()?;
        Some(format!("Redis is almost full ({percent} % of maxmemory): only messages are taken"))
    };
    trouble.or_else(full).or_else(|| shared.lifecycle.warning()).or_else(|| shared.advice.map(str::to_owned))
}

async fn render(State(shared): State<Shared>) -> Response {
    let traffic = shared.health.traffic();
    let now = Now {
        state: shared.lifecycle.state(),
        broker_is_up: shared.health.is_available(),
        trouble: shared.health.trouble(),
        redis_commands: traffic.commands,
        redis_connects: traffic.connects,
    };
    match shared.metrics.render(now) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
