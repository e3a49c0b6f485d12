//! Waiting for the store before sockets are taken, and checking it from then on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::store::StoreError;
use crate::transport::socketio::Context;

/// How often a store that does not answer at the start is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How often the configuration of the store is checked later on.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// Waits for what every socket needs, has sockets taken, and checks the store until the task is dropped.
pub(super) async fn take_sockets_once_ready(context: Arc<Context>) {
    let mut logged = false;
    loop {
        let prepared = async {
            context.stores.health.check().await?;
            context.rooms.ensure_lobby().await?;
            context.sessions.keys().await.map(drop)
        };
        match prepared.await {
            Ok(()) => break context.lifecycle.start(),
            Err(error) => {
                context.lifecycle.set_waiting_for(error.to_string());
                if !std::mem::replace(&mut logged, true) {
                    tracing::warn!(%error, "waiting for the store; until it is available, clients are told to try again");
                }
                sleep(RETRY).await;
            }
        }
    }
    tracing::info!("the store is available; taking sockets");
    if let Err(error) = context.rooms.renew_names().await {
        tracing::warn!(%error, "public names of an earlier version are not held against those that are like them yet");
    }
    check_configuration(&context).await;
}

/// Logs, and has `/readyz` say, that the store is no longer configured as it was at the start, as after a failover to
/// another one. That alone is no reason to send everybody away.
async fn check_configuration(context: &Context) {
    loop {
        sleep(CHECK_INTERVAL).await;
        match context.stores.health.check().await {
            Err(error @ StoreError::Misconfigured(_)) => {
                let warning = error.to_string();
                if context.lifecycle.warning().as_ref() != Some(&warning) {
                    tracing::warn!("{warning}");
                }
                context.lifecycle.set_warning(Some(warning));
            }
            Ok(()) => context.lifecycle.set_warning(None),
            Err(_) => {}
        }
    }
}
