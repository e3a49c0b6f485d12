//! From polls to a WebSocket: what waits for the next poll goes out first, then what the transport still has.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, Uri};
use bytes::Bytes;
use futures_util::FutureExt;
use socketioxide::service::SocketIoService;
use tower::ServiceExt;

use crate::transport::socketio::connection::frame::{frame, is_counted};
use crate::transport::socketio::connection::listener::Io;
use crate::transport::socketio::connection::websocket_io::WebSocketIo;
use crate::transport::socketio::outbox::polls::Attempt;
use crate::transport::socketio::polling::{PollingSession, SEPARATOR};

/// A packet that says nothing, except that a poll has ended.
const NOOP: &[u8] = b"6";

/// Takes a session from polling to the WebSocket on which its client ended the upgrade, and of which `behind` was read;
/// `None` if the attempt came too late. The transport does not know of it yet.
pub(super) async fn transfer(
    sockets: &SocketIoService<Router>,
    (session, attempt, uri): (PollingSession, Attempt, &Uri),
    (io, behind): (Io, &[u8]),
) -> Option<WebSocketIo> {
    if !attempt.leave_polling().await {
        return None;
    }
    let connection = io.connection().clone();
    let parts = session.take_parts();
    let fetched = fetch(sockets, uri);
    session
        .outbox
        .took(fetched.iter().flat_map(|payload| packets(payload)).filter(|packet| is_counted(packet)).count());
    let payloads = parts.iter().map(Vec::as_slice).chain(fetched.iter().map(AsRef::as_ref));
    // Nothing was written yet, so there is room. The transport learns from reading that a connection is closed.
    let _ = connection.send_concatenated(&frames(payloads));
    session.outbox.connected(connection);
    Some(WebSocketIo::upgraded(io, behind))
}

/// Polls in place of the client until there is nothing. A packet that found no room in a payload is put aside by the
/// transport for the next poll, and lost where there is none.
fn fetch(sockets: &SocketIoService<Router>, uri: &Uri) -> Vec<Bytes> {
    let uri = uri.to_string().replace("transport=websocket", "transport=polling");
    let poll = || {
        let request = Request::get(&uri).body(Body::empty()).ok()?;
        let response: Response<_> = sockets.clone().oneshot(request).now_or_never()?.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        // The transport bounds its own answers.
        let payload = to_bytes(Body::new(response.into_body()), usize::MAX).now_or_never()?.ok()?;
        (!payload.is_empty()).then_some(payload)
    };
    std::iter::from_fn(poll).collect()
}

/// The packets of a payload.
fn packets(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    payload.split(|byte| *byte == SEPARATOR).filter(|packet| !packet.is_empty() && *packet != NOOP)
}

/// The packets of payloads, each in a frame. The node sends text only.
fn frames<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let packets = payloads.flat_map(packets).filter_map(|packet| std::str::from_utf8(packet).ok());
    packets.map(|packet| frame(&[packet])).collect::<Vec<_>>().concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_polls_become_frames_in_their_order() {
        let payloads: [&[u8]; 3] = [b"42[1]\x1e6\x1e2", b"", b"43[2]"];
        assert_eq!(frames(payloads.into_iter()), [frame(&["42[1]"]), frame(&["2"]), frame(&["43[2]"])].concat());
    }
}
