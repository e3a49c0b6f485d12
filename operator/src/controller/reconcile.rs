//! Reconciles one ChatCluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};

use super::admin::Admin;
use super::apply::Applier;
use super::build::{self, Applied, Redis, Resources, Scale};
use super::context::Context;
use super::dereference::dereference;
use super::error::Error;
use super::execute::PlanExecutor;
use super::fleet::autoscale::{DesiredReplicas, desired_replicas};
use super::fleet::plan::{DesiredFleet, Plan, plan};
use super::fleet::{Fleet, Report, State, skips_drain};
use super::names::{Component, Names, REVISION};
use super::status::Observed;
use super::validate::{ADMIN_KEY, SpecError, ValidateError, ValidatedCluster, ValidatedRedis, validate};
use super::writer::Writer;
use super::{backoff, pods, report};
use crate::api::spec::ChatCluster;
use crate::api::status::{ChatClusterStatus, ConditionType};

/// Interval while the ChatCluster waits for something that is not watched, such as a StorageClass
/// or a password in Redis.
const UNSETTLED_INTERVAL: Duration = Duration::from_secs(10);

/// Interval with an external Redis, whose state only the nodes know.
const EXTERNAL_REDIS_INTERVAL: Duration = Duration::from_secs(30);

/// Interval during rollouts and drains: the number of remaining sockets is not watched.
const ROLLOUT_INTERVAL: Duration = Duration::from_secs(1);

/// Interval of autoscaling by the number of sockets.
const AUTOSCALING_INTERVAL: Duration = Duration::from_secs(15);

/// Applies the desired state and reports the status.
pub(super) async fn reconcile(cluster: &ChatCluster, context: &Context) -> Result<Action, Error> {
    // The garbage collector deletes its objects.
    if cluster.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = cluster.namespace().ok_or(Error::Incomplete("namespace"))?;
    let owner = cluster.uid().ok_or(Error::Incomplete("uid"))?;
    let name = cluster.name_any();
    let writer = Writer {
        client: &context.client,
        caches: &context.caches,
        metrics: &context.metrics,
        namespace: &namespace,
        name: &name,
        owner: &owner,
    };
    context.caches.wait_until_synced().await?;
    let node_pods = pods_of(context, &namespace, cluster, Component::Node);
    let redis_pods = pods_of(context, &namespace, cluster, Component::Redis);
    let sets = context.caches.all::<ReplicaSet>(|set| set.owner_references().iter().any(|by| by.uid == owner));
    let previous = context.reporter.previous(cluster);

    let installed = context.optional.installed_kinds(&context.client).await?;
    let owned = |name: &str| context.caches.get::<Secret>(&namespace, name);
    let references = dereference(&context.client, cluster, installed, owned).await?;
    let admin =
        Admin { http: &context.http, token: String::from_utf8_lossy(&references.admin.value(ADMIN_KEY)).into_owned() };
    let now = report::now();
    let nodes = ObservedNodes { cluster, previous: &previous, pods: &node_pods, sets: &sets, now: &now };
    let outcome = if cluster.spec.paused {
        Outcome::of(nodes.unplanned())
    } else {
        match validate(cluster, &references, &context.operator_namespace) {
            Ok(validated) => {
                let node_plan = nodes.plan(&validated, &admin).await;
                let scale = node_plan.scale(now.0);
                let mut desired = build::build(&validated, &scale);
                node_plan.guard_scale_down(&mut desired.replica_set, &sets);
                let applier = Applier { writer: &writer, optional: &context.optional };
                match applier.apply(desired).await {
                    Ok(applied) => {
                        let executor = PlanExecutor {
                            writer: &writer,
                            admin: &admin,
                            pods: &node_pods,
                            sets: &sets,
                            max_reconnects_per_second: validated.max_reconnects_per_second,
                        };
                        let error = executor.execute(&node_plan.plan, now.0).await.err();
                        Outcome { applied: Some(applied), error, ..Outcome::of(node_plan) }
                    }
                    Err(error) => Outcome { error: Some(error), ..Outcome::of(node_plan) },
                }
            }
            Err(ValidateError::Spec(error)) => Outcome { spec_error: Some(error), ..Outcome::of(nodes.unplanned()) },
            Err(ValidateError::Internal(error)) => return Err(error),
        }
    };
    // A rejection by the API server concerns the author and goes into the status. An unreachable
    // API server does not.
    if let Some(error) = outcome.error.as_ref().filter(|error| !error.is_rejection()) {
        tracing::debug!(%error, "the status is not updated");
        return outcome.error.map_or_else(|| Ok(Action::await_change()), Err);
    }

    let live = LiveObjects::of(outcome.applied.as_ref(), context, cluster, &namespace);
    let node_messages = admin.readiness_messages(&node_pods).await;
    let set = outcome.applied.as_ref().map(|applied| &applied.replica_set);
    let known = sets.iter().find(|set| set.labels().get(REVISION) == Some(&outcome.nodes.revision));
    let status = context
        .reporter
        .report(&Observed {
            cluster,
            previous: &previous,
            fleet: &outcome.nodes.fleet,
            revision: &outcome.nodes.revision,
            desired: &outcome.nodes.desired,
            replica_set: set.or(known.map(|set| &**set)),
            stateful_set: live.stateful_set.as_ref(),
            service: live.service.as_ref(),
            ingress: live.ingress.as_ref(),
            node_pods: &node_pods,
            redis_pods: &redis_pods,
            node_messages: &node_messages,
            spec_error: outcome.spec_error.as_ref(),
            apply_error: outcome.error.as_ref(),
            storage_class_exists: references.storage_class_exists,
            certificate_exists: references.certificate_exists,
            installed: references.installed,
            now: now.clone(),
        })
        .await?;
    match outcome.error {
        Some(error) => Err(error),
        None => Ok(next_action(cluster, &status, &outcome.nodes)),
    }
}

