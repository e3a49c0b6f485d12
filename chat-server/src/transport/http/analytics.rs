//! `GET /api/v1/analytics` and the page that shows it, on the admin port: what goes on in the chat, for those who run it.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::admin_token::AdminToken;
use super::web;
use crate::domain::activity::{MOST_DAYS, MOST_HOURS};
use crate::service::analytics::Analytics;

#[derive(Clone)]
struct Shared {
    analytics: Analytics,
    token: AdminToken,
}

/// The routes. The numbers are for who has the token; the page has none before it is given one.
pub fn router(analytics: Analytics, token: AdminToken) -> Router {
    Router::new()
        .route("/api/v1/analytics", get(report))
        .route("/analytics", get(page))
        .route("/assets/{file}", get(web::page))
        .route("/theme.js", get(web::page))
        .route("/favicon.svg", get(web::page))
        .with_state(Shared { analytics, token })
        .layer(map_response(web::secured))
}

/// How far back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    hours: u32,
    days: u32,
}

impl Default for Asked {
    fn default() -> Self {
        Self { hours: 48, days: 14 }
    }
}

async fn report(
    State(shared): State<Shared>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    if let Err(refusal) = shared.token.authorize(&headers).await {
        return refusal.into_response();
    }
    let asked = asked.ok().map(|Query(asked)| asked);
    let within = |asked: &Asked| (1..=MOST_HOURS).contains(&asked.hours) && (1..=MOST_DAYS).contains(&asked.days);
    let Some(Asked { hours, days }) = asked.filter(within) else {
        let bounds = format!("hours is from 1 to {MOST_HOURS}, days from 1 to {MOST_DAYS}, and that is all there is\n");
        return (StatusCode::BAD_REQUEST, bounds).into_response();
    };
    match shared.analytics.report(hours, days).await {
        Ok(report) => ([(header::CACHE_CONTROL, "no-store")], axum::Json(report)).into_response(),
        Err(error) => {
            tracing::warn!(%error, "what went on could not be read");
            (StatusCode::SERVICE_UNAVAILABLE, "the broker can't be asked; try again\n").into_response()
        }
    }
}

async fn page(headers: HeaderMap) -> Response {
    web::page(Uri::from_static(web::ANALYTICS), headers).await
}
