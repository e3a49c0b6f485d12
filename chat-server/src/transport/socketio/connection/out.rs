//! What goes out of a WebSocket: frames of the node's own, and among them those of the transport.
//!
//! An event for many is one frame, made once, that each of their connections only refers to; and whoever sends it also
//! writes it. The transport's own way costs a copy, a queue and the waking of a task for each of them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;

use super::Connection;

/// Frames that may wait for the kernel to take them.
pub const FRAMES: usize = 1024;
/// And their size, in bytes, unless one alone is larger.
pub const BYTES: usize = 128 * 1024;
/// Frames given to the kernel at a time.
const AT_ONCE: usize = 64;

/// The connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The way out.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// What the kernel has not taken.
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// A task waits until the kernel takes more.
    awaited: bool,
    gone: bool,
    /// Packets of Socket.IO that came through the transport.
    pub(super) passed: u64,
    /// Who waits until all is written.
    pub(super) waker: Option<Waker>,
}

impl Out {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn has_room(&self) -> bool {
        self.frames.is_empty() || (self.frames.len() < FRAMES && self.bytes < BYTES)
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Writes what the kernel takes; false if it takes no more for now.
    pub(super) fn write(&mut self, stream: &TcpStream) -> bool {
        while !self.frames.is_empty() {
            match self.try_write(stream) {
                Ok(written) if written > 0 => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                _ => {
                    self.gone = true;
                    self.frames = VecDeque::new();
                    self.bytes = 0;
                }
            }
        }
        // Most connections wait for nothing most of the time, and there are many of them.
        self.frames = VecDeque::new();
        true
    }

    fn try_write(&self, stream: &TcpStream) -> io::Result<usize> {
        if let [frame] = self.frames.as_slices().0 {
            return stream.try_write(frame);
        }
        let mut slices = [IoSlice::new(&[]); AT_ONCE];
        let count = self.frames.len().min(AT_ONCE);
        slices.iter_mut().zip(&self.frames).for_each(|(slice, frame)| *slice = IoSlice::new(frame));
        stream.try_write_vectored(&slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written.min(self.bytes);
        while let Some(frame) = self.frames.front_mut() {
            if frame.len() > written {
                frame.advance(written);
                return;
            }
            written -= frame.len();
            self.frames.pop_front();
        }
    }
}

impl Connection {
    pub(super) fn out(&self) -> MutexGuard<'_, Out> {
        self.0.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends frames, each after the one before it, until one finds no room. Answers how many found it; never waits.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send<'a>(&self, frames: impl IntoIterator<Item = &'a Bytes>) -> Result<usize, Gone> {
        let mut frames = frames.into_iter().peekable();
        let mut sent = 0;
        let mut out = self.out();
        while !out.gone {
            while out.has_room()
                && let Some(frame) = frames.next()
            {
                out.push(frame.clone());
                sent += 1;
            }
            if !self.write(&mut out) || frames.peek().is_none() {
                break;
            }
        }
        if out.gone { Err(Gone) } else { Ok(sent) }
    }

    /// Sends frames that lie one behind the other: all of them, or none where there may not be room for all. What the
    /// kernel takes at once, as it mostly does, is not queued for that.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send_whole(&self, frames: &Bytes) -> Result<bool, Gone> {
        let mut out = self.out();
        if out.gone {
            return Err(Gone);
        }
        let mut written = 0;
        if out.is_empty() {
            // An error shows below, too.
            written = self.0.stream.try_write(frames).unwrap_or(0);
        } else if out.frames.len() >= FRAMES || out.bytes + frames.len() > BYTES {
            return Ok(false);
        }
        if written < frames.len() {
            out.push(frames.slice(written..));
            self.write(&mut out);
        }
        if out.gone { Err(Gone) } else { Ok(true) }
    }

    /// Puts a frame behind what waits, to go with what follows it or with [`Connection::flush`]; false if it finds no
    /// room.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn queue(&self, frame: Bytes) -> Result<bool, Gone> {
        let mut out = self.out();
        let room = out.has_room();
        if room {
            out.push(frame);
        }
        if out.gone { Err(Gone) } else { Ok(room) }
    }

    /// Whether something is queued that nobody writes yet.
    #[must_use]
    pub fn wants_flush(&self) -> bool {
        let out = self.out();
        !out.awaited && !out.frames.is_empty()
    }

    /// Writes what is queued.
    pub fn flush(&self) {
        self.write(&mut self.out());
    }

    /// How many packets of Socket.IO came through the transport since the connection is a WebSocket.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.out().passed
    }

    /// Whether frames find room. They do not wait for ever: the kernel ends a connection that takes nothing.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.out().has_room()
    }

    /// Writes what the kernel takes; false if it does not take all for now. A task writes the rest when it does.
    pub(super) fn write(&self, out: &mut Out) -> bool {
        if out.awaited || out.write(&self.0.stream) {
            return !out.awaited;
        }
        out.awaited = true;
        let connection = self.clone();
        tokio::spawn(async move {
            loop {
                let broken = connection.0.stream.writable().await.is_err();
                let mut out = connection.out();
                if out.write(&connection.0.stream) || broken {
                    out.awaited = false;
                    if let Some(waker) = out.waker.take() {
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
    use crate::transport::socketio::connection::pair;

    #[tokio::test]
    async fn what_the_kernel_does_not_take_at_once_follows_in_its_order() {
        const SIZE: usize = 60_000;
        let (ours, mut theirs) = pair().await;
        let frames = |number: u8| Bytes::from(vec![number; SIZE]);
        // Nobody reads yet.
        let sent = (0..u8::MAX).take_while(|number| ours.send_whole(&frames(*number)) == Ok(true)).count();
        assert!((1..usize::from(u8::MAX)).contains(&sent), "there is an end to what is kept: {sent}");
        let mut got = vec![0; SIZE];
        for number in 0..sent {
            theirs.read_exact(&mut got).await.unwrap();
            assert!(got.iter().all(|byte| usize::from(*byte) == number), "the frame of number {number}");
        }
        assert_eq!(ours.send_whole(&frames(7)), Ok(true), "there is room again");
    }
}
