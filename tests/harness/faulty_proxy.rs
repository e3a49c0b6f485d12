//! An HTTP proxy before a node that does one thing wrong to one kind of what it carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The most bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;
/// Pieces that a slow direction may hold.
const HELD_PIECES: usize = 1024;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends where something should come through.
    Cut,
    /// The node gets it, and what it answers is held for ever; of frames: they stop, unread.
    Hold,
    /// It is taken and goes nowhere.
    Swallow,
    /// It comes through later.
    Delay(Duration),
}

/// What it is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Requests for a WebSocket.
    Upgrades,
    /// What clients send over a WebSocket.
    FramesUp,
    /// What the node sends over a WebSocket.
    FramesDown,
    /// GETs of long-polling.
    Polls,
    /// POSTs of long-polling.
    Posts,
}

/// A running proxy; takes no more connections when dropped.
pub(crate) struct FaultyProxy {
    listen: SocketAddr,
    requests: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl FaultyProxy {
    /// Carries HTTP to a node.
    pub(crate) async fn start(node: SocketAddr, fault: Fault, target: Target) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let listen = listener.local_addr().expect("its address");
        let requests = Arc::new(AtomicU64::new(0));
        let proxy = Proxy { node, fault, target, requests: requests.clone() };
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                tokio::spawn(carry(client, proxy.clone()));
            }
        });
        Self { listen, requests, accepting }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// How many requests of Engine.IO were made so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Clone)]
struct Proxy {
    node: SocketAddr,
    fault: Fault,
    target: Target,
    requests: Arc<AtomicU64>,
}

impl Proxy {
    fn fault_of(&self, target: Target) -> Option<Fault> {
        (self.target == target).then_some(self.fault)
    }
}

/// Carries one request: its head asks the node to close the connection behind the answer, so there is no second one.
async fn carry(mut client: TcpStream, proxy: Proxy) -> Option<()> {
    let (head, body) = head(&mut client).await?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let kind = kind(&line, &head);
    if line.contains("/socket.io/") {
        proxy.requests.fetch_add(1, Ordering::SeqCst);
    }
    let fault = kind.and_then(|kind| proxy.fault_of(kind));
    match fault {
        Some(Fault::Cut) => return None,
        Some(Fault::Swallow) => return held(client).await,
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::Hold) | None => {}
    }
    let mut node = TcpStream::connect(proxy.node).await.ok()?;
    let _ = (client.set_nodelay(true), node.set_nodelay(true));
    node.write_all(rewritten(&head, kind == Some(Target::Upgrades)).as_bytes()).await.ok()?;
    node.write_all(&body).await.ok()?;
    if fault == Some(Fault::Hold) {
        // The node has it, and both connections stay open.
        let _node = node;
        return held(client).await;
    }
    if kind != Some(Target::Upgrades) {
        tokio::io::copy_bidirectional(&mut client, &mut node).await.ok()?;
        return None;
    }
    let (answer, frames) = self::head(&mut node).await?;
    client.write_all(answer.as_bytes()).await.ok()?;
    let ((from_client, to_client), (from_node, to_node)) = (client.into_split(), node.into_split());
    let mut up = tokio::spawn(pass(from_client, to_node, Vec::new(), proxy.fault_of(Target::FramesUp)));
    let mut down = tokio::spawn(pass(from_node, to_client, frames, proxy.fault_of(Target::FramesDown)));
    // The end of one direction is that of the other, as it is with proxies.
    tokio::select! {
        _ = &mut up => down.abort(),
        _ = &mut down => up.abort(),
    }
    None
}

/// Keeps a connection open, until its client closes it.
async fn held(mut client: TcpStream) -> Option<()> {
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await.ok()?;
    None
}

/// Reads the head of a request or an answer; and what came with it.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Some((String::from_utf8(read).ok()?, rest));
        }
        if read.len() > MAX_HEAD || stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

fn kind(line: &str, head: &str) -> Option<Target> {
    if head.to_ascii_lowercase().contains("\r\nupgrade: websocket") {
        Some(Target::Upgrades)
    } else if line.starts_with("POST ") {
        Some(Target::Posts)
    } else {
        line.contains("transport=polling").then_some(Target::Polls)
    }
}

/// The head, with this connection closed behind the answer unless it becomes a WebSocket.
fn rewritten(head: &str, upgrade: bool) -> String {
    if upgrade {
        return head.to_owned();
    }
    let kept = head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    kept.map(|line| format!("{line}\r\n")).collect::<String>() + "Connection: close\r\n\r\n"
}

/// Carries one direction of a WebSocket.
async fn pass(mut from: OwnedReadHalf, to: OwnedWriteHalf, first: Vec<u8>, fault: Option<Fault>) {
    let delay = if let Some(Fault::Delay(time)) = fault { time } else { Duration::ZERO };
    let (pieces, held) = mpsc::channel(HELD_PIECES);
    let mut writer = tokio::spawn(write_later(to, held));
    let mut piece = first;
    loop {
        match fault {
            Some(Fault::Cut) if !piece.is_empty() => break,
            Some(Fault::Hold) if !piece.is_empty() => std::future::pending().await,
            Some(Fault::Swallow) => {}
            _ => {
                if pieces.send((Instant::now() + delay, piece)).await.is_err() {
                    break;
                }
            }
        }
        piece = Vec::with_capacity(16 * 1024);
        if !matches!(from.read_buf(&mut piece).await, Ok(length) if length > 0) {
            break;
        }
    }
    drop(pieces);
    if fault == Some(Fault::Cut) {
        writer.abort();
    }
    let _ = (&mut writer).await;
}

async fn write_later(mut to: OwnedWriteHalf, mut pieces: mpsc::Receiver<(Instant, Vec<u8>)>) {
    while let Some((when, piece)) = pieces.recv().await {
        tokio::time::sleep_until(when).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
