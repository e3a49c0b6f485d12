//! Conditions of the nodes.

use k8s_openapi::jiff::SignedDuration;

use super::observed::{Finding, Observed};
use crate::api::reason::Reason;
use crate::controller::fleet::{Node, State};
use crate::controller::names::VERSION;
use crate::controller::pods;

/// Time without progress after which a rollout is stalled.
const STALLED: SignedDuration = SignedDuration::from_mins(10);

/// Numbers of nodes.
pub(super) struct Counts {
    /// Desired.
    pub(super) desired: i32,
    /// Serving.
    pub(super) serving: i32,
    /// Serving and ready.
    pub(super) ready: i32,
    /// Serving, of the desired revision.
    updated: i32,
    /// Of other revisions.
    old: i32,
    /// Of the desired revision, but not serving.
    draining: i32,
}

impl Counts {
    pub(super) fn of(observed: &Observed<'_>) -> Self {
        let is_current = |node: &Node| node.revision == observed.revision;
        let serving = |node: &Node| node.state == State::Serving;
        let count = |matches: &dyn Fn(&Node) -> bool| {
            i32::try_from(observed.fleet.non_terminating().filter(|node| matches(node)).count()).unwrap_or(i32::MAX)
        };
        Self {
            desired: observed.desired.replicas,
            serving: count(&serving),
            ready: count(&Node::serves),
            updated: count(&|node| is_current(node) && serving(node)),
            old: count(&|node| !is_current(node)),
            draining: count(&|node| is_current(node) && !serving(node)),
        }
    }
}

/// Whether the rollout is complete.
fn is_complete(observed: &Observed<'_>) -> bool {
    let Counts { desired, updated, old, draining, ready, .. } = Counts::of(observed);
    // A node that fails after a complete rollout is missing, not a rollout.
    let through = ready >= desired || observed.previous.revision.as_deref() == Some(observed.revision);
    observed.replica_set.is_some() && updated == desired && old == 0 && draining == 0 && through
}

/// Version of all pods, once a rollout is complete.
pub(super) fn version(observed: &Observed<'_>) -> Option<String> {
    let set = observed.replica_set.filter(|_| is_complete(observed))?;
    set.metadata.labels.as_ref()?.get(VERSION).cloned()
}

/// Revision of all pods, once a rollout is complete.
pub(super) fn revision(observed: &Observed<'_>) -> Option<String> {
    is_complete(observed).then(|| observed.revision.to_owned())
}

/// Whether a node accepts clients. If not, the first of `why` with a cause gives the reason.
pub(super) fn available(observed: &Observed<'_>, why: [&Finding; 3]) -> Finding {
    let Counts { desired, ready, .. } = Counts::of(observed);
    let message = format!("{ready} of {desired} nodes accept clients");
    if ready > 0 {
        return Finding::yes(Reason::NodesReady, message);
    }
    if desired == 0 {
        return Finding::no(Reason::ScaledToZero, "spec.replicas is 0");
    }
    let [config, degraded, redis] = why;
    let cause = if config.status == "False" {
        Some(config)
    } else if degraded.status == "True" && degraded.reason != Reason::NodesMissing {
        Some(degraded)
    } else if redis.status == "False" {
        Some(redis)
    } else {
        None
    };
    match cause {
        Some(cause) => Finding::no(cause.reason, cause.message.clone()),
        None => Finding::no(Reason::NoNodeReady, message),
    }
}

/// Whether a rollout or a change of scale is in progress.
pub(super) fn progressing(observed: &Observed<'_>) -> Finding {
    if observed.replica_set.is_none() {
        return Finding::new("Unknown", Reason::Unknown, "no pods exist yet");
    }
    if is_complete(observed) {
        return Finding::no(Reason::RolloutComplete, "");
    }
    let Counts { desired, ready, updated, old, draining, .. } = Counts::of(observed);
    let message = format!(
        "{updated} of {desired} pods are updated, {ready} accept clients, {old} old pods remain, {draining} surplus pods drain"
    );
    if ready < desired && is_stalled(observed) {
        return Finding::no(Reason::RolloutStalled, message);
    }
    Finding::yes(Reason::RollingOut, message)
}

/// Whether no node has become ready for long and none drains.
fn is_stalled(observed: &Observed<'_>) -> bool {
    let current = || observed.fleet.non_terminating().filter(|node| node.revision == observed.revision);
    let made = observed.fleet.sets.iter().find(|set| set.revision == observed.revision).map(|set| set.created);
    let Some(last) = current().flat_map(|node| [node.since, node.ready_since]).chain(made).max() else { return false };
    let drains = observed.fleet.draining_count(observed.now.0) > 0;
    !drains && observed.now.0.duration_since(last) > STALLED
}

/// Whether something is wrong.
pub(super) fn degraded(observed: &Observed<'_>) -> Finding {
    if let Some(error) = observed.apply_error {
        return Finding::yes(error.reason(), error.to_string());
    }
    if let Some((reason, message)) =
        pods::failure(observed.node_pods, &observed.now).or_else(|| pods::failure(observed.redis_pods, &observed.now))
    {
        return Finding::yes(reason, message);
    }
    let conditions = observed.replica_set.and_then(|set| set.status.as_ref()?.conditions.as_ref());
    if let Some(failure) = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")
    {
        let message = failure.message.clone().unwrap_or_default();
        let quota = message.contains("exceeded quota");
        return Finding::yes(if quota { Reason::QuotaExceeded } else { Reason::PodsRefused }, message);
    }
    let Counts { desired, ready, .. } = Counts::of(observed);
    if is_complete(observed) && ready < desired {
        return Finding::yes(Reason::NodesMissing, format!("{ready} of {desired} nodes accept clients"));
    }
    Finding::no(Reason::AsExpected, "")
}

/// Whether a limit applies to the number of nodes.
pub(super) fn scaling_limited(observed: &Observed<'_>) -> Finding {
    let (reason, message) = observed.desired.limit.clone();
    match reason {
        Reason::NotAutoscaled | Reason::WithinLimits => Finding::no(reason, message),
        Reason::Unknown => Finding::new("Unknown", reason, message),
        _ => Finding::yes(reason, message),
    }
}

/// Whether a node is removed with clients left.
pub(super) fn drain_stalled(observed: &Observed<'_>) -> Finding {
    match observed.fleet.nodes.iter().find(|node| node.state == State::TimedOut) {
        None => Finding::no(Reason::DrainsComplete, ""),
        Some(node) => {
            let message = format!("pod {}: clients were left at the drain deadline", node.name);
            Finding::yes(Reason::DrainTimedOut, message)
        }
    }
}
