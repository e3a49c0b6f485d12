//! Handing sockets over to other nodes: when the node drains, is cordoned, or its bus is unhealthy.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::lifecycle::{Lifecycle, NodeState};
use crate::transport::socketio::Context;
use crate::transport::socketio::handover::{self, Pace, Selection};

/// How often the health of the bus is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Hands all sockets over once the node drains.
pub(super) async fn hand_over_on_drain(context: Arc<Context>, pace: Pace) {
    context.lifecycle.wait_for_drain().await;
    handover::run(&context, pace, Selection::All, || true).await;
}

/// Hands over the sockets that poll, whenever the node is cordoned, and finishes the cordon then: were the node unready
/// before, proxies would cut them all at once.
pub(super) async fn hand_over_polling_on_cordon(context: Arc<Context>, pace: Pace) {
    loop {
        let cordon = context.lifecycle.wait_for_cordon().await;
        tracing::info!("cordoned: no new sockets are taken");
        let holds = || context.lifecycle.holds(cordon);
        let per_second = cordon.per_second.map_or(pace.per_second, |asked| asked.min(pace.per_second));
        handover::run(&context, Pace { per_second, ..pace }, Selection::Polling, holds).await;
        if context.lifecycle.finish_cordon(cordon) {
            tracing::info!(sockets = context.clients.count(), "no socket polls; the node is not ready any more");
        } else {
            tracing::info!(state = context.lifecycle.state().as_str(), "the cordon is over");
        }
    }
}

/// Hands all sockets over while the bus is unhealthy.
pub(super) async fn hand_over_while_bus_unhealthy(context: Arc<Context>, pace: Pace) {
    let unhealthy = |lifecycle: &Lifecycle| !lifecycle.is_bus_healthy();
    loop {
        sleep(INTERVAL).await;
        // A node that drains hands them over anyway.
        if unhealthy(&context.lifecycle) && context.lifecycle.state() != NodeState::Draining {
            handover::run(&context, pace, Selection::All, || unhealthy(&context.lifecycle)).await;
        }
    }
}
