//! What is said of a ChatCluster: from what was found to its conditions. Pure.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::error::Error;
use super::fleet::Fleet;
use super::fleet::size::Size;
use super::names::Names;
use super::pods;
use super::unwatched::Kinds;
use super::validate::Problem;
use crate::api::reason::Reason;
use crate::api::spec::ChatCluster;
use crate::api::spec::exposure::ServiceType;
use crate::api::status::{ChatClusterStatus, ConditionType};

use nodes::Counts;

mod exposure;
mod monitoring;
mod nodes;
mod redis;

/// Everything that was found.
pub struct Observed<'a> {
    /// The ChatCluster.
    pub cluster: &'a ChatCluster,
    /// What it said before.
    pub before: &'a ChatClusterStatus,
    /// The nodes.
    pub fleet: &'a Fleet,
    /// The kind of them that is asked for.
    pub revision: &'a str,
    /// How many there are to be.
    pub size: &'a Size,
    /// The ReplicaSet of those.
    pub replica_set: Option<&'a ReplicaSet>,
    /// The managed Redis.
    pub stateful_set: Option<&'a StatefulSet>,
    /// The nodes' Service.
    pub service: Option<&'a Service>,
    /// The way in from outside.
    pub ingress: Option<&'a Ingress>,
    /// The nodes' pods.
    pub node_pods: &'a [Arc<Pod>],
    /// Redis' pods.
    pub redis_pods: &'a [Arc<Pod>],
    /// What nodes that are not ready say.
    pub words: &'a [String],
    /// What stands between the spec and a chat.
    pub problem: Option<&'a Problem>,
    /// What could not be written.
    pub refused: Option<&'a Error>,
    /// Whether the named StorageClass is there.
    pub storage_class: bool,
    /// Whether the named certificate is there.
    pub certificate: bool,
    /// Which kinds of the Prometheus Operator are installed.
    pub kinds: Kinds,
    /// The time, in whole seconds.
    pub now: Time,
}

/// What one condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why.
    pub reason: Reason,
    /// A sentence for people.
    pub message: String,
}

impl Finding {
    fn new(status: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self::new("True", reason, message)
    }

    fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self::new("False", reason, message)
    }
}

/// What is to be said now.
#[must_use]
pub fn assess(observed: &Observed<'_>) -> ChatClusterStatus {
    let cluster = observed.cluster;
    let names = Names::of(cluster);
    let counts = Counts::of(observed);
    let findings = findings(observed);
    ChatClusterStatus {
        observed_generation: cluster.metadata.generation,
        replicas: counts.staying,
        ready_replicas: counts.ready,
        selector: names.staying(),
        version: nodes::version(observed).or_else(|| observed.before.version.clone()),
        revision: nodes::revision(observed).or_else(|| observed.before.revision.clone()),
        endpoint: exposure::endpoint(observed),
        autoscaling: observed.size.by_connections.clone(),
        conditions: findings
            .into_iter()
            .map(|(type_, finding)| {
                condition(type_, finding, cluster.metadata.generation, observed.before, &observed.now)
            })
            .collect(),
    }
}

fn findings(observed: &Observed<'_>) -> Vec<(ConditionType, Finding)> {
    let config = match observed.problem {
        Some(problem) => Finding::no(problem.reason, problem.message.clone()),
        None => Finding::yes(Reason::Valid, ""),
    };
    let redis = redis::assess(observed);
    let degraded = nodes::degraded(observed);
    let available = nodes::available(observed, [&config, &degraded, &redis]);
    let paused = if observed.cluster.spec.paused {
        Finding::yes(Reason::Paused, "nothing is changed until spec.paused is false")
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

/// The time is that of the last change of the status, and of nothing else.
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

/// The last words of a pod have the time in them: the first that were told of a trouble stay.
fn is_same_pod(before: &str, now: &str) -> bool {
    let pod = |message: &str| message.strip_prefix("pod ")?.split_once(':').map(|(pod, _)| pod.to_owned());
    pod(before).is_some() && pod(before) == pod(now)
}

/// A condition that turned bad, or bad for another reason; or, of [`ConditionType::Available`], good.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    /// The condition.
    pub type_: ConditionType,
    /// Whether it is bad now.
    pub bad: bool,
    /// Why, in its word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// What is worth an Event: each turn once.
#[must_use]
pub fn turns(before: &ChatClusterStatus, after: &ChatClusterStatus) -> Vec<Turn> {
    let find = |status: &ChatClusterStatus, type_: ConditionType| {
        status.conditions.iter().find(|condition| condition.type_ == type_.as_str()).cloned()
    };
    let mut turns = Vec::new();
    for type_ in ConditionType::ALL {
        let Some(now) = find(after, type_) else { continue };
        let then = find(before, type_);
        let same = then.as_ref().is_some_and(|then| then.status == now.status && then.reason == now.reason);
        let bad = now.status == type_.bad() && is_trouble(type_, &now.reason);
        let good = type_ == ConditionType::Available && now.status == "True";
        let was_good = then.as_ref().is_some_and(|then| then.status == now.status);
        // Redis' trouble is the chat's trouble too: it is told once.
        let told = turns.iter().any(|turn: &Turn| turn.bad && turn.reason == now.reason && turn.message == now.message);
        if (bad && !same && !told) || (good && !was_good) {
            turns.push(Turn { type_, bad, reason: now.reason, message: now.message });
        }
    }
    turns
}

/// What only takes its time, or was asked for, is no warning. Nor is it a second one that there is no
/// node, where another condition says why.
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
