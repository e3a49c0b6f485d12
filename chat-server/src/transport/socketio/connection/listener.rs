//! Accepting TCP connections, and their bytes while they speak HTTP.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::{Connection, Place};

/// The kernel's buffer for a client that does not read, in bytes.
const SEND_BUFFER: usize = 256 * 1024;

/// Accepts connections.
pub struct Connections {
    listener: TcpListener,
    user_timeout: Duration,
    open: Arc<AtomicUsize>,
}

impl Connections {
    /// Accepts the connections of `listener`. A connection that acknowledges nothing for `user_timeout`, while something
    /// is written, ends: the heartbeat can't end it where the heartbeat's own write is what hangs.
    #[must_use]
    pub fn new(listener: TcpListener, user_timeout: Duration) -> Self {
        Self { listener, user_timeout, open: Arc::default() }
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(self.user_timeout))?;
        Ok(())
    }

    /// The next connection, and its bytes.
    pub async fn accept(&mut self) -> (Connection, Io) {
        // axum's own listener knows which errors pass.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = self.tune(&stream) {
            tracing::debug!(%error, "a connection could not be tuned");
        }
        let connection = Connection::new(stream, address, Place::take(&self.open));
        (connection.clone(), Io(connection))
    }

    /// How many of its connections are open, WebSockets too.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// The bytes of a connection that speaks HTTP.
#[derive(Debug)]
pub struct Io(pub(super) Connection);

impl Io {
    /// The connection itself.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0
    }

    fn stream(&self) -> &TcpStream {
        self.0.stream()
    }

    /// Reads what is there. Where that is less than there is space for, nothing is left: the kernel reports when more is
    /// there, and is not asked before.
    fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        let mut some = None;
        let read = self.stream().try_io(Interest::READABLE, || {
            let read = self.stream().try_read(space)?;
            some = Some(read);
            if 0 < read && read < space.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(read) }
        });
        some.map_or(read, Ok)
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream().poll_read_ready(cx))?;
            match self.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    self.0.note_received();
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream().poll_write_ready(cx))?;
            match self.stream().try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.0.note_written();
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written is with the kernel already.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(self.stream()).shutdown(Shutdown::Write) {
            // The other end was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

/// A connection, and its client.
#[cfg(test)]
pub(crate) async fn pair() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut connections = Connections::new(listener, Duration::from_secs(30));
    let address = connections.listener.local_addr().unwrap();
    let ((ours, _), theirs) = tokio::join!(connections.accept(), TcpStream::connect(address));
    (ours, theirs.unwrap())
}
