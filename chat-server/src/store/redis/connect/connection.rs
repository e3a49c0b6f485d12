//! One connection to Redis: it reconnects for ever, and tells whether it is up.

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

use crate::domain::trouble::Trouble;
use crate::store::redis::refusals;
use crate::store::{StoreError, Traffic};

/// The pause before fred is started again, should it end.
const RESTART: Duration = Duration::from_secs(1);
/// How often a connection is pinged: TCP alone does not tell whether it still answers.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long [`Connection::renew`] waits for the new connection.
const RENEWAL: Duration = Duration::from_secs(1);
/// How often [`Connection::wait`] looks.
const POLL: Duration = Duration::from_millis(10);

/// A client of fred with the tasks that keep it running. Ends when dropped.
pub(crate) struct Connection {
    client: Client,
    state: Arc<ConnectionState>,
    tasks: Vec<AbortHandle>,
}

/// Whether the connection is up, once that is known.
struct ConnectionState {
    role: &'static str,
    up: watch::Sender<Option<bool>>,
    /// The trouble when there is no more specific one.
    away: Trouble,
    /// Why it was last lost.
    trouble: Mutex<Trouble>,
    counters: Arc<TrafficCounters>,
}

/// What went over all connections of a node since its start.
#[derive(Default)]
pub(crate) struct TrafficCounters {
    commands: AtomicU64,
    connects: AtomicU64,
}

impl TrafficCounters {
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic { commands: self.commands.load(Ordering::Relaxed), connects: self.connects.load(Ordering::Relaxed) }
    }
}

/// The trouble that an error at connecting stands for, if it tells.
fn trouble_of(error: &Error) -> Option<Trouble> {
    let says = |words| error.details().contains(words);
    match error.kind() {
        ErrorKind::Auth => Some(Trouble::Unauthenticated),
        // Behind a sentinel the error is of another kind.
        _ if says("WRONGPASS") || says("NOAUTH") => Some(Trouble::Unauthenticated),
        _ if says("InvalidCertificate(") => Some(Trouble::Untrusted),
        _ if says("AlertReceived(") => Some(Trouble::TlsRejected),
        _ => refusals::of(error.details()),
    }
}

impl ConnectionState {
    fn is_up(&self) -> bool {
        *self.up.borrow() == Some(true)
    }

    fn connected(&self) {
        self.counters.connects.fetch_add(1, Ordering::Relaxed);
        if self.up.send_replace(Some(true)) != Some(true) {
            tracing::info!(connection = self.role, "connected to Redis");
        }
    }

    fn lost(&self, error: &Error) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble_of(error).unwrap_or(self.away);
        if self.up.send_replace(Some(false)) != Some(false) {
            tracing::warn!(connection = self.role, %error, "{}; retrying", self.trouble());
        }
    }

    fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Starts to connect. Receivers for all of the client's events must exist before.
    pub(crate) fn start(client: Client, role: &'static str, counters: Arc<TrafficCounters>) -> Self {
        let away = if client.inner().config.server.is_sentinel() { Trouble::NoPrimary } else { Trouble::Unreachable };
        let state =
            Arc::new(ConnectionState { role, up: watch::Sender::new(None), away, trouble: Mutex::new(away), counters });
        let watch = watch_state(client.error_rx(), client.reconnect_rx(), state.clone());
        let tasks = vec![
            tokio::spawn(watch).abort_handle(),
            tokio::spawn(run(client.clone())).abort_handle(),
            tokio::spawn(ping(client.clone(), state.clone())).abort_handle(),
        ];
        Self { client, state, tasks }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state.is_up() && self.client.is_connected()
    }

    /// Why it is not up, if it is not.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        (!self.is_up()).then(|| self.state.trouble())
    }

    /// Drops the connection and opens a new one.
    pub(crate) async fn renew(&self) {
        if self.is_up() {
            let _ = tokio::time::timeout(RENEWAL, self.client.force_reconnection()).await;
        }
    }

    /// Waits until the connection is up or has failed, for at most this long.
    pub(crate) async fn settled(&self, at_most: Duration) {
        let mut up = self.state.up.subscribe();
        let _ = tokio::time::timeout(at_most, up.wait_for(|up| up.is_some())).await;
        if self.state.is_up() {
            self.wait(at_most).await;
        }
    }

    /// Waits until the connection is up, for at most this long.
    pub(crate) async fn wait(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, async {
            while !self.is_up() {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }

    /// How often the node connected to Redis, over any connection. While it is the same, so is the server.
    pub(crate) fn connects(&self) -> u64 {
        self.state.counters.connects.load(Ordering::Relaxed)
    }

    /// The client for a command, if it is connected: otherwise fred would queue the command.
    pub(crate) fn client(&self) -> Result<&Client, StoreError> {
        if self.is_up() {
            self.state.counters.commands.fetch_add(1, Ordering::Relaxed);
            Ok(&self.client)
        } else {
            Err(StoreError::Unavailable(self.state.trouble().to_string()))
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Whether an error says that the server is a replica, which takes no writes.
pub(crate) fn is_replica(error: &Error) -> bool {
    refusals::of(error.details()) == Some(Trouble::ReadOnly)
}

/// The error of the store for an error of fred.
pub(crate) fn failed(error: Error) -> StoreError {
    if let Some(trouble) = refusals::of(error.details()) {
        return StoreError::Refused(trouble, error.details().to_owned());
    }
    match error.kind() {
        // A key or a reply of another type than this version writes.
        ErrorKind::InvalidArgument | ErrorKind::Parse | ErrorKind::NotFound => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Runs fred's own task, which reconnects by itself; but some errors end it, such as a refused database
/// number, although they may be fixed in Redis.
async fn run(client: Client) {
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

/// Pings now and then, and opens a new connection when no answer comes. fred can do so, too, but counts from the
/// last write: it never notices a connection in use that answers nothing.
async fn ping(client: Client, state: Arc<ConnectionState>) {
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

/// Keeps the state up to date.
async fn watch_state(
    mut errors: Receiver<(Error, Option<Server>)>,
    mut connects: Receiver<Server>,
    state: Arc<ConnectionState>,
) {
    loop {
        tokio::select! {
            // Errors first: of an error and a connect that both wait here, the connect is the later one;
            // if not, the next failed attempt is another error.
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
