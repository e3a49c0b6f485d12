//! A connection that became a WebSocket, as the transport sees it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::{Connection, Io};

/// What is asked of the kernel at a time, in bytes.
const READ: usize = 4096;

/// The transport's end of a WebSocket. What it writes is taken whole, and it always writes whole frames: so frames of
/// the node's own can go between any two writes.
///
/// Small, as the transport's tasks have places for several of it.
#[derive(Debug)]
pub struct Wire {
    io: Io,
    /// What was read and did not fit into the transport's buffer; at first what the client sent behind its handshake.
    early: Option<Box<Bytes>>,
    _held: Option<oneshot::Sender<()>>,
}

impl Wire {
    /// The connection from now on, of which `early` was read already. `held` is let go of with it.
    #[must_use]
    pub fn new(io: Io, early: &[u8], held: Option<oneshot::Sender<()>>) -> Self {
        Self { io, early: kept(early), _held: held }
    }

    fn connection(&self) -> &Connection {
        &self.io.0
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(early) = &mut self.early {
            let read = early.len().min(buffer.remaining());
            buffer.put_slice(&early.split_to(read));
            if early.is_empty() {
                self.early = None;
            }
            return Poll::Ready(Ok(()));
        }
        // The transport's buffer is there for as long as the connection, this one is not.
        let mut space = [0; READ];
        let mut more = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut more))?;
        let (now, later) = more.filled().split_at(more.filled().len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.early = kept(later);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        let connection = self.connection();
        let mut out = connection.out();
        if out.is_gone() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !out.has_room() && !connection.write(&mut out) {
            out.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        out.passed += packets(frames);
        let written = if out.is_empty() { connection.0.stream.try_write(frames).unwrap_or(0) } else { 0 };
        if written < frames.len() {
            out.push(Bytes::copy_from_slice(&frames[written..]));
            // An error shows there, too.
            connection.write(&mut out);
        }
        Poll::Ready(Ok(frames.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What the kernel did not take yet goes out by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = self.connection();
        let mut out = connection.out();
        // Whoever waits is woken by the task that writes the rest: what is only queued has none yet.
        if !connection.write(&mut out) {
            out.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(out);
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn kept(read: &[u8]) -> Option<Box<Bytes>> {
    (!read.is_empty()).then(|| Box::new(Bytes::copy_from_slice(read)))
}

/// A text, in parts, as a frame to a client.
#[must_use]
pub fn frame(parts: &[&str]) -> Bytes {
    const WHOLE_TEXT: u8 = 0x81;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(length + 10);
    frame.push(WHOLE_TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    parts.iter().for_each(|part| frame.extend(part.as_bytes()));
    frame.into()
}

/// How many of these frames, which a server wrote, are a CONNECT, an event or an answer of Socket.IO: what
/// [`crate::transport::socketio`] counts as queued.
fn packets(mut frames: &[u8]) -> u64 {
    let mut count = 0;
    while let [kind, length, rest @ ..] = frames {
        let (length, rest) = match (length & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                (usize::try_from(length).unwrap_or(usize::MAX), rest)
            }
            (length, rest) => (usize::from(length), rest),
        };
        let payload = &rest[..length.min(rest.len())];
        if kind & 0x0f == 1 && is_counted(payload) {
            count += 1;
        }
        frames = &rest[payload.len()..];
    }
    count
}

/// Whether a packet of Engine.IO is one of those that are counted.
#[must_use]
pub fn is_counted(packet: &[u8]) -> bool {
    matches!(packet, [b'4', b'0' | b'2' | b'3', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_whatever_their_length_and_pings_are_not() {
        let long = |length: usize| format!("42[\"{}\"]", "x".repeat(length));
        let frames = ["40{}", "2", &long(5), &long(200), &long(70_000), "431[]"].map(|packet| frame(&[packet]));
        assert_eq!(packets(&frames.concat()), 5);
        assert_eq!(packets(&[0x88, 0x02, 0x03, 0xe8]), 0, "a close");
        assert_eq!(packets(&[0x81]), 0);
    }
}
