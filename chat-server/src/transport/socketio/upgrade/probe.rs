//! The upgrade of a session that polls, on its WebSocket: the client probes it, is answered, and says that it polls no
//! more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::transport::socketio::connection::listener::Io;
use crate::transport::socketio::outbox::polls::Attempt;

/// Time from the handshake to the probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from the answer to the end of the upgrade. A client that said the end on a slow way has left polling already.
const END_TIMEOUT: Duration = Duration::from_secs(20);
/// When after the answer a poll is released. A client that hears the answer waits for the end of its poll, and one that
/// hears it late has begun another poll by then.
const RELEASE_AFTER: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// The most bytes that a client may send until its upgrade is done: `2probe`, `5`, and pings of the WebSocket.
const MAX_BYTES: usize = 1024;
/// The most bytes of a message.
const MAX_MESSAGE: usize = 128;

/// Why an upgrade failed. The session goes on polling.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("nothing came in time")]
    Silent,
    #[error("the client said something else")]
    Unexpected,
    #[error("the WebSocket was closed")]
    Closed,
    #[error("another attempt was made, or the session was handed over")]
    Superseded,
    #[error(transparent)]
    WebSocket(#[from] tungstenite::Error),
}

/// Waits for the end of an upgrade, on a connection of which `early` was read already. Answers what was read behind it.
pub(super) async fn run(attempt: &Attempt, io: &mut Io, early: &[u8]) -> Result<BytesMut, ProbeError> {
    let stream = ByteWise { io, read: early.into(), left: MAX_BYTES };
    let config = WebSocketConfig::default()
        .read_buffer_size(MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    tokio::select! {
        done = upgrade(attempt, &mut socket) => done?,
        () = attempt.superseded() => return Err(ProbeError::Superseded),
    }
    Ok(socket.into_inner().read)
}

async fn upgrade(attempt: &Attempt, socket: &mut WebSocketStream<ByteWise<'_>>) -> Result<(), ProbeError> {
    let answered = async {
        expect(socket, "2probe").await?;
        socket.send(Message::text("3probe")).await?;
        Ok::<_, ProbeError>(())
    };
    timeout(PROBE_TIMEOUT, answered).await.map_err(|_| ProbeError::Silent)??;
    let ended = async {
        tokio::select! {
            ended = expect(socket, "5") => ended,
            never = release_polls(attempt) => match never {},
        }
    };
    timeout(END_TIMEOUT, ended).await.map_err(|_| ProbeError::Silent)?
}

async fn expect(socket: &mut WebSocketStream<ByteWise<'_>>, text: &str) -> Result<(), ProbeError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(said))) if said.as_str() == text => return Ok(()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Err(ProbeError::Closed),
            Some(Ok(_)) => return Err(ProbeError::Unexpected),
            Some(Err(error)) => return Err(error.into()),
        }
    }
}

/// Releases a poll from time to time.
async fn release_polls(attempt: &Attempt) -> std::convert::Infallible {
    let answered = tokio::time::Instant::now();
    for after in RELEASE_AFTER {
        sleep_until(answered + after).await;
        attempt.release_poll();
    }
    std::future::pending().await
}

/// The bytes of a connection, given one at a time: nothing behind a message is taken with it, as that is for the
/// transport.
struct ByteWise<'a> {
    io: &'a mut Io,
    /// Bytes that were read and not given yet.
    read: BytesMut,
    /// How many may still be given.
    left: usize,
}

impl AsyncRead for ByteWise<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            let mut space = [0; MAX_MESSAGE];
            let mut more = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut *self.io).poll_read(cx, &mut more))?;
            self.read.extend_from_slice(more.filled());
        }
        if !self.read.is_empty() {
            if self.left == 0 {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            self.left -= 1;
            buffer.put_slice(&self.read.split_to(1));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteWise<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}
