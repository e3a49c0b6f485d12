//! Noticing that the store lost what it had, and putting back what this node holds of it.
//!
//! One rule for all of it: the node compares what it holds with the store, often what all nodes share, from time to time
//! everything; at once when the store was lost as a whole, or the connection to it. What is missing is put back by
//! commits that expect it to be missing: of several nodes the first one's stays, and the others take that over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::service::lives::Lives;
use crate::store::{StoreError, Topic};
use crate::transport::socketio::{Context, leave_lost_rooms, restore_sessions};

/// How often what all nodes share is compared.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often everything is.
const FULL_INTERVAL: Duration = Duration::from_secs(12);

/// Compares and puts back, until the task is dropped. `interrupted` tells that the connection to the store was lost, so
/// that the store may be another one.
pub(super) async fn restore_what_is_lost(context: Arc<Context>, interrupted: Arc<Notify>) {
    let mut lives = Lives::new(&context.stores);
    let mut full_at = Instant::now() + FULL_INTERVAL;
    // Topics that were lost, until all of it is put back.
    let mut lost = Vec::new();
    // The first at once: what is lost before it is known is not noticed.
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = interrupted.notified() => full_at = Instant::now(),
        }
        match shared(&context, &mut lives).await {
            Ok(new) => lost.extend(new),
            Err(error) => {
                tracing::debug!(%error, "what the nodes share could not be compared with the store");
                continue;
            }
        }
        if lost.is_empty() && Instant::now() < full_at {
            continue;
        }
        match everything(&context, &lives, &lost).await {
            Ok(()) => {
                lost.clear();
                full_at = Instant::now() + FULL_INTERVAL;
            }
            // Tried again with the next comparison.
            Err(error) => tracing::debug!(%error, "what the store lost could not be put back yet"),
        }
    }
}

/// Compares what all nodes share. Returns which topics were lost.
async fn shared(context: &Context, lives: &mut Lives) -> Result<Vec<Topic>, StoreError> {
    let lost = lives.lost().await?;
    for topic in &lost {
        context.metrics.store_losses.inc();
        tracing::warn!(?topic, "the store lost what it had; putting back what this node holds");
    }
    context.sessions.share_keys().await?;
    Ok(lost)
}

/// Compares everything.
async fn everything(context: &Arc<Context>, lives: &Lives, lost: &[Topic]) -> Result<(), StoreError> {
    lives.verify().await?;
    context.rooms.restore_lobby().await?;
    let sessions = restore_sessions(context).await?;
    if sessions > 0 {
        tracing::warn!(sessions, "the store had lost sessions of people who are connected; they are put back");
    }
    if lost.contains(&Topic::Directory) {
        context.rooms.claim_names_again(&context.hub.rooms()).await?;
    }
    let rooms = leave_lost_rooms(context).await?;
    if rooms > 0 {
        tracing::warn!(rooms, "the store lost rooms; their people connect anew");
    }
    Ok(())
}
