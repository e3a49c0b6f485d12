//! A connection that is a WebSocket, as the transport sees it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Connection;
use super::frame::packets;
use super::listener::Io;

/// Bytes read from the kernel at a time.
const READ: usize = 4096;
/// What a client says in its upgrade from polling: `2probe` and `5`, in frames that are masked with zeros.
const UPGRADE: &[u8] = b"\x81\x86\0\0\0\x002probe\x81\x81\0\0\0\x005";
/// The bytes of what the transport answers, `3probe` in a frame.
const PROBE_ANSWER: u8 = 8;

/// The bytes of a WebSocket, for the transport. What the transport writes is taken whole, and it always writes whole
/// frames: so frames of the node's own can go between any two writes.
///
/// Small, as the transport's tasks have room for several of it.
#[derive(Debug)]
pub struct WebSocketIo {
    io: Io,
    /// Bytes that were read and did not fit into the transport's buffer; at first those that follow the handshake.
    early: Option<Box<Bytes>>,
    /// How many of the first bytes that the transport writes go nowhere.
    unwritten: u8,
}

impl WebSocketIo {
    /// Takes over a connection of which `early` was read already.
    #[must_use]
    pub fn new(io: Io, early: &[u8]) -> Self {
        Self { io, early: unread(early), unwritten: 0 }
    }

    /// Takes over a connection whose client has ended its upgrade from polling, and what was read behind that. The
    /// transport, which does not know yet, reads the upgrade again; what it answers was said before and goes nowhere.
    #[must_use]
    pub fn upgraded(io: Io, behind: &[u8]) -> Self {
        let mut early = Vec::with_capacity(UPGRADE.len() + behind.len());
        early.extend_from_slice(UPGRADE);
        early.extend_from_slice(behind);
        Self { io, early: unread(&early), unwritten: PROBE_ANSWER }
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
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        if self.unwritten > 0 {
            let skipped = frames.len().min(self.unwritten.into());
            self.unwritten -= u8::try_from(skipped).unwrap_or(self.unwritten);
            return Poll::Ready(Ok(skipped));
        }
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
