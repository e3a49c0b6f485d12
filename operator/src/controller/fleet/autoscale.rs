//! Computes the desired number of nodes. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

use super::Fleet;
use crate::api::reason::Reason;
use crate::api::spec::ChatClusterSpec;
use crate::api::spec::autoscaling::Autoscaling;
use crate::api::status::{ByConnections, Fewer};

/// The desired number of nodes, and what limits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredReplicas {
    /// Desired number of nodes.
    pub replicas: i32,
    /// State of autoscaling by sockets, for the next reconciliation.
    pub by_connections: Option<ByConnections>,
    /// The limit that applies, or the reason why none does.
    pub limit: (Reason, String),
}

impl DesiredReplicas {
    /// The number in the spec, if nothing is known of the nodes.
    #[must_use]
    pub fn from_spec(spec: &ChatClusterSpec, previous: Option<&ByConnections>) -> Self {
        let limit = (Reason::Unknown, String::new());
        Self { replicas: spec.replicas, by_connections: previous.cloned(), limit }
    }
}

/// The larger of `spec.replicas` and the number that the sockets require, within the limits.
#[must_use]
pub fn desired_replicas(
    spec: &ChatClusterSpec,
    previous: Option<&ByConnections>,
    fleet: &Fleet,
    rollout_in_progress: bool,
    now: &Time,
) -> DesiredReplicas {
    let Some(autoscaling) = &spec.autoscaling else {
        let limit = (Reason::NotAutoscaled, String::new());
        return DesiredReplicas { replicas: spec.replicas, by_connections: None, limit };
    };
    let sockets = Sockets::of(fleet);
    let by_connections = autoscaling
        .target_connections_per_pod
        .map(|target| by_connections(autoscaling, target, previous, fleet, &sockets, rollout_in_progress, now));
    let requested = by_connections.as_ref().map_or(0, |by| by.replicas).max(spec.replicas);
    let replicas = requested.clamp(autoscaling.min_replicas, autoscaling.max_replicas.max(autoscaling.min_replicas));
    let limit = limit(autoscaling, requested, by_connections.as_ref(), &sockets, rollout_in_progress);
    DesiredReplicas { replicas, by_connections, limit }
}

/// Sockets of all nodes.
struct Sockets {
    /// Reported sockets.
    known: u64,
    /// The first ready node without a report.
    unreported: Option<String>,
}

impl Sockets {
    fn of(fleet: &Fleet) -> Self {
        let reports = fleet.nodes.iter().filter_map(|node| node.report.as_ref());
        let unreported = fleet.non_terminating().find(|node| node.ready && node.report.is_none());
        Self { known: reports.map(|report| report.sockets).sum(), unreported: unreported.map(|node| node.name.clone()) }
    }

    /// Nodes required if each carries this percentage of the target.
    fn nodes_needed(&self, target: i32, percent: u64) -> i32 {
        let each = u64::try_from(target).unwrap_or(1).max(1) * percent;
        i32::try_from(self.known.saturating_mul(100).div_ceil(each)).unwrap_or(i32::MAX)
    }
}

/// Scales up at once. Scales down after fewer nodes, with a margin of 10 %, have been enough for
/// the stabilization window, all ready nodes report, and no rollout is in progress.
fn by_connections(
    autoscaling: &Autoscaling,
    target: i32,
    previous: Option<&ByConnections>,
    fleet: &Fleet,
    sockets: &Sockets,
    rollout_in_progress: bool,
    now: &Time,
) -> ByConnections {
    let (min, max) = (autoscaling.min_replicas, autoscaling.max_replicas.max(autoscaling.min_replicas));
    let running = i32::try_from(fleet.non_terminating().count()).unwrap_or(i32::MAX);
    // Values outside the limits need not be remembered.
    let kept = previous.map_or(running, |previous| previous.replicas).clamp(min, max);
    let needed = sockets.nodes_needed(target, 100);
    if needed > kept {
        return ByConnections { replicas: needed, fewer: None };
    }
    let enough = sockets.nodes_needed(target, 90).max(min);
    if enough >= kept || sockets.unreported.is_some() || rollout_in_progress {
        return ByConnections { replicas: kept, fewer: None };
    }
    let fewer = match previous.and_then(|previous| previous.fewer.clone()) {
        Some(Fewer { replicas, since }) => Fewer { replicas: replicas.max(enough), since },
        None => Fewer { replicas: enough, since: now.clone() },
    };
    let window = SignedDuration::from_secs(autoscaling.scale_down.stabilization_seconds.into());
    if now.0.duration_since(fewer.since.0) < window {
        return ByConnections { replicas: kept, fewer: Some(fewer) };
    }
    let next = (enough < fewer.replicas).then(|| Fewer { replicas: enough, since: now.clone() });
    ByConnections { replicas: fewer.replicas, fewer: next }
}

fn limit(
    autoscaling: &Autoscaling,
    requested: i32,
    by_connections: Option<&ByConnections>,
    sockets: &Sockets,
    rollout_in_progress: bool,
) -> (Reason, String) {
    let (min, max) = (autoscaling.min_replicas, autoscaling.max_replicas);
    if requested > max {
        return (
            Reason::AtMaxReplicas,
            format!("more nodes are requested than spec.autoscaling.maxReplicas allows ({max})"),
        );
    }
    if let (Some(pod), Some(_)) = (&sockets.unreported, by_connections) {
        let message = format!("pod {pod} does not report its number of sockets; scale-down is suspended until it does");
        return (Reason::MetricsMissing, message);
    }
    if rollout_in_progress {
        let message = "a rollout is in progress; scale-down is suspended until it is complete";
        return (Reason::RolloutInProgress, message.into());
    }
    if let Some(fewer) = by_connections.and_then(|by| by.fewer.as_ref()) {
        let (nodes, since) = (fewer.replicas, fewer.since.0);
        return (
            Reason::Stabilizing,
            format!("{nodes} nodes have been enough since {since}, less than the stabilization window"),
        );
    }
    if requested < min {
        return (Reason::AtMinReplicas, format!("fewer nodes are requested than spec.autoscaling.minReplicas ({min})"));
    }
    (Reason::WithinLimits, String::new())
}

#[cfg(test)]
mod tests;
