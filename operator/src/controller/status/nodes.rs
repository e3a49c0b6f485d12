//! How the nodes are.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};

use super::{Finding, Observed, pods};
use crate::api::reason::Reason;

/// Whether every pod is as asked for and counted on.
pub(super) fn is_complete(deployment: Option<&Deployment>) -> bool {
    let Some((deployment, status)) = deployment.and_then(|d| Some((d, d.status.as_ref()?))) else { return false };
    let asked = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let seen = status.observed_generation.unwrap_or_default() >= deployment.metadata.generation.unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    let (all, available) = (status.replicas.unwrap_or_default(), status.available_replicas.unwrap_or_default());
    // A node that fails later is missing, not a rollout.
    let through = available >= asked
        || condition(deployment, "Progressing").is_some_and(|c| c.reason.as_deref() == Some("NewReplicaSetAvailable"));
    seen && updated == asked && all == asked && through
}

/// What all pods run, once a rollout is through.
pub(super) fn version(deployment: Option<&Deployment>) -> Option<String> {
    let deployment = deployment.filter(|deployment| is_complete(Some(deployment)))?;
    let labels = deployment.spec.as_ref()?.template.metadata.as_ref()?.labels.as_ref()?;
    labels.get("app.kubernetes.io/version").cloned()
}

fn condition<'a>(deployment: &'a Deployment, type_: &str) -> Option<&'a DeploymentCondition> {
    deployment.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == type_)
}

fn counts(observed: &Observed<'_>) -> (i32, i32) {
    let status = observed.deployment.and_then(|deployment| deployment.status.as_ref());
    (status.and_then(|status| status.ready_replicas).unwrap_or_default(), observed.cluster.spec.replicas)
}

/// Whether clients find a node; if not, the first of `why` that knows a reason gives it.
pub(super) fn available(observed: &Observed<'_>, why: [&Finding; 3]) -> Finding {
    let (ready, asked) = counts(observed);
    let words = format!("{ready} of {asked} nodes take clients");
    if ready > 0 {
        return Finding::yes(Reason::NodesReady, words);
    }
    if asked == 0 {
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
        None => Finding::no(Reason::NoNodeReady, words),
    }
}

/// Whether a change is on its way.
pub(super) fn progressing(observed: &Observed<'_>) -> Finding {
    let Some(deployment) = observed.deployment else {
        return Finding::new("Unknown", Reason::Unknown, "there is no Deployment yet");
    };
    if is_complete(Some(deployment)) {
        return Finding::no(Reason::RolloutComplete, "");
    }
    let status = deployment.status.clone().unwrap_or_default();
    let (ready, asked) = counts(observed);
    let updated = status.updated_replicas.unwrap_or_default();
    let words = format!(
        "{updated} of {asked} pods are as asked for, {} of an earlier kind are left, {ready} take clients",
        status.replicas.unwrap_or_default() - updated,
    );
    match condition(deployment, "Progressing") {
        Some(c) if c.reason.as_deref() == Some("ProgressDeadlineExceeded") => {
            Finding::no(Reason::RolloutStalled, words)
        }
        _ => Finding::yes(Reason::RollingOut, words),
    }
}

/// What is wrong, if anything.
pub(super) fn degraded(observed: &Observed<'_>) -> Finding {
    if let Some(error) = observed.refused {
        return Finding::yes(error.reason(), error.to_string());
    }
    if let Some((reason, words)) =
        pods::trouble(observed.node_pods, &observed.now).or_else(|| pods::trouble(observed.redis_pods, &observed.now))
    {
        return Finding::yes(reason, words);
    }
    if let Some(failure) = observed
        .deployment
        .and_then(|deployment| condition(deployment, "ReplicaFailure"))
        .filter(|condition| condition.status == "True")
    {
        let words = failure.message.clone().unwrap_or_default();
        let quota = words.contains("exceeded quota");
        return Finding::yes(if quota { Reason::QuotaExceeded } else { Reason::PodsRefused }, words);
    }
    let (ready, asked) = counts(observed);
    if is_complete(observed.deployment) && ready < asked {
        return Finding::yes(Reason::NodesMissing, format!("{ready} of {asked} nodes take clients"));
    }
    Finding::no(Reason::AsExpected, "")
}
