//! The TCP connections of clients, owned so far that a node can write to one, see what waits on it, and end it.
//!
//! The transport of Socket.IO offers none of these: it queues, and can only say goodbye, which stock clients take as
//! "do not come back".

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use out::Out;

pub mod out;
pub mod wire;

/// How much the kernel keeps for a client that does not read, in bytes.
const SEND_BUFFER: usize = 256 * 1024;

/// A client's connection, as its requests see it.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: TcpStream,
    address: SocketAddr,
    /// What goes out of one that is a WebSocket.
    out: Mutex<Out>,
    begun: Instant,
    /// When something came last, in milliseconds since it began.
    heard: AtomicU64,
}

impl Connection {
    /// Who is at the other end: a client or a proxy.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// How long nothing has come from the other end.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.0.begun.elapsed().saturating_sub(Duration::from_millis(self.0.heard.load(Ordering::Relaxed)))
    }

    fn heard(&self) {
        let now = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.heard.store(now, Ordering::Relaxed);
    }

    /// Ends the connection as a network would: what the kernel takes is still sent, and a client
    /// takes it as a reason to connect anew.
    pub fn end(&self) {
        self.flush();
        // A connection that is gone already is what was wanted.
        let _ = SockRef::from(&self.0.stream).shutdown(Shutdown::Both);
    }
}

impl Connected<IncomingStream<'_, Connections>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().0.clone()
    }
}

/// Takes connections.
pub struct Connections {
    listener: TcpListener,
    /// After how long without a word from the other end's kernel a connection is given up.
    user_timeout: Duration,
}

impl Connections {
    /// Those that come to `listener`. What is written and not confirmed for `user_timeout` ends a
    /// connection: the heartbeat can't, where the write of it is what hangs.
    #[must_use]
    pub fn new(listener: TcpListener, user_timeout: Duration) -> Self {
        Self { listener, user_timeout }
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(self.user_timeout))?;
        Ok(())
    }
}

impl Listener for Connections {
    type Io = Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // axum's own listener knows which errors pass.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = self.tune(&stream) {
            tracing::debug!(%error, "a connection could not be tuned");
        }
        let (begun, heard) = (Instant::now(), AtomicU64::new(0));
        (Io(Connection(Arc::new(Inner { stream, address, out: Mutex::default(), begun, heard }))), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// The bytes of a connection that speaks HTTP.
#[derive(Debug)]
pub struct Io(Connection);

impl Io {
    fn stream(&self) -> &TcpStream {
        &self.0.0.stream
    }

    /// Reads what is there. Where that is less than there is space for, nothing is left: the kernel says when more is
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
                    self.0.heard();
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
                done => return Poll::Ready(done),
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
    let address = Listener::local_addr(&connections).unwrap();
    let ((Io(ours), _), theirs) = tokio::join!(connections.accept(), TcpStream::connect(address));
    (ours, theirs.unwrap())
}
