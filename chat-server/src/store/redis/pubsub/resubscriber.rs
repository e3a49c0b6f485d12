//! Restores the subscriptions of one server.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::types::config::Server;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{Notify, RwLock, mpsc};

use super::shared::Shared;
use super::subscribe::{SubscribeError, subscribe};

/// The pause before a subscription that failed after a reconnect is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Subscribes to the channels that should be subscribed on a server and are not: all of them on each new connection,
/// some when slots have moved. Reports an interruption once they are in force, no sooner.
pub(super) struct Resubscriber {
    pub(super) number: u64,
    pub(super) client: Client,
    pub(super) shared: Arc<Shared>,
    pub(super) gate: Arc<RwLock<()>>,
    pub(super) wake: Arc<Notify>,
    pub(super) interrupted: mpsc::Sender<()>,
}

impl Resubscriber {
    pub(super) async fn run(self, mut connects: Receiver<Server>) {
        loop {
            tokio::select! {
                connect = connects.recv() => {
                    if matches!(connect, Err(RecvError::Closed)) {
                        return;
                    }
                    // With the gate, no subscription made on the old connection is noted after this.
                    let _exclusive = self.gate.write().await;
                    self.shared.subscriptions.set_lost(self.number);
                }
                () = self.wake.notified() => {}
            }
            loop {
                let gate = self.gate.read().await;
                let channels = self.shared.subscriptions.missing(self.number);
                if channels.is_empty() {
                    break;
                }
                match subscribe(&self.client, &channels, self.shared.sharded).await {
                    Ok(()) => {
                        self.shared.subscriptions.set_in_force(&channels, self.number);
                        // A full channel already holds the same report.
                        let _ = self.interrupted.try_send(());
                        break;
                    }
                    Err(SubscribeError::Moved) => self.shared.subscriptions.report_moved(),
                    Err(SubscribeError::Failed(error)) => tracing::debug!(%error, "not subscribed again yet"),
                }
                drop(gate);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
