//! One look at one ChatCluster.

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
use super::apply::Writer;
use super::build::{self, Applied, Redis, Resources, Scale};
use super::carry_out::Carrier;
use super::dereference::dereference;
use super::error::Error;
use super::fleet::plan::{Plan, Rules, plan};
use super::fleet::size::{Size, size};
use super::fleet::{Fleet, Report, State, skips_drain};
use super::names::{Component, Names, REVISION};
use super::status::Observed;
use super::validate::{ADMIN_KEY, Problem, ValidatedCluster, ValidatedRedis, Verdict, validate};
use super::{Context, backoff, pods, report};
use crate::api::spec::ChatCluster;
use crate::api::status::{ChatClusterStatus, ConditionType};

/// How soon a ChatCluster is looked at again that waits for something no watch tells of: a
/// StorageClass, a password in Redis.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How soon the nodes are asked again about a Redis that is not the operator's own: no watch tells of it.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// How soon a ChatCluster is looked at again whose nodes come and go: no watch tells how many sockets one has left.
const FOLLOW: Duration = Duration::from_secs(1);

/// How often live sockets are counted where the number of nodes follows them.
const COUNT: Duration = Duration::from_secs(15);

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
        unwatched: &context.unwatched,
        metrics: &context.metrics,
        namespace: &namespace,
        name: &name,
        owner: &owner,
    };
    context.caches.know_the_nodes().await?;
    let node_pods = pods_of(context, &namespace, cluster, Component::Node);
    let redis_pods = pods_of(context, &namespace, cluster, Component::Redis);
    let sets = context.caches.all::<ReplicaSet>(|set| set.owner_references().iter().any(|by| by.uid == owner));
    let before = context.reporter.before(cluster);

    let kinds = context.unwatched.kinds(&context.client).await?;
    let owned = |name: &str| context.caches.get::<Secret>(&namespace, name);
    let references = dereference(&context.client, cluster, kinds, owned).await?;
    let admin =
        Admin { http: &context.http, token: String::from_utf8_lossy(&references.admin.value(ADMIN_KEY)).into_owned() };
    let now = report::now();
    let nodes = Nodes { cluster, before: &before, pods: &node_pods, sets: &sets, now: &now };
    let outcome = if cluster.spec.paused {
        Outcome::of(nodes.unknown())
    } else {
        match validate(cluster, &references, &context.operator_namespace) {
            Ok(validated) => {
                let decided = nodes.decide(&validated, &admin).await;
                let scale = decided.scale(now.0);
                let mut desired = build::build(&validated, &scale);
                decided.guard(&mut desired.replica_set, &sets);
                match writer.apply(desired).await {
                    Ok(applied) => {
                        let carrier = Carrier {
                            writer: &writer,
                            admin: &admin,
                            pods: &node_pods,
                            sets: &sets,
                            reconnects_per_second: validated.reconnects_per_second,
                        };
                        let failed = carrier.carry_out(&decided.plan, now.0).await.err();
                        Outcome { applied: Some(applied), failed, ..Outcome::of(decided) }
                    }
                    Err(error) => Outcome { failed: Some(error), ..Outcome::of(decided) },
                }
            }
            Err(Verdict::Problem(problem)) => Outcome { problem: Some(problem), ..Outcome::of(nodes.unknown()) },
            Err(Verdict::Error(error)) => return Err(error),
        }
    };
    // The API server's judgement is the user's to know; an API server that is away is not.
    if let Some(error) = outcome.failed.as_ref().filter(|error| !error.is_judgement()) {
        tracing::debug!(%error, "the status is left as it is");
        return outcome.failed.map_or_else(|| Ok(Action::await_change()), Err);
    }

    let actual = Actual::of(outcome.applied.as_ref(), context, cluster, &namespace);
    let words = admin.why(&node_pods).await;
    let set = outcome.applied.as_ref().map(|applied| &applied.replica_set);
    let known = sets.iter().find(|set| set.labels().get(REVISION) == Some(&outcome.nodes.revision));
    let status = context
        .reporter
        .report(&Observed {
            cluster,
            before: &before,
            fleet: &outcome.nodes.fleet,
            revision: &outcome.nodes.revision,
            size: &outcome.nodes.size,
            replica_set: set.or(known.map(|set| &**set)),
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
            kinds: references.kinds,
            now: now.clone(),
        })
        .await?;
    match outcome.failed {
        Some(error) => Err(error),
        None => Ok(next_look(cluster, &status, &outcome.nodes)),
    }
}