fn next_action(cluster: &ChatCluster, status: &ChatClusterStatus, nodes: &NodePlan) -> Action {
    let external = cluster.spec.redis.as_ref().is_some_and(|redis| redis.external.is_some());
    let waits = [
        nodes.plan.in_progress.then_some(ROLLOUT_INTERVAL),
        status.autoscaling.is_some().then_some(AUTOSCALING_INTERVAL),
        // No watch signals that a pod's deadline has passed.
        nodes.fleet.nodes.iter().any(|node| node.deletion_deadline.is_some()).then_some(UNSETTLED_INTERVAL),
        (!is_settled(status)).then_some(UNSETTLED_INTERVAL),
        external.then_some(EXTERNAL_REDIS_INTERVAL),
    ];
    match waits.into_iter().flatten().min() {
        None => Action::await_change(),
        Some(wait) => Action::requeue(wait.mul_f64(0.75 + 0.5 * backoff::jitter())),
    }
}

/// The nodes as observed.
struct ObservedNodes<'a> {
    cluster: &'a ChatCluster,
    previous: &'a ChatClusterStatus,
    pods: &'a [Arc<Pod>],
    sets: &'a [Arc<ReplicaSet>],
    now: &'a Time,
}

/// The nodes with their desired number and the plan.
struct NodePlan {
    fleet: Fleet,
    revision: String,
    desired: DesiredReplicas,
    plan: Plan,
}

