//! The change of a connection from HTTP to a WebSocket.
//!
//! The node makes the change itself, so that it owns the connection from the first frame on; the transport gets a
//! [`WebSocketIo`]. Of the handshake only what is needed is kept: its headers would keep alive all that was read with
//! them.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use socketioxide::service::SocketIoService;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tower::{Service, ServiceExt};

use super::connection::Connection;
use super::connection::listener::Io;
use super::connection::websocket_io::WebSocketIo;
use super::polling::{ENGINE_CLOSE, query};
use crate::domain::address::Stranger;

/// What serves `/socket.io/`.
pub type SocketService = SocketIoService<Router>;

/// How long the upgrade of a session that polls may take.
pub(super) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a session that starts with a WebSocket.
const NEW_SESSION: &str = "/socket.io/?EIO=4&transport=websocket";

/// Takes over WebSockets; a layer around the Socket.IO service. Malformed requests are passed on: the service knows how
/// to refuse them.
pub async fn take_over(State(sockets): State<SocketService>, mut request: Request, next: Next) -> Response {
    if query(request.uri(), "EIO").as_deref() != Some("4") || request.method() != Method::GET {
        return next.run(request).await;
    }
    let sid = query(request.uri(), "sid");
    if query(request.uri(), "transport").as_deref() != Some("websocket") {
        if sid.is_some() {
            return next.run(request).await;
        }
        let uri = owned(request.uri());
        return next.run(slim(&request, uri, Body::empty())).await;
    }
    let Some(accept) = accept(request.headers()) else { return next.run(request).await };
    let upgrade = hyper::upgrade::on(&mut request);
    // The address lives as long as the session; that of a new session says nothing else.
    let uri = if sid.is_some() { owned(request.uri()) } else { Uri::from_static(NEW_SESSION) };
    let request = slim(&request, uri, ());
    tokio::spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "a connection did not become a WebSocket"),
        };
        let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Io>>() else {
            return tracing::error!("a connection is not one that this node accepted");
        };
        // The transport does not end a session whose upgrade breaks off.
        let (held, ended) = sid.map(|_| oneshot::channel()).unzip();
        let io = WebSocketIo::new(io.into_inner(), &read_buf, held);
        let uri = request.uri().clone();
        if let Err(error) = Service::call(&mut sockets.clone(), (io, request)).await {
            return tracing::debug!(?error, "a WebSocket was refused");
        }
        if let Some(ended) = ended
            && tokio::time::timeout(UPGRADE_TIMEOUT, ended).await.is_ok()
        {
            close(sockets, &uri).await;
        }
    });
    let headers = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// Ends a session that still polls; one that has a WebSocket takes no POST.
async fn close(sockets: SocketService, uri: &Uri) {
    let uri = uri.to_string().replace("transport=websocket", "transport=polling");
    let Ok(request) = axum::http::Request::post(uri).body(Body::from(ENGINE_CLOSE)) else { return };
    let answer: Result<axum::http::Response<_>, _> = sockets.oneshot(request).await;
    tracing::debug!(status = ?answer.map(|answer| answer.status()), "an upgrade to a WebSocket broke off");
}

/// The accept key for a WebSocket's handshake; `None` if the request is none.
fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let says = |name, word: &str| {
        let said = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        said.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let asked = says(header::UPGRADE, "websocket")
        && says(header::CONNECTION, "upgrade")
        && says(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asked)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

/// A copy of the address that does not keep alive what it was read from.
fn owned(uri: &Uri) -> Uri {
    Uri::try_from(uri.to_string()).unwrap_or_default()
}

/// A copy of the request, with this address, that does not keep alive what it was read from.
fn slim<B>(request: &Request, uri: Uri, body: B) -> axum::http::Request<B> {
    let mut slim = axum::http::Request::new(body);
    *slim.uri_mut() = uri;
    if let Some(connection) = request.extensions().get::<ConnectInfo<Connection>>() {
        slim.extensions_mut().insert(connection.clone());
    }
    if let Some(stranger) = request.extensions().get::<Stranger>() {
        slim.extensions_mut().insert(*stranger);
    }
    slim
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455_gets_its_accept_key() {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accept(&headers), None, "no version");
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        assert_eq!(accept(&headers).as_ref().map(HeaderValue::as_bytes), Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
    }
}
