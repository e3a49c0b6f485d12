//! Frames that wait until the kernel takes them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::Waker;

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;

/// The most frames that may wait.
pub const MAX_FRAMES: usize = 1024;
/// The most bytes that may wait, unless one frame alone is larger.
pub const MAX_BYTES: usize = 128 * 1024;
/// The most frames of one write.
const FRAMES_PER_WRITE: usize = 64;

/// Frames that wait until the kernel takes them.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// A task waits until the kernel takes more.
    pub(super) awaited: bool,
    closed: bool,
    /// Packets of Socket.IO that the transport wrote.
    pub(super) passed: u64,
    /// Wakes the transport once all is written.
    pub(super) waker: Option<Waker>,
}

impl WriteQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn has_room(&self) -> bool {
        self.frames.is_empty() || (self.frames.len() < MAX_FRAMES && self.bytes < MAX_BYTES)
    }

    /// Whether all of `bytes` more, in one frame, find room.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.frames.is_empty() || (self.frames.len() < MAX_FRAMES && self.bytes + bytes <= MAX_BYTES)
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
                    self.closed = true;
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
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let count = self.frames.len().min(FRAMES_PER_WRITE);
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
