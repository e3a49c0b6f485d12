//! The page, embedded in the binary.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/dist/"]
#[allow_missing = true]
struct Assets;

/// Only our own scripts run, and they reach only this server; the page can't be framed; styles may be set by script, as
/// components do.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// What the page needs no permission for: it uses none of these.
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The page of the admin port.
pub(super) const ANALYTICS: &str = "/analytics.html";

/// Adds to every answer what browsers are to hold a page to, be there such a page or not.
pub async fn secured(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Serves a file of the page that people chat on.
pub async fn public_page(uri: Uri, headers: HeaderMap) -> Response {
    // As `page` reads it: more than one slash at the begin is none.
    if uri.path().trim_start_matches('/') == ANALYTICS.trim_start_matches('/') {
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
    let common = [(header::ETAG, tag), (header::CACHE_CONTROL, cache.to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())];
    (common, kind, file.data.into_owned()).into_response()
}
