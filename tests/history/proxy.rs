//! A TCP proxy whose connections can be cut, stalled and delayed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a proxy does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Pass,
    /// Closes them, and each new one.
    Cut,
    /// Keeps them, takes new ones, and lets nothing through.
    Stall,
    /// Lets everything through so much later.
    Delay(Duration),
}

/// How much the kernel may keep for a peer that does not read. Small, so that who is slow is felt.
const BUFFER: u32 = 32 * 1024;
/// Connections that may wait to be taken.
const BACKLOG: u32 = 1024;

struct Shared {
    open: AtomicUsize,
    /// Connections that felt the present mode; counted once each.
    hit: AtomicU64,
    /// Rises with each change of mode.
    turn: AtomicU64,
    mode: watch::Sender<Mode>,
}

/// A running proxy; ends when dropped.
pub(crate) struct Proxy {
    listen: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Takes connections at one address and makes each to the other.
    pub(crate) fn start(listen: SocketAddr, target: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            open: AtomicUsize::new(0),
            hit: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            mode: watch::channel(Mode::Pass).0,
        });
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("to take the address again");
        socket.set_send_buffer_size(BUFFER).expect("a small buffer");
        socket.bind(listen).unwrap_or_else(|error| panic!("{listen}: {error}"));
        let listener = socket.listen(BACKLOG).expect("to listen");
        let accepting = tokio::spawn({
            let shared = shared.clone();
            async move {
                loop {
                    let Ok((client, _)) = listener.accept().await else { continue };
                    tokio::spawn(carry(client, target, shared.clone()));
                }
            }
        });
        Self { listen, shared, accepting }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.listen
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// From now on does this; answers how many connections felt what it did until now.
    pub(crate) fn set(&self, mode: Mode) -> u64 {
        let felt = self.shared.hit.swap(0, Ordering::Relaxed);
        self.shared.turn.fetch_add(1, Ordering::Relaxed);
        self.shared.mode.send_replace(mode);
        felt
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.mode.send_replace(Mode::Cut);
    }
}

/// One connection: notes once a mode that it felt it.
struct Felt {
    shared: Arc<Shared>,
    turn: AtomicU64,
}

impl Felt {
    fn now(&self) {
        let turn = self.shared.turn.load(Ordering::Relaxed);
        if self.turn.swap(turn, Ordering::Relaxed) != turn {
            self.shared.hit.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn carry(client: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let felt = Arc::new(Felt { shared: shared.clone(), turn: AtomicU64::new(u64::MAX) });
    if *shared.mode.borrow() == Mode::Cut {
        felt.now();
        return;
    }
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(BUFFER).expect("a small buffer");
    // Who can't be reached is one whom the client can't reach either.
    let Ok(server) = socket.connect(target).await else { return };
    // Small packets are what a chat is made of.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    shared.open.fetch_add(1, Ordering::Relaxed);
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut mode = shared.mode.subscribe();
    tokio::select! {
        // Both, so that one who only stops sending still hears the rest.
        _ = async { tokio::join!(pump(from_client, to_server, &felt), pump(from_server, to_client, &felt)) } => {}
        // Counted before the ends are closed, so that whoever sees them closed finds it counted.
        () = async {
            let _ = mode.wait_for(|mode| *mode == Mode::Cut).await;
            felt.now();
        } => {}
    }
    shared.open.fetch_sub(1, Ordering::Relaxed);
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, felt: &Felt) {
    let mut mode = felt.shared.mode.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer).await {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Pass | Mode::Cut => {}
            Mode::Delay(by) => {
                felt.now();
                tokio::time::sleep(by).await;
            }
            Mode::Stall => {
                felt.now();
                // An error means that the proxy ended.
                let _ = mode.wait_for(|mode| *mode != Mode::Stall).await;
            }
        }
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    // The peer hears of the end; should it be gone, it knows.
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::harness::{ports, run, until};

    /// A connection through a proxy, both ends of it.
    async fn connected() -> (Proxy, TcpStream, TcpStream) {
        let target = TcpListener::bind(ports::free()).await.unwrap();
        let proxy = Proxy::start(ports::free(), target.local_addr().unwrap());
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let (mut server, _) = target.accept().await.unwrap();
        passes(&mut client, &mut server).await;
        (proxy, client, server)
    }

    async fn passes(from: &mut TcpStream, to: &mut TcpStream) {
        from.write_all(b"x").await.unwrap();
        assert_eq!(to.read_u8().await.unwrap(), b'x');
    }

    #[test]
    fn what_is_stalled_comes_later_and_nothing_of_it_is_lost() {
        run(async {
            let (proxy, mut client, mut server) = connected().await;
            proxy.set(Mode::Stall);
            client.write_all(b"late").await.unwrap();
            let felt = || async { (proxy.shared.hit.load(Ordering::Relaxed) == 1).then_some(()) };
            until("the connection feels it", felt).await;
            assert!(server.try_read(&mut [0; 4]).is_err(), "nothing gets through");
            assert_eq!(proxy.set(Mode::Pass), 1);
            let mut text = [0; 4];
            server.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"late");
        });
    }

    #[test]
    fn what_is_cut_ends_and_new_connections_too_until_it_passes_again() {
        run(async {
            let (proxy, mut client, mut server) = connected().await;
            proxy.set(Mode::Cut);
            assert!(!matches!(client.read(&mut [0]).await, Ok(1..)));
            assert!(!matches!(server.read(&mut [0]).await, Ok(1..)));
            let mut another = TcpStream::connect(proxy.addr()).await.unwrap();
            assert!(!matches!(another.read(&mut [0]).await, Ok(1..)));
            assert_eq!(proxy.set(Mode::Pass), 2);
            until("none is open", || async { (proxy.open() == 0).then_some(()) }).await;
        });
    }

    #[test]
    fn what_is_delayed_comes_no_sooner_and_what_nobody_feels_counts_nothing() {
        run(async {
            let (proxy, mut client, mut server) = connected().await;
            let by = Duration::from_millis(100);
            assert_eq!(proxy.set(Mode::Delay(by)), 0);
            let begun = tokio::time::Instant::now();
            passes(&mut client, &mut server).await;
            assert!(begun.elapsed() >= by);
            assert_eq!(proxy.set(Mode::Pass), 1);
        });
    }
}
