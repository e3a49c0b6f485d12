//! The change of a connection from HTTP to a WebSocket.
//!
//! The node makes it itself, so that the connection is its own from the first frame on; the transport gets a
//! [`Wire`]. Of the handshake only what is needed is kept: its headers would hold on to all that was read with them.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::{Parts, downcast};
use socketioxide::service::SocketIoService;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tower::{Service, ServiceExt};

use super::connection::Connection;
use super::connection::listener::Io;
use super::connection::wire::Wire;
use super::polling::{ENGINE_CLOSE, query};

/// What serves `/socket.io/`.
pub type SocketService = SocketIoService<Router>;

/// How long the transport waits for a session that polls to change to its WebSocket.
pub(super) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a session begins that has a WebSocket from the beginning.
const BEGINS: &str = "/socket.io/?EIO=4&transport=websocket";

/// Takes over WebSockets; to be put around the Socket.IO service. What is not right is left to that: it knows how to
/// say so.
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
    // What a session's address says is kept for as long as the session; of one that begins, it says nothing else.
    let uri = if sid.is_some() { owned(request.uri()) } else { Uri::from_static(BEGINS) };
    let request = slim(&request, uri, ());
    tokio::spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "a connection did not become a WebSocket"),
        };
        let Ok(Parts { io, read_buf, .. }) = downcast::<TokioIo<Io>>(upgraded) else {
            return tracing::error!("a connection is not one that this node took");
        };
        // The transport forgets to end a session whose change to a WebSocket breaks off.
        let (held, ended) = sid.map(|_| oneshot::channel()).unzip();
        let wire = Wire::new(io.into_inner(), &read_buf, held);
        let uri = request.uri().clone();
        if let Err(error) = Service::call(&mut sockets.clone(), (wire, request)).await {
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
    tracing::debug!(status = ?answer.map(|answer| answer.status()), "a change to a WebSocket broke off");
}

/// What a WebSocket's handshake is answered with; `None` if it is none.
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

/// The address, without what it was read from.
fn owned(uri: &Uri) -> Uri {
    Uri::try_from(uri.to_string()).unwrap_or_default()
}

/// The request with this address, without what it was read from.
fn slim<B>(request: &Request, uri: Uri, body: B) -> axum::http::Request<B> {
    let mut slim = axum::http::Request::new(body);
    *slim.uri_mut() = uri;
    if let Some(connection) = request.extensions().get::<ConnectInfo<Connection>>() {
        slim.extensions_mut().insert(connection.clone());
    }
    slim
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_the_standard_is_answered_as_there() {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accept(&headers), None, "no version");
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        assert_eq!(accept(&headers).as_ref().map(HeaderValue::as_bytes), Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
    }
}
