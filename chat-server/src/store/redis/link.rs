//! One connection to Redis, kept up for ever, and whether it is up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::config::Server;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::store::{StoreError, Traffic};

/// How soon fred is started again, should it ever end.
const RESTART: Duration = Duration::from_secs(1);
/// How often a connection is asked whether it still answers: TCP alone would not tell.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long whoever asks for a new connection waits for it.
const RENEWAL: Duration = Duration::from_secs(1);
/// How often it is looked at whether a connection is there at last.
const POLL: Duration = Duration::from_millis(10);

/// A client of fred with all that keeps it running. Ends when dropped.
pub(super) struct Link {
    client: Client,
    state: Arc<State>,
    tasks: Vec<AbortHandle>,
}

/// Whether the connection is up, once that is known.
struct State {
    role: &'static str,
    up: watch::Sender<Option<bool>>,
    /// What is said when it is not known better.
    away: &'static str,
    /// What kept it from being up, last.
    trouble: Mutex<&'static str>,
    counts: Arc<Counts>,
}

/// What went over all links of a node since its start.
#[derive(Default)]
pub(super) struct Counts {
    commands: AtomicU64,
    connects: AtomicU64,
}

impl Counts {
    pub(super) fn traffic(&self) -> Traffic {
        Traffic { commands: self.commands.load(Ordering::Relaxed), connects: self.connects.load(Ordering::Relaxed) }
    }
}

/// What is said while Redis refuses the user or the password. The operator looks for these words
/// (operator/src/controller/status/redis.rs).
const REFUSED: &str = "Redis refuses the user or the password";
/// What is said while the certificate of Redis is not one to trust; likewise.
const UNTRUSTED: &str = "Redis shows a certificate that can't be trusted";
/// What is said while Redis breaks TLS off; likewise.
const REJECTED: &str = "Redis breaks TLS off: it may want another client certificate";
/// What is said while Redis can't be reached; likewise.
pub(super) const AWAY: &str = "Redis can't be reached";
/// What is said while none of the sentinels leads to a primary; likewise.
const NO_PRIMARY: &str = "no sentinel leads to a primary of Redis that can be reached";

/// Which of these an error means, if it is none of the last two.
fn meant(error: &Error) -> Option<&'static str> {
    let says = |words| error.details().contains(words);
    match error.kind() {
        ErrorKind::Auth => Some(REFUSED),
        // What is found through a sentinel is of another kind.
        _ if says("WRONGPASS") || says("NOAUTH") => Some(REFUSED),
        _ if says("InvalidCertificate(") => Some(UNTRUSTED),
        _ if says("AlertReceived(") => Some(REJECTED),
        _ => None,
    }
}

impl State {
    fn is_up(&self) -> bool {
        *self.up.borrow() == Some(true)
    }

    /// Says so once when it changes.
    fn connected(&self) {
        self.counts.connects.fetch_add(1, Ordering::Relaxed);
        if self.up.send_replace(Some(true)) != Some(true) {
            tracing::info!(connection = self.role, "connected to Redis");
        }
    }

    fn lost(&self, error: &Error) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = meant(error).unwrap_or(self.away);
        if self.up.send_replace(Some(false)) != Some(false) {
            tracing::warn!(connection = self.role, %error, "{}; trying again and again", self.trouble());
        }
    }

    fn trouble(&self) -> &'static str {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Starts to connect. Whoever wants to hear all of the client's events has asked for them before.
    pub(super) fn start(client: Client, role: &'static str, counts: Arc<Counts>) -> Self {
        let away = if client.inner().config.server.is_sentinel() { NO_PRIMARY } else { AWAY };
        let state = Arc::new(State { role, up: watch::Sender::new(None), away, trouble: Mutex::new(away), counts });
        let follow = follow(client.error_rx(), client.reconnect_rx(), state.clone());
        let tasks = vec![
            tokio::spawn(follow).abort_handle(),
            tokio::spawn(keep(client.clone())).abort_handle(),
            tokio::spawn(ask(client.clone(), state.clone())).abort_handle(),
        ];
        Self { client, state, tasks }
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.is_up() && self.client.is_connected()
    }

    /// Why it is not up, if it is not.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        (!self.is_up()).then(|| self.state.trouble())
    }

    /// Gives the connection up and begins a new one.
    pub(super) async fn renew(&self) {
        if self.is_up() {
            let _ = tokio::time::timeout(RENEWAL, self.client.force_reconnection()).await;
        }
    }

    /// Waits until it is known whether the connection can be had, for at most this long.
    pub(super) async fn settled(&self, at_most: Duration) {
        let mut up = self.state.up.subscribe();
        let _ = tokio::time::timeout(at_most, up.wait_for(|up| up.is_some())).await;
        if self.state.is_up() {
            self.wait(at_most).await;
        }
    }

    /// Waits for the connection, for at most this long.
    pub(super) async fn wait(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, async {
            while !self.is_up() {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }

    /// How often the node connected to Redis, this way or another: as long as that stays the same, so does the server.
    pub(super) fn connects(&self) -> u64 {
        self.state.counts.connects.load(Ordering::Relaxed)
    }

    /// The client for a command, if it is connected: otherwise fred would let the command wait in its queue.
    pub(super) fn client(&self) -> Result<&Client, StoreError> {
        if self.is_up() {
            self.state.counts.commands.fetch_add(1, Ordering::Relaxed);
            Ok(&self.client)
        } else {
            Err(StoreError::Unavailable(self.state.trouble().to_owned()))
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Whether an error says that the other end takes no writes.
pub(super) fn is_replica(error: &Error) -> bool {
    error.details().starts_with("READONLY")
}

/// What an error of fred means to the one who asked.
pub(super) fn failed(error: Error) -> StoreError {
    match error.kind() {
        // Another type of key, or of answer, than this version writes.
        ErrorKind::InvalidArgument | ErrorKind::Parse | ErrorKind::NotFound => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Runs fred's own task, which reconnects by itself; but some errors, such as a refused database
/// number, end it, and they may be mended in Redis.
async fn keep(client: Client) {
    struct Running(AbortHandle);
    impl Drop for Running {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    loop {
        let task = client.connect();
        let _running = Running(task.abort_handle());
        if let Ok(Err(error)) = task.await {
            tracing::debug!(%error, "the connection to Redis ended");
        }
        tokio::time::sleep(RESTART).await;
    }
}

/// Asks now and then, and begins a new connection when no answer comes. fred can do so too, but
/// counts from the last thing written: a connection in use that answers nothing never counts.
async fn ask(client: Client, state: Arc<State>) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        if !state.is_up() {
            continue;
        }
        if let Err(error) = client.ping::<()>(None).await
            && *error.kind() == ErrorKind::Timeout
        {
            state.lost(&error);
            let _ = client.force_reconnection().await;
        }
    }
}

/// Follows whether the connection is up.
async fn follow(mut errors: Receiver<(Error, Option<Server>)>, mut connects: Receiver<Server>, state: Arc<State>) {
    loop {
        tokio::select! {
            // Errors first: of an error and a connection that both wait here, the connection is
            // the later one; if not, the next failed attempt is another error.
            biased;
            error = errors.recv() => match error {
                Ok((error, _)) => state.lost(&error),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            connect = connects.recv() => match connect {
                Err(RecvError::Closed) => return,
                _ => state.connected(),
            },
        }
    }
}
