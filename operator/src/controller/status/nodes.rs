//! How the nodes are.

use k8s_openapi::jiff::SignedDuration;

use super::observed::{Finding, Observed};
use crate::api::reason::Reason;
use crate::controller::fleet::{Node, State};
use crate::controller::names::VERSION;
use crate::controller::pods;

/// After how long without a new node that takes clients a rollout counts as stuck.
const STALLED: SignedDuration = SignedDuration::from_mins(10);

/// How many nodes there are.
pub(super) struct Counts {
    /// That are asked for.
    pub(super) desired: i32,
    /// That are not on their way out.
    pub(super) serving: i32,
    /// Of them, those that take clients.
    pub(super) ready: i32,
    /// Of the asked-for kind, and not on their way out.
    updated: i32,
    /// Of earlier kinds.
    old: i32,
    /// That hand their clients over, or have.
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

/// Whether every pod is as asked for and counted on.
fn is_complete(observed: &Observed<'_>) -> bool {
    let Counts { desired, updated, old, draining, ready, .. } = Counts::of(observed);
    // A node that fails later is missing, not a rollout.
    let through = ready >= desired || observed.previous.revision.as_deref() == Some(observed.revision);
    observed.replica_set.is_some() && updated == desired && old == 0 && draining == 0 && through
}

/// What all pods run, once a rollout is through.
pub(super) fn version(observed: &Observed<'_>) -> Option<String> {
    let set = observed.replica_set.filter(|_| is_complete(observed))?;
    set.metadata.labels.as_ref()?.get(VERSION).cloned()
}

/// Of which kind all pods are, once a rollout is through.
pub(super) fn revision(observed: &Observed<'_>) -> Option<String> {
    is_complete(observed).then(|| observed.revision.to_owned())
}

/// Whether clients find a node; if not, the first of `why` that knows a reason gives it.
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

/// Whether a change is on its way.
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

/// Whether no node has come for long, and none is about to make room for one.
fn is_stalled(observed: &Observed<'_>) -> bool {
    let current = || observed.fleet.non_terminating().filter(|node| node.revision == observed.revision);
    let made = observed.fleet.sets.iter().find(|set| set.revision == observed.revision).map(|set| set.created);
    let Some(last) = current().flat_map(|node| [node.since, node.ready_since]).chain(made).max() else { return false };
    let drains = observed.fleet.draining_count(observed.now.0) > 0;
    !drains && observed.now.0.duration_since(last) > STALLED
}

/// What is wrong, if anything.
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

/// Whether there may not be as many nodes as are asked for.
pub(super) fn scaling_limited(observed: &Observed<'_>) -> Finding {
    let (reason, message) = observed.desired.limit.clone();
    match reason {
        Reason::NotAutoscaled | Reason::WithinLimits => Finding::no(reason, message),
        Reason::Unknown => Finding::new("Unknown", reason, message),
        _ => Finding::yes(reason, message),
    }
}

/// Whether a node goes that has not handed over all its clients.
pub(super) fn drain_stalled(observed: &Observed<'_>) -> Finding {
    match observed.fleet.nodes.iter().find(|node| node.state == State::TimedOut) {
        None => Finding::no(Reason::DrainsComplete, ""),
        Some(node) => {
            let message = format!("pod {}: clients were left at the drain deadline", node.name);
            Finding::yes(Reason::DrainTimedOut, message)
        }
    }
}
