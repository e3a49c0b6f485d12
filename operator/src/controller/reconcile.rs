//! One look at one ChatCluster.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};

use super::apply::Writer;
use super::build::{self, Applied, Redis, Resources};
use super::dereference::dereference;
use super::error::Error;
use super::names::{Component, Names};
use super::status::Observed;
use super::validate::{Problem, Verdict, validate};
use super::{Context, backoff, pods, report};
use crate::api::spec::ChatCluster;
use crate::api::status::{ChatClusterStatus, ConditionType};

/// How soon a ChatCluster is looked at again that waits for something no watch tells of: a
/// StorageClass, a password in Redis.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How soon the nodes are asked again about a Redis that is not the operator's own: no watch tells of it.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Makes everything as it should be, and says how it is.
pub(super) async fn reconcile(cluster: &ChatCluster, context: &Context) -> Result<Action, Error> {
    // The garbage collector removes what it owns.
    if cluster.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = cluster.namespace().ok_or(Error::Incomplete("a namespace"))?;
    let owner = cluster.uid().ok_or(Error::Incomplete("a uid"))?;
    let name = cluster.name_any();
    let writer = Writer {
        client: &context.client,
        caches: &context.caches,
        metrics: &context.metrics,
        namespace: &namespace,
        name: &name,
        owner: &owner,
    };

    let references =
        dereference(&context.client, cluster, |name| context.caches.get::<Secret>(&namespace, name)).await?;
    let outcome = if cluster.spec.paused {
        Outcome::default()
    } else {
        match validate(cluster, &references, &context.operator_namespace) {
            Ok(validated) => match writer.apply(build::build(&validated)).await {
                Ok(applied) => Outcome { applied: Some(applied), ..Outcome::default() },
                Err(error) => Outcome { failed: Some(error), ..Outcome::default() },
            },
            Err(Verdict::Problem(problem)) => Outcome { problem: Some(problem), ..Outcome::default() },
            Err(Verdict::Error(error)) => return Err(error),
        }
    };
    // The API server's judgement is the user's to know; an API server that is away is not.
    if let Some(error) = outcome.failed.as_ref().filter(|error| !error.is_judgement()) {
        tracing::debug!(%error, "the status is left as it is");
        return outcome.failed.map_or_else(|| Ok(Action::await_change()), Err);
    }

    let actual = Actual::of(outcome.applied.as_ref(), context, cluster, &namespace);
    let node_pods = pods_of(context, &namespace, cluster, Component::Node);
    let redis_pods = pods_of(context, &namespace, cluster, Component::Redis);
    let words = pods::ask(&context.http, &node_pods).await;
    let before = context.reporter.before(cluster);
    let status = context
        .reporter
        .report(&Observed {
            cluster,
            before: &before,
            deployment: actual.deployment.as_ref(),
            stateful_set: actual.stateful_set.as_ref(),
            service: actual.service.as_ref(),
            ingress: actual.ingress.as_ref(),
            node_pods: &node_pods,
            redis_pods: &redis_pods,
            words: &words,
            problem: outcome.problem.as_ref(),
            refused: outcome.failed.as_ref(),
            storage_class: references.storage_class,
            certificate: references.certificate,
            now: report::now(),
        })
        .await?;
    match outcome.failed {
        Some(error) => Err(error),
        None => Ok(next_look(cluster, &status)),
    }
}

fn next_look(cluster: &ChatCluster, status: &ChatClusterStatus) -> Action {
    let external = cluster.spec.redis.as_ref().is_some_and(|redis| redis.external.is_some());
    let after = match (is_settled(status), external) {
        (false, _) => LOOK_AGAIN,
        (true, true) => ASK_AGAIN,
        (true, false) => return Action::await_change(),
    };
    Action::requeue(after.mul_f64(0.75 + 0.5 * backoff::fraction()))
}

/// How far it came.
#[derive(Default)]
struct Outcome {
    applied: Option<Resources<Applied>>,
    problem: Option<Problem>,
    failed: Option<Error>,
}

/// The objects that tell how it goes.
struct Actual {
    deployment: Option<Deployment>,
    stateful_set: Option<StatefulSet>,
    service: Option<Service>,
    ingress: Option<Ingress>,
}

impl Actual {
    /// As just written; or, where nothing was, as the caches have it.
    fn of(applied: Option<&Resources<Applied>>, context: &Context, cluster: &ChatCluster, namespace: &str) -> Self {
        let names = Names::of(cluster);
        match applied {
            Some(applied) => Self {
                deployment: Some(applied.deployment.clone()),
                stateful_set: applied.redis.as_ref().map(|Redis { stateful_set, .. }| stateful_set.clone()),
                service: Some(applied.service.clone()),
                ingress: applied.ingress.clone(),
            },
            None => Self {
                deployment: context.caches.get(namespace, &names.node()),
                stateful_set: context.caches.get(namespace, &names.redis()),
                service: context.caches.get(namespace, &names.node()),
                ingress: context.caches.get(namespace, &names.node()),
            },
        }
    }
}

fn pods_of(context: &Context, namespace: &str, cluster: &ChatCluster, component: Component) -> Vec<Arc<Pod>> {
    let name = cluster.name_any();
    let mut pods = context.caches.pods.state_filter(|pod| pods::belongs(pod, namespace, &name, component));
    // The same pods in the same order: what is said of them must not change by itself.
    pods.sort_by_key(|pod| pod.name_any());
    pods
}

/// Whether only a change that a watch tells of can make a difference.
fn is_settled(status: &ChatClusterStatus) -> bool {
    [
        (ConditionType::Available, "True"),
        (ConditionType::RedisReady, "True"),
        (ConditionType::Degraded, "False"),
        (ConditionType::Progressing, "False"),
    ]
    .iter()
    .all(|(type_, wanted)| {
        status.conditions.iter().any(|condition| condition.type_ == type_.as_str() && condition.status == *wanted)
    })
}
