//! The change of a connection from HTTP to a WebSocket.
//!
//! The node makes the change itself, so that it owns the connection from the first frame on; the transport gets a
//! [`WebSocketIo`]. Of the handshake only what is needed is kept: its headers would keep alive all that was read with
//! them.
//!
//! A session that polls goes on polling until its client has said over the WebSocket that it polls no more. Only then does
//! the transport hear of the upgrade: it would answer each poll at once until the end of an upgrade, and end the session
//! with one that fails, as behind proxies that let the handshake through and nothing else.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use socketioxide::service::SocketIoService;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tower::Service;

use super::connection::Connection;
use super::connection::listener::Io;
use super::connection::websocket_io::WebSocketIo;
use super::engine_error::EngineError;
use super::outbox::polls::Attempt;
use super::polling::{PollingSession, query};
use super::subprotocol::first_offered;
use crate::domain::address::Stranger;

mod probe;
mod transfer;

/// What serves `/socket.io/`.
pub type SocketService = SocketIoService<Router>;

/// How long the transport waits for the end of an upgrade. It is there before the transport hears of the upgrade.
pub(super) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a session that starts with a WebSocket.
const NEW_SESSION: &str = "/socket.io/?EIO=4&transport=websocket";

/// Takes over WebSockets; a layer around the Socket.IO service. Requests of other protocols are passed on: the service
/// knows how to refuse them.
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
    // A proxy may have taken out what asks for a WebSocket.
    let Some(accept) = accept(request.headers()) else { return EngineError::BadRequest.into_response() };
    let attempt = match request.extensions_mut().remove::<PollingSession>() {
        Some(session) => match session.outbox.begin_upgrade() {
            Some(attempt) => Some((session, attempt)),
            None => return EngineError::BadRequest.into_response(),
        },
        None => None,
    };
    let subprotocol = first_offered(request.headers()).map(|first| (header::SEC_WEBSOCKET_PROTOCOL, first));
    let upgrade = hyper::upgrade::on(&mut request);
    // The address lives as long as the session; that of a new session says nothing else.
    let uri = if sid.is_some() { owned(request.uri()) } else { Uri::from_static(NEW_SESSION) };
    tokio::spawn(serve(sockets, upgrade, attempt, slim(&request, uri, ())));
    let headers = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    response.headers_mut().extend(subprotocol);
    response
}

/// Gives a WebSocket to the transport, for a session that polls once its client has ended the upgrade.
async fn serve(
    mut sockets: SocketService,
    upgrade: OnUpgrade,
    attempt: Option<(PollingSession, Attempt)>,
    request: axum::http::Request<()>,
) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a connection did not become a WebSocket"),
    };
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Io>>() else {
        return tracing::error!("a connection is not one that this node accepted");
    };
    let mut io = io.into_inner();
    let io = match attempt {
        None => WebSocketIo::new(io, &read_buf),
        Some((session, attempt)) => {
            let connection = io.connection().clone();
            let behind = match probe::run(&attempt, &mut io, &read_buf).await {
                Ok(behind) => behind,
                Err(error) => {
                    tracing::debug!(%error, "a session goes on polling: its upgrade to a WebSocket failed");
                    return connection.end();
                }
            };
            let upgraded = (session, attempt, request.uri());
            let Some(io) = transfer::transfer(&sockets, upgraded, (io, &behind)).await else {
                return connection.end();
            };
            io
        }
    };
    if let Err(error) = Service::call(&mut sockets, (io, request)).await {
        tracing::debug!(?error, "a WebSocket was refused");
    }
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
