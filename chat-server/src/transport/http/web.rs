//! The page, embedded in the binary.

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/dist/"]
#[allow_missing = true]
struct Assets;

/// Only our own scripts run; the page can't be framed; styles may be set by script, as
/// components do.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; \
                      style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The page of the admin port.
pub(super) const ANALYTICS: &str = "/analytics.html";

/// Serves a file of the page that people chat on.
pub async fn public_page(uri: Uri, headers: HeaderMap) -> Response {
    if uri.path() == ANALYTICS {
        return (StatusCode::NOT_FOUND, "not found\n").into_response();
    }
    page(uri, headers).await
}

/// Serves a file of either page.
pub async fn page(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let Some(file) = Assets::get(path) else {
        let missing = if path.ends_with(".html") {
            "This server was built without its page. Build it with `make web`, then build the server again.\n"
        } else {
            "not found\n"
        };
        return (StatusCode::NOT_FOUND, missing).into_response();
    };
    let tag = format!("\"{}\"", file.metadata.sha256_hash().iter().map(|b| format!("{b:02x}")).collect::<String>());
    // The names of built assets hold a hash of what is in them.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let common = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())];
    (common, kind, file.data.into_owned()).into_response()
}
