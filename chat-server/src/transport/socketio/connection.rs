//! The TCP connections of clients, owned so far that the node can write to one, see what waits on it, and end it.
//!
//! The transport of Socket.IO offers none of these: it queues, and can only say goodbye, which stock clients take as
//! "do not come back".
//!
//! What goes out of a WebSocket are frames of the node's own, and among them those of the transport. An event for many is
//! one frame, encoded once, that each of their connections only refers to; and whoever sends it also writes it. The
//! transport's own way costs a copy, a queue and the waking of a task for each of them.

use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;

use phase::{Clock, Phase};
use queue::WriteQueue;

pub mod frame;
pub mod listener;
pub mod phase;
pub mod queue;
pub mod websocket_io;

/// The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// A client's connection. Clones are the same.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: TcpStream,
    address: SocketAddr,
    /// What goes out, once the connection is a WebSocket.
    queue: Mutex<WriteQueue>,
    begun: Instant,
    /// When something was received last, in milliseconds after `begun`.
    received_at: AtomicU64,
    /// Where it is in its requests, while it speaks HTTP.
    phase: Clock,
    /// Its place among the connections of its port, given back with it.
    _place: Place,
}

/// A place among the open connections of a port; free again when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes a place.
    #[must_use]
    pub fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    fn new(stream: TcpStream, address: SocketAddr, place: Place) -> Self {
        let (queue, begun, received_at) = (Mutex::default(), Instant::now(), AtomicU64::new(0));
        Self(Arc::new(Inner { stream, address, queue, begun, received_at, phase: Clock::default(), _place: place }))
    }

    fn stream(&self) -> &TcpStream {
        &self.0.stream
    }

    /// The address of the other end: a client or a proxy.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// How long nothing has been received.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.0.begun.elapsed().saturating_sub(Duration::from_millis(self.0.received_at.load(Ordering::Relaxed)))
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn note_received(&self) {
        let now = self.age_ms();
        self.0.received_at.store(now, Ordering::Relaxed);
        self.0.phase.received(now);
    }

    fn note_written(&self) {
        self.0.phase.written(self.age_ms());
    }

    /// Where it is in its requests, and for how long it has been there.
    #[must_use]
    pub fn phase(&self) -> (Phase, Duration) {
        self.0.phase.read(self.age_ms())
    }

    /// Notes that it is at another place in its requests.
    pub fn enter(&self, phase: Phase) {
        self.0.phase.enter(phase, self.age_ms());
    }

    /// Sends a last word over HTTP, as far as the kernel takes it at once, and ends the connection.
    pub fn end_with(&self, response: &[u8]) {
        // It ends, whether it hears why or not.
        let _ = self.0.stream.try_write(response);
        let _ = SockRef::from(&self.0.stream).shutdown(Shutdown::Both);
    }

    /// Ends the connection as a network would: what the kernel takes is still sent, and a client
    /// takes it as a reason to connect anew.
    pub fn end(&self) {
        self.flush();
        // A connection that is closed already is what was wanted.
        let _ = SockRef::from(&self.0.stream).shutdown(Shutdown::Both);
    }

    fn queue_lock(&self) -> MutexGuard<'_, WriteQueue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends frames, each after the one before it, until one finds no room. Answers how many found it; never waits.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send<'a>(&self, frames: impl IntoIterator<Item = &'a Bytes>) -> Result<usize, Closed> {
        let mut frames = frames.into_iter().peekable();
        let mut sent = 0;
        let mut queue = self.queue_lock();
        while !queue.is_closed() {
            while queue.has_room()
                && let Some(frame) = frames.next()
            {
                queue.push(frame.clone());
                sent += 1;
            }
            if !self.write(&mut queue) || frames.peek().is_none() {
                break;
            }
        }
        if queue.is_closed() { Err(Closed) } else { Ok(sent) }
    }

    /// Sends concatenated frames: all of them, or none where there may not be room for all. What the kernel takes at once,
    /// as it mostly does, is not queued for that.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send_concatenated(&self, frames: &Bytes) -> Result<bool, Closed> {
        let mut queue = self.queue_lock();
        if queue.is_closed() {
            return Err(Closed);
        }
        let mut written = 0;
        if queue.is_empty() {
            // An error shows below, too.
            written = self.0.stream.try_write(frames).unwrap_or(0);
        } else if !queue.has_room_for(frames.len()) {
            return Ok(false);
        }
        if written < frames.len() {
            queue.push(frames.slice(written..));
            self.write(&mut queue);
        }
        if queue.is_closed() { Err(Closed) } else { Ok(true) }
    }

    /// Queues a frame, to be written with the next or by [`Connection::flush`]; false if it finds no room.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn queue(&self, frame: Bytes) -> Result<bool, Closed> {
        let mut queue = self.queue_lock();
        let room = queue.has_room();
        if room {
            queue.push(frame);
        }
        if queue.is_closed() { Err(Closed) } else { Ok(room) }
    }

    /// Whether something is queued that no task writes.
    #[must_use]
    pub fn wants_flush(&self) -> bool {
        let queue = self.queue_lock();
        !queue.awaited && !queue.is_empty()
    }

    /// Writes what is queued.
    pub fn flush(&self) {
        self.write(&mut self.queue_lock());
    }

    /// How many packets of Socket.IO the transport has written since the connection is a WebSocket.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.queue_lock().passed
    }

    /// Whether a frame finds room. Frames do not wait for ever: the kernel ends a connection that takes nothing.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue_lock().has_room()
    }

    /// Writes what the kernel takes; false if it does not take all for now. A task writes the rest when it does.
    fn write(&self, queue: &mut WriteQueue) -> bool {
        if queue.awaited || queue.write(&self.0.stream) {
            return !queue.awaited;
        }
        queue.awaited = true;
        let connection = self.clone();
        tokio::spawn(async move {
            loop {
                let broken = connection.0.stream.writable().await.is_err();
                let mut queue = connection.queue_lock();
                if queue.write(&connection.0.stream) || broken {
                    queue.awaited = false;
                    if let Some(waker) = queue.waker.take() {
                        waker.wake();
                    }
                    return;
                }
            }
        });
        false
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::transport::socketio::connection::listener::pair;

    #[tokio::test]
    async fn frames_that_the_kernel_does_not_take_at_once_follow_in_their_order() {
        const SIZE: usize = 60_000;
        let (ours, mut theirs) = pair().await;
        let frames = |number: u8| Bytes::from(vec![number; SIZE]);
        // Nobody reads yet.
        let sent = (0..u8::MAX).take_while(|number| ours.send_concatenated(&frames(*number)) == Ok(true)).count();
        assert!((1..usize::from(u8::MAX)).contains(&sent), "there is an end to what is kept: {sent}");
        let mut got = vec![0; SIZE];
        for number in 0..sent {
            theirs.read_exact(&mut got).await.unwrap();
            assert!(got.iter().all(|byte| usize::from(*byte) == number), "the frame of number {number}");
        }
        assert_eq!(ours.send_concatenated(&frames(7)), Ok(true), "there is room again");
    }
}