impl ObservedNodes<'_> {
    fn fleet(&self, reports: &BTreeMap<String, Report>) -> Fleet {
        Fleet::of(self.pods, self.sets, reports)
    }

    /// No plan: the desired revision is unknown, or nothing may change.
    fn unplanned(&self) -> NodePlan {
        let fleet = self.fleet(&BTreeMap::new());
        let revision = fleet.newest().unwrap_or_default().to_owned();
        let desired = DesiredReplicas::from_spec(&self.cluster.spec, self.previous.autoscaling.as_ref());
        NodePlan { fleet, revision, desired, plan: Plan::default() }
    }

    /// Plans. The nodes are only asked for reports if the plan depends on them.
    async fn plan(&self, validated: &ValidatedCluster, admin: &Admin<'_>) -> NodePlan {
        let revision = build::revision(validated);
        let follows = validated.autoscaling.as_ref().is_some_and(|by| by.target_connections_per_pod.is_some());
        let unreported = self.plan_with(validated, &revision, &BTreeMap::new());
        let unready = unreported.fleet.non_terminating().any(|node| !node.ready);
        if !follows && !unready && !unreported.plan.in_progress {
            return unreported;
        }
        self.plan_with(validated, &revision, &admin.reports(self.pods).await)
    }

    fn plan_with(&self, validated: &ValidatedCluster, revision: &str, reports: &BTreeMap<String, Report>) -> NodePlan {
        let fleet = self.fleet(reports);
        let rollout_in_progress = fleet.non_terminating().any(|node| node.revision != revision);
        let replicas = desired_replicas(
            &self.cluster.spec,
            self.previous.autoscaling.as_ref(),
            &fleet,
            rollout_in_progress,
            self.now,
        );
        let wanted = usize::try_from(replicas.replicas).unwrap_or_default();
        let desired = DesiredFleet {
            revision: revision.to_owned(),
            replicas: wanted,
            max_surge: validated.max_surge.of(wanted),
            concurrent_drains: validated.concurrent_drains,
            drain_timeout: SignedDuration::from_secs(validated.drain_seconds),
            skip_drains: skips_drain(self.cluster),
            single_node: matches!(validated.redis, ValidatedRedis::Embedded),
        };
        let plan = plan(&fleet, &desired, self.now.0);
        NodePlan { fleet, revision: revision.to_owned(), desired: replicas, plan }
    }
}

impl NodePlan {
    fn scale(&self, now: Timestamp) -> Scale {
        Scale {
            desired: usize::try_from(self.desired.replicas).unwrap_or_default(),
            current_replicas: self.plan.replicas,
            draining: self.fleet.draining_count(now) > 0
                || self.fleet.non_terminating().any(|node| node.state != State::Serving),
        }
    }

    /// Ties a scale-down to the observed version of the ReplicaSet. If it has got another pod
    /// since, it would delete a different pod than planned.
    fn guard_scale_down(&self, desired: &mut ReplicaSet, sets: &[Arc<ReplicaSet>]) {
        let replicas = |set: &ReplicaSet| set.spec.as_ref().and_then(|spec| spec.replicas);
        let known = sets.iter().find(|set| set.metadata.name == desired.metadata.name);
        if let Some(known) = known.filter(|known| replicas(known) > replicas(desired)) {
            desired.metadata.resource_version.clone_from(&known.metadata.resource_version);
        }
    }
}

/// Result of the steps so far.
struct Outcome {
    nodes: NodePlan,
    applied: Option<Resources<Applied>>,
    spec_error: Option<SpecError>,
    error: Option<Error>,
}

impl Outcome {
    fn of(nodes: NodePlan) -> Self {
        Self { nodes, applied: None, spec_error: None, error: None }
    }
}

/// Objects whose status is reported.
struct LiveObjects {
    stateful_set: Option<StatefulSet>,
    service: Option<Service>,
    ingress: Option<Ingress>,
}

impl LiveObjects {
    /// As just applied; from the caches if nothing was applied.
    fn of(applied: Option<&Resources<Applied>>, context: &Context, cluster: &ChatCluster, namespace: &str) -> Self {
        let names = Names::of(cluster);
        match applied {
            Some(applied) => Self {
                stateful_set: applied.redis.as_ref().map(|Redis { stateful_set, .. }| stateful_set.clone()),
                service: Some(applied.service.clone()),
                ingress: applied.ingress.clone(),
            },
            None => Self {
                stateful_set: context.caches.get(namespace, &names.redis()),
                service: context.caches.get(namespace, &names.node()),
                ingress: context.caches.get(namespace, &names.node()),
            },
        }
    }
}

fn pods_of(context: &Context, namespace: &str, cluster: &ChatCluster, component: Component) -> Vec<Arc<Pod>> {
    let name = cluster.name_any();
    context.caches.all(|pod| pods::belongs(pod, namespace, &name, component))
}

/// Whether only a watched change can make a difference.
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
