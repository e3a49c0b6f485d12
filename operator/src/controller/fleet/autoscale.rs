//! How many nodes there are to be. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

use super::Fleet;
use crate::api::reason::Reason;
use crate::api::spec::ChatClusterSpec;
use crate::api::spec::autoscaling::Autoscaling;
use crate::api::status::{ByConnections, Fewer};

/// How many there are to be, and why not as many as are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredReplicas {
    /// So many nodes.
    pub replicas: i32,
    /// What the live sockets ask for; what is to be known of it next time.
    pub by_connections: Option<ByConnections>,
    /// Why there may not be as many as are asked for; or why that is not so.
    pub limit: (Reason, String),
}

impl DesiredReplicas {
    /// As many as the spec asks for: where nothing is known of the nodes.
    #[must_use]
    pub fn from_spec(spec: &ChatClusterSpec, previous: Option<&ByConnections>) -> Self {
        let limit = (Reason::Unknown, String::new());
        Self { replicas: spec.replicas, by_connections: previous.cloned(), limit }
    }
}

/// The most that spec.replicas and the live sockets ask for, within limits.
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

/// The live sockets of a chat.
struct Sockets {
    /// Those that are known.
    known: u64,
    /// The first node that should say how many it has and does not.
    unreported: Option<String>,
}

impl Sockets {
    fn of(fleet: &Fleet) -> Self {
        let reports = fleet.nodes.iter().filter_map(|node| node.report.as_ref());
        let unreported = fleet.non_terminating().find(|node| node.ready && node.report.is_none());
        Self { known: reports.map(|report| report.sockets).sum(), unreported: unreported.map(|node| node.name.clone()) }
    }

    /// How many nodes they need, each of which takes this share of the target, in percent.
    fn nodes_needed(&self, target: i32, percent: u64) -> i32 {
        let each = u64::try_from(target).unwrap_or(1).max(1) * percent;
        i32::try_from(self.known.saturating_mul(100).div_ceil(each)).unwrap_or(i32::MAX)
    }
}

/// More at once; fewer only after they were enough for a while, with a tenth to spare, and while all nodes say how
/// many sockets they have and none is being replaced.
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
    // Beyond the limits nothing has to be remembered.
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
