//! One client's connection.

use std::net::SocketAddr;

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// TCP is on its way.
    Connecting,
    /// The upgrade to a WebSocket was asked for.
    Upgrading,
    /// It is a WebSocket.
    Open,
    /// Everything can be said and heard.
    There,
    /// Closed, by either side.
    Gone,
}

/// What the kernel keeps for one who does not read; with so little, one who does read would be slow, too.
const SLEEPERS_BUFFER: usize = 16 * 1024;
const READERS_BUFFER: usize = 256 * 1024;

/// A connection that never waits.
pub(super) struct Socket {
    fd: Option<OwnedFd>,
    pub(super) stage: Stage,
    mask: [u8; 4],
    /// The beginning of a frame whose end is still to come.
    rest: Vec<u8>,
    /// What the kernel did not take yet.
    unsent: Vec<u8>,
    /// Whether nothing is read of it for now.
    is_deaf: bool,
}

impl Socket {
    /// Begins to connect.
    pub(super) fn connect(epoll: &OwnedFd, client: usize, to: SocketAddr) -> Result<Self, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&fd, true)?;
        match net::connect(&fd, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        epoll::add(epoll, &fd, data(client), epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
        // Any but zero, with which some servers would save the unmasking.
        let mask = (client as u32 ^ 0x9e37_79b9).to_be_bytes();
        Ok(Self { fd: Some(fd), stage: Stage::Connecting, mask, rest: Vec::new(), unsent: Vec::new(), is_deaf: false })
    }

    /// Whether TCP is there, now that something happened.
    pub(super) fn is_connected(&self) -> bool {
        self.fd.as_ref().is_some_and(|fd| matches!(sockopt::socket_error(fd), Ok(Ok(()))))
    }

    /// Reads what is there; nothing if nothing is.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        let Some(fd) = &self.fd else { return Ok(None) };
        match rustix::io::read(fd, buffer) {
            Ok(length) => Ok(Some(length)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts what was kept before what will be read.
    pub(super) fn take_rest(&mut self, buffer: &mut Vec<u8>) -> usize {
        let kept = self.rest.len();
        if kept > 0 {
            if buffer.len() < kept {
                buffer.resize(kept, 0);
            }
            buffer[..kept].copy_from_slice(&self.rest);
            self.rest.clear();
        }
        kept
    }

    /// Keeps a beginning until the rest comes.
    pub(super) fn keep_rest(&mut self, rest: &[u8]) {
        self.rest.extend_from_slice(rest);
    }

    /// Says something, at once or as soon as the kernel takes it.
    pub(super) fn say(
        &mut self,
        epoll: &OwnedFd,
        client: usize,
        write: impl FnOnce(&mut Vec<u8>, [u8; 4]),
    ) -> Result<(), Errno> {
        if self.fd.is_none() {
            return Ok(());
        }
        let waits = !self.unsent.is_empty();
        write(&mut self.unsent, self.mask);
        // The kernel says when it takes more.
        if waits { Ok(()) } else { self.flush(epoll, client) }
    }

    /// Hands the kernel what waits.
    pub(super) fn flush(&mut self, epoll: &OwnedFd, client: usize) -> Result<(), Errno> {
        let Some(fd) = &self.fd else { return Ok(()) };
        let mut sent = 0;
        while sent < self.unsent.len() {
            match net::send(fd, &self.unsent[sent..], SendFlags::NOSIGNAL) {
                Ok(length) => sent += length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error),
            }
        }
        let was_stuck = sent < self.unsent.len() || self.stage == Stage::Connecting;
        self.unsent.drain(..sent);
        if was_stuck { self.watch(epoll, client) } else { Ok(()) }
    }

    /// Reads nothing any more, and has the kernel keep little of it.
    pub(super) fn sleep(&mut self, epoll: &OwnedFd, client: usize) -> Result<(), Errno> {
        if let Some(fd) = &self.fd {
            sockopt::set_socket_recv_buffer_size(fd, SLEEPERS_BUFFER)?;
        }
        self.is_deaf = true;
        self.watch(epoll, client)
    }

    /// Reads again.
    pub(super) fn wake(&mut self, epoll: &OwnedFd, client: usize) -> Result<(), Errno> {
        if let Some(fd) = &self.fd {
            sockopt::set_socket_recv_buffer_size(fd, READERS_BUFFER)?;
        }
        self.is_deaf = false;
        self.watch(epoll, client)
    }

    /// Tells epoll what is waited for.
    fn watch(&self, epoll: &OwnedFd, client: usize) -> Result<(), Errno> {
        let Some(fd) = &self.fd else { return Ok(()) };
        let mut flags = epoll::EventFlags::empty();
        if !self.is_deaf {
            flags |= epoll::EventFlags::IN;
        }
        if !self.unsent.is_empty() {
            flags |= epoll::EventFlags::OUT;
        }
        epoll::modify(epoll, fd, data(client), flags)
    }

    /// Ends it from our side.
    pub(super) fn close(&mut self, epoll: &OwnedFd) {
        if let Some(fd) = self.fd.take() {
            // The kernel forgets a closed descriptor by itself.
            let _ = epoll::delete(epoll, &fd);
        }
        self.stage = Stage::Gone;
        self.rest = Vec::new();
        self.unsent = Vec::new();
    }
}

fn data(client: usize) -> epoll::EventData {
    epoll::EventData::new_u64(client as u64)
}
