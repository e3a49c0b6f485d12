//! A TCP proxy between a node and Redis that knows the connection on which the node hears from the others, and can
//! wedge it: open as before, and nothing comes through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ports;

/// What only the connection that hears ever says.
const SUBSCRIBE: &[u8] = b"\r\nSUBSCRIBE\r\n";
/// How a proxy in the middle takes the subscriptions away, unseen by the node.
const UNSUBSCRIBE: &[u8] = b"*1\r\n$11\r\nUNSUBSCRIBE\r\n";

struct Shared {
    /// Connections are numbered as they come; those that hear and have a number below this are wedged.
    wedged_below: watch::Sender<u64>,
    /// How often the subscriptions were taken away.
    forgotten: watch::Sender<u64>,
    next: AtomicU64,
    hearing: AtomicU64,
    held: AtomicU64,
}

/// A running proxy; takes no more connections when dropped.
pub(crate) struct BusProxy {
    listen: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl BusProxy {
    /// Carries each connection to `target`.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let listen = ports::free();
        let listener = std::net::TcpListener::bind(listen).expect("the port that was free");
        listener.set_nonblocking(true).expect("a socket for the runtime");
        let listener = TcpListener::from_std(listener).expect("a socket of the runtime");
        let shared = Arc::new(Shared {
            wedged_below: watch::channel(0).0,
            forgotten: watch::channel(0).0,
            next: AtomicU64::new(0),
            hearing: AtomicU64::new(0),
            held: AtomicU64::new(0),
        });
        let accepting = tokio::spawn({
            let shared = shared.clone();
            async move {
                loop {
                    let Ok((node, _)) = listener.accept().await else { continue };
                    tokio::spawn(carry(node, target, shared.clone()));
                }
            }
        });
        Self { listen, shared, accepting }
    }

    /// What to pass as `--redis-url`.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.listen)
    }

    /// Wedges the connection that hears now; a new one works.
    pub(crate) fn wedge_present(&self) {
        self.shared.wedged_below.send_replace(self.shared.next.load(Ordering::SeqCst));
    }

    /// Wedges the connection that hears now, and each new one as soon as it begins to hear.
    pub(crate) fn wedge_all(&self) {
        self.shared.wedged_below.send_replace(u64::MAX);
    }

    /// Lets everything through, with what was held back.
    pub(crate) fn release(&self) {
        self.shared.wedged_below.send_replace(0);
    }

    /// Has Redis forget what the present connection hears; the connection answers as before.
    pub(crate) fn forget(&self) {
        self.shared.forgotten.send_modify(|times| *times += 1);
    }

    /// How many connections began to hear so far.
    pub(crate) fn hearing(&self) -> u64 {
        self.shared.hearing.load(Ordering::SeqCst)
    }

    /// How many pieces were held back so far: a wedge that held nothing proves nothing.
    pub(crate) fn held(&self) -> u64 {
        self.shared.held.load(Ordering::SeqCst)
    }
}

impl Drop for BusProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Carried {
    number: u64,
    hears: AtomicBool,
    shared: Arc<Shared>,
}

impl Carried {
    /// Waits while this connection is wedged.
    async fn pass(&self) {
        let mut below = self.shared.wedged_below.subscribe();
        let free = |below: &u64| !(self.hears.load(Ordering::SeqCst) && self.number < *below);
        if !free(&below.borrow_and_update()) {
            self.shared.held.fetch_add(1, Ordering::SeqCst);
        }
        // An error means that the test is over.
        let _ = below.wait_for(free).await;
    }

    fn said(&self, bytes: &[u8]) {
        let begins = bytes.windows(SUBSCRIBE.len()).any(|part| part == SUBSCRIBE);
        if begins && !self.hears.swap(true, Ordering::SeqCst) {
            self.shared.hearing.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn carry(node: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let number = shared.next.fetch_add(1, Ordering::SeqCst);
    // Who can't be reached is one whom the node can't reach either.
    let Ok(redis) = TcpStream::connect(target).await else { return };
    let _ = (node.set_nodelay(true), redis.set_nodelay(true));
    let carried = Carried { number, hears: AtomicBool::new(false), shared };
    let ((from_node, to_node), (from_redis, to_redis)) = (node.into_split(), redis.into_split());
    tokio::join!(requests(from_node, to_redis, &carried), answers(from_redis, to_node, &carried));
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, carried: &Carried) {
    let mut forgotten = carried.shared.forgotten.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let piece: &[u8] = tokio::select! {
            length = from.read(&mut buffer) => match length {
                Ok(length) if length > 0 => &buffer[..length],
                _ => break,
            },
            Ok(()) = forgotten.changed() => if carried.hears.load(Ordering::SeqCst) { UNSUBSCRIBE } else { &[] },
        };
        carried.said(piece);
        carried.pass().await;
        if to.write_all(piece).await.is_err() {
            break;
        }
    }
    // The peer hears of the end; should it be gone, it knows.
    let _ = to.shutdown().await;
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, carried: &Carried) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer).await {
        carried.pass().await;
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
