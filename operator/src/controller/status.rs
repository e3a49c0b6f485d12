//! Derives the status of a ChatCluster from what was observed. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::names::Names;
use crate::api::reason::Reason;
use crate::api::status::{ChatClusterStatus, ConditionType};

mod exposure;
mod monitoring;
mod nodes;
mod observed;
mod redis;

use nodes::Counts;
pub use observed::{Finding, Observed};

/// The new status.
#[must_use]
pub fn assess(observed: &Observed<'_>) -> ChatClusterStatus {
    let cluster = observed.cluster;
    let names = Names::of(cluster);
    let counts = Counts::of(observed);
    let findings = findings(observed);
    ChatClusterStatus {
        observed_generation: cluster.metadata.generation,
        replicas: counts.serving,
        ready_replicas: counts.ready,
        selector: names.serving_selector(),
        version: nodes::version(observed).or_else(|| observed.previous.version.clone()),
        revision: nodes::revision(observed).or_else(|| observed.previous.revision.clone()),
        endpoint: exposure::endpoint(observed),
        autoscaling: observed.desired.by_connections.clone(),
        conditions: findings
            .into_iter()
            .map(|(type_, finding)| {
                condition(type_, finding, cluster.metadata.generation, observed.previous, &observed.now)
            })
            .collect(),
    }
}

fn findings(observed: &Observed<'_>) -> Vec<(ConditionType, Finding)> {
    let config = match observed.spec_error {
        Some(error) => Finding::no(error.reason, error.message.clone()),
        None => Finding::yes(Reason::Valid, ""),
    };
    let redis = redis::assess(observed);
    let degraded = nodes::degraded(observed);
    let available = nodes::available(observed, [&config, &degraded, &redis]);
    let paused = if observed.cluster.spec.paused {
        Finding::yes(Reason::Paused, "reconciliation is paused until spec.paused is false")
    } else {
        Finding::no(Reason::NotPaused, "")
    };
    ConditionType::ALL
        .into_iter()
        .map(|type_| {
            let finding = match type_ {
                ConditionType::Available => available.clone(),
                ConditionType::Progressing => nodes::progressing(observed),
                ConditionType::Degraded => degraded.clone(),
                ConditionType::RedisReady => redis.clone(),
                ConditionType::ExposureReady => exposure::assess(observed),
                ConditionType::ConfigValid => config.clone(),
                ConditionType::ScalingLimited => nodes::scaling_limited(observed),
                ConditionType::DrainStalled => nodes::drain_stalled(observed),
                ConditionType::Monitored => monitoring::assess(observed),
                ConditionType::Paused => paused.clone(),
            };
            (type_, finding)
        })
        .collect()
}

/// lastTransitionTime changes only with the status of the condition.
fn condition(
    type_: ConditionType,
    finding: Finding,
    generation: Option<i64>,
    before: &ChatClusterStatus,
    now: &Time,
) -> Condition {
    let same = before.conditions.iter().find(|c| c.type_ == type_.as_str() && c.status == finding.status);
    let kept = same.filter(|c| c.reason == finding.reason.as_str() && is_same_pod(&c.message, &finding.message));
    Condition {
        type_: type_.as_str().into(),
        status: finding.status.into(),
        reason: finding.reason.as_str().into(),
        message: kept.map_or(finding.message, |condition| condition.message.clone()),
        observed_generation: generation,
        last_transition_time: same.map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone()),
    }
}

/// Log lines of a pod contain the time, so the first message of a failure is kept.
fn is_same_pod(before: &str, now: &str) -> bool {
    let pod = |message: &str| message.strip_prefix("pod ")?.split_once(':').map(|(pod, _)| pod.to_owned());
    pod(before).is_some() && pod(before) == pod(now)
}

/// A condition that turned bad, or bad for another reason; for [`ConditionType::Available`] also
/// one that turned good.
#[derive(Debug, PartialEq, Eq)]
pub struct Transition {
    /// Type of the condition.
    pub type_: ConditionType,
    /// Whether the new status signals a problem.
    pub bad: bool,
    /// Reason of the condition.
    pub reason: String,
    /// Message of the condition.
    pub message: String,
}

/// Transitions to publish as Events, each once.
#[must_use]
pub fn transitions(before: &ChatClusterStatus, after: &ChatClusterStatus) -> Vec<Transition> {
    let find = |status: &ChatClusterStatus, type_: ConditionType| {
        status.conditions.iter().find(|condition| condition.type_ == type_.as_str()).cloned()
    };
    let mut transitions = Vec::new();
    for type_ in ConditionType::ALL {
        let Some(now) = find(after, type_) else { continue };
        let then = find(before, type_);
        let same = then.as_ref().is_some_and(|then| then.status == now.status && then.reason == now.reason);
        let bad = now.status == type_.bad() && is_trouble(type_, &now.reason);
        let good = type_ == ConditionType::Available && now.status == "True";
        let was_good = then.as_ref().is_some_and(|then| then.status == now.status);
        // A problem of Redis appears in several conditions and is published once.
        let told = transitions
            .iter()
            .any(|earlier: &Transition| earlier.bad && earlier.reason == now.reason && earlier.message == now.message);
        if (bad && !same && !told) || (good && !was_good) {
            transitions.push(Transition { type_, bad, reason: now.reason, message: now.message });
        }
    }
    transitions
}

/// Whether a reason deserves a warning. What only takes time or was requested does not, nor does a
/// missing node, whose cause another condition reports.
fn is_trouble(type_: ConditionType, reason: &str) -> bool {
    const QUIET: [Reason; 14] = [
        Reason::Paused,
        Reason::NotPaused,
        Reason::ScaledToZero,
        Reason::NoNodeReady,
        Reason::NodesMissing,
        Reason::RedisStarting,
        Reason::RolloutComplete,
        Reason::IngressPending,
        Reason::LoadBalancerPending,
        Reason::AtMinReplicas,
        Reason::Stabilizing,
        Reason::RolloutInProgress,
        Reason::MonitoringDisabled,
        Reason::PrometheusOperatorMissing,
    ];
    type_ != ConditionType::Available && !QUIET.iter().any(|quiet| quiet.as_str() == reason)
}

#[cfg(test)]
mod tests;
