//! A connection that is a WebSocket, as the transport sees it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::Connection;
use super::frame::packets;
use super::listener::Io;

/// Bytes read from the kernel at a time.
const READ: usize = 4096;

/// The bytes of a WebSocket, for the transport. What the transport writes is taken whole, and it always writes whole
/// frames: so frames of the node's own can go between any two writes.
///
/// Small, as the transport's tasks have room for several of it.
#[derive(Debug)]
pub struct WebSocketIo {
    io: Io,
    /// Bytes that were read and did not fit into the transport's buffer; at first those that follow the handshake.
    early: Option<Box<Bytes>>,
    _held: Option<oneshot::Sender<()>>,
}

impl WebSocketIo {
    /// Takes over a connection of which `early` was read already. `held` is dropped with it.
    #[must_use]
    pub fn new(io: Io, early: &[u8], held: Option<oneshot::Sender<()>>) -> Self {
        Self { io, early: unread(early), _held: held }
    }

    fn connection(&self) -> &Connection {
        &self.io.0
    }
}

impl AsyncRead for WebSocketIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(early) = &mut self.early {
            let read = early.len().min(buffer.remaining());
            buffer.put_slice(&early.split_to(read));
            if early.is_empty() {
                self.early = None;
            }
            return Poll::Ready(Ok(()));
        }
        // The transport's buffer lives as long as the connection, this one does not.
        let mut space = [0; READ];
        let mut more = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut more))?;
        let (now, later) = more.filled().split_at(more.filled().len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.early = unread(later);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebSocketIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        let connection = self.connection();
        let mut queue = connection.queue_lock();
        if queue.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !queue.has_room() && !connection.write(&mut queue) {
            queue.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        queue.passed += packets(frames);
        let written = if queue.is_empty() { connection.stream().try_write(frames).unwrap_or(0) } else { 0 };
        if written < frames.len() {
            queue.push(Bytes::copy_from_slice(&frames[written..]));
            // An error shows there, too.
            connection.write(&mut queue);
        }
        Poll::Ready(Ok(frames.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A task writes what the kernel did not take yet.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = self.connection();
        let mut queue = connection.queue_lock();
        // The task that writes the rest wakes this one; where frames are only queued, there is no such task yet.
        if !connection.write(&mut queue) {
            queue.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(queue);
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn unread(read: &[u8]) -> Option<Box<Bytes>> {
    (!read.is_empty()).then(|| Box::new(Bytes::copy_from_slice(read)))
}
