//! One connection to Redis, kept up for ever, and whether it is up.

use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::broker::BrokerError;

/// How soon fred is started again, should it ever end.
const RESTART: Duration = Duration::from_secs(1);
/// How often a quiet connection is asked whether it is still there: TCP alone would not tell.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often it is looked at whether a connection is there at last.
const POLL: Duration = Duration::from_millis(10);

/// A client of fred with all that keeps it running. Ends when dropped.
pub(super) struct Link {
    client: Client,
    up: watch::Receiver<bool>,
    tasks: Vec<AbortHandle>,
}

impl Link {
    /// Starts to connect. Whoever wants to hear all of the client's events has asked for them before.
    pub(super) fn start(client: Client, role: &'static str) -> Self {
        let (tell, up) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(report(client.clone(), role, tell)).abort_handle(),
            tokio::spawn(keep(client.clone())).abort_handle(),
            tokio::spawn(ask(client.clone(), up.clone())).abort_handle(),
        ];
        Self { client, up, tasks }
    }

    pub(super) fn is_up(&self) -> bool {
        *self.up.borrow() && self.client.is_connected()
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

    /// The client, if it is connected: otherwise fred would let a command wait in its queue.
    pub(super) fn client(&self) -> Result<&Client, BrokerError> {
        if self.is_up() { Ok(&self.client) } else { Err(BrokerError::Unavailable("not connected to Redis".to_owned())) }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What an error of fred means to the one who asked.
pub(super) fn failed(error: Error) -> BrokerError {
    match error.kind() {
        // Another type of key, or of answer, than this version writes.
        ErrorKind::InvalidArgument | ErrorKind::Parse | ErrorKind::NotFound => BrokerError::Corrupt(error.to_string()),
        _ => BrokerError::Unavailable(error.to_string()),
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

/// Asks now and then, so that fred sees a connection that swallows everything.
async fn ask(client: Client, up: watch::Receiver<bool>) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        if *up.borrow() {
            let _ = client.ping::<()>(None).await;
        }
    }
}

/// Follows whether the connection is up, and says so once when that changes.
async fn report(client: Client, role: &'static str, up: watch::Sender<bool>) {
    let (mut errors, mut connects) = (client.error_rx(), client.reconnect_rx());
    let mut said = None;
    loop {
        let is = tokio::select! {
            // Errors first: of an error and a connection that both wait here, the connection is
            // the later one; if not, the next failed attempt is another error.
            biased;
            error = errors.recv() => match error {
                Ok((error, _)) => {
                    if said != Some(false) {
                        tracing::warn!(connection = role, %error, "Redis can't be reached; trying until it can");
                    }
                    false
                }
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            connect = connects.recv() => match connect {
                Err(RecvError::Closed) => return,
                _ => {
                    if said != Some(true) {
                        tracing::info!(connection = role, "connected to Redis");
                    }
                    true
                }
            },
        };
        said = Some(is);
        up.send_replace(is);
    }
}