fn next_look(cluster: &ChatCluster, status: &ChatClusterStatus, nodes: &Decided) -> Action {
    let external = cluster.spec.redis.as_ref().is_some_and(|redis| redis.external.is_some());
    let waits = [
        nodes.plan.busy.then_some(FOLLOW),
        status.autoscaling.is_some().then_some(COUNT),
        // That the time of a pod is over is an event of no watch.
        nodes.fleet.nodes.iter().any(|node| node.ends.is_some()).then_some(LOOK_AGAIN),
        (!is_settled(status)).then_some(LOOK_AGAIN),
        external.then_some(ASK_AGAIN),
    ];
    match waits.into_iter().flatten().min() {
        None => Action::await_change(),
        Some(wait) => Action::requeue(wait.mul_f64(0.75 + 0.5 * backoff::fraction())),
    }
}

/// What is known of the nodes before anything is decided.
struct Nodes<'a> {
    cluster: &'a ChatCluster,
    before: &'a ChatClusterStatus,
    pods: &'a [Arc<Pod>],
    sets: &'a [Arc<ReplicaSet>],
    now: &'a Time,
}

/// What was decided of the nodes.
struct Decided {
    fleet: Fleet,
    revision: String,
    size: Size,
    plan: Plan,
}

impl Nodes<'_> {
    fn fleet(&self, reports: &BTreeMap<String, Report>) -> Fleet {
        Fleet::of(self.pods, self.sets, reports)
    }

    /// Nothing is decided, where it is not known which kind of nodes is asked for, or nothing may change.
    fn unknown(&self) -> Decided {
        let fleet = self.fleet(&BTreeMap::new());
        let revision = fleet.newest().unwrap_or_default().to_owned();
        let size = Size::as_asked(&self.cluster.spec, self.before.autoscaling.as_ref());
        Decided { fleet, revision, size, plan: Plan::default() }
    }

    /// Asks the nodes only where something depends on what they say.
    async fn decide(&self, validated: &ValidatedCluster, admin: &Admin<'_>) -> Decided {
        let revision = build::revision(validated);
        let follows = validated.autoscaling.as_ref().is_some_and(|by| by.target_connections_per_pod.is_some());
        let quiet = self.decide_by(validated, &revision, &BTreeMap::new());
        let unwell = quiet.fleet.staying().any(|node| !node.ready);
        if !follows && !unwell && !quiet.plan.busy {
            return quiet;
        }
        self.decide_by(validated, &revision, &admin.reports(self.pods).await)
    }

    fn decide_by(&self, validated: &ValidatedCluster, revision: &str, reports: &BTreeMap<String, Report>) -> Decided {
        let fleet = self.fleet(reports);
        let rolling = fleet.staying().any(|node| node.revision != revision);
        let size = size(&self.cluster.spec, self.before.autoscaling.as_ref(), &fleet, rolling, self.now);
        let wanted = usize::try_from(size.replicas).unwrap_or_default();
        let rules = Rules {
            revision: revision.to_owned(),
            wanted,
            surge: validated.surge.of(wanted),
            at_a_time: validated.drains_at_a_time,
            timeout: SignedDuration::from_secs(validated.drain_seconds),
            skip: skips_drain(self.cluster),
            alone: matches!(validated.redis, ValidatedRedis::Embedded),
        };
        let plan = plan(&fleet, &rules, self.now.0);
        Decided { fleet, revision: revision.to_owned(), size, plan }
    }
}

impl Decided {
    fn scale(&self, now: Timestamp) -> Scale {
        Scale {
            wanted: usize::try_from(self.size.replicas).unwrap_or_default(),
            replicas: self.plan.replicas,
            leaving: self.fleet.handing_over(now) > 0 || self.fleet.staying().any(|node| node.state != State::Serving),
        }
    }

    /// Makes sure that a ReplicaSet becomes smaller only as the plan saw it: one that has got a pod since would take
    /// away another than the plan means.
    fn guard(&self, desired: &mut ReplicaSet, sets: &[Arc<ReplicaSet>]) {
        let replicas = |set: &ReplicaSet| set.spec.as_ref().and_then(|spec| spec.replicas);
        let known = sets.iter().find(|set| set.metadata.name == desired.metadata.name);
        if let Some(known) = known.filter(|known| replicas(known) > replicas(desired)) {
            desired.metadata.resource_version.clone_from(&known.metadata.resource_version);
        }
    }
}

/// How far it came.
struct Outcome {
    nodes: Decided,
    applied: Option<Resources<Applied>>,
    problem: Option<Problem>,
    failed: Option<Error>,
}

impl Outcome {
    fn of(nodes: Decided) -> Self {
        Self { nodes, applied: None, problem: None, failed: None }
    }
}

/// The objects that tell how it goes.
struct Actual {
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
