//! The controller: watches ChatClusters and their objects, and reconciles each ChatCluster that
//! changed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{self, Action, Config, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate as _, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use self::backoff::Backoff;
use self::caches::{Caches, RecentWrites};
use self::context::Context;
use self::dereference::ReferencedNames;
use self::error::Error;
use self::names::{INSTANCE, MANAGED_BY, MANAGER};
use self::optional_resources::OptionalResources;
use self::report::Reporter;
use crate::api::spec::ChatCluster;
use crate::metrics::Metrics;

mod admin;
mod apply;
mod backoff;
pub mod build;
pub mod caches;
pub mod compare;
mod context;
pub mod dereference;
pub mod error;
mod execute;
pub mod fleet;
pub mod names;
mod optional_resources;
pub mod pods;
pub mod quantity;
mod reconcile;
mod report;
pub mod status;
pub mod validate;
mod writer;

/// Concurrent reconciliations.
const CONCURRENCY: u16 = 8;
/// How long changes of a ChatCluster are collected before it is reconciled: a rollout causes many
/// at once.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Page size of list requests.
const PAGE_SIZE: u32 = 250;

/// Settings of the controller.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace to watch. `None` watches all.
    pub namespace: Option<String>,
    /// Namespace of the operator's own pods.
    pub operator_namespace: String,
    /// Identity of this replica, as the reporter of Events.
    pub identity: String,
}

/// Runs until `stop` resolves, then finishes the reconciliations in progress.
///
/// # Errors
/// The HTTP client for the nodes' admin ports can't be created.
pub async fn run(
    client: Client,
    settings: Settings,
    metrics: Metrics,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<(), reqwest::Error> {
    let scope = Scope { client: client.clone(), namespace: settings.namespace };
    let (clusters, cluster_writer) = reflector::store();
    let (service_accounts, service_account_events) = scope.owned();
    let (secrets, secret_events) = scope.owned();
    let (config_maps, config_map_events) = scope.owned();
    let (services, service_events) = scope.owned();
    let (replica_sets, replica_set_events) = scope.owned();
    let (autoscalers, autoscaler_events) = scope.owned();
    let (stateful_sets, stateful_set_events) = scope.owned();
    let (disruptions, disruption_events) = scope.owned();
    let (network_policies, network_policy_events) = scope.owned();
    let (ingresses, ingress_events) = scope.owned();
    let (pods, pod_events) = scope.owned::<Pod>();

    let context = Arc::new(Context {
        caches: Caches {
            service_accounts,
            secrets,
            config_maps,
            services,
            replica_sets,
            autoscalers,
            stateful_sets,
            disruptions,
            network_policies,
            ingresses,
            pods,
            recent_writes: RecentWrites::default(),
        },
        clusters: clusters.clone(),
        reporter: Reporter::new(client.clone(), settings.identity, metrics.clone()),
        metrics: metrics.clone(),
        backoff: Backoff::default(),
        optional: OptionalResources::default(),
        http: reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?,
        operator_namespace: settings.operator_namespace,
        client,
    });

    let cluster_events = watcher(scope.api::<ChatCluster>(), watcher::Config::default().page_size(PAGE_SIZE))
        .backoff(backoff::WatchBackoff::default())
        .modify(|cluster| cluster.managed_fields_mut().clear())
        .reflect(cluster_writer)
        .applied_objects()
        // The operator's own writes to the status trigger nothing.
        .predicate_filter(predicates::generation.combine(predicates::labels), Default::default());
    let references = watcher(scope.api::<PartialObjectMeta<Secret>>(), watcher::Config::default().page_size(PAGE_SIZE))
        .backoff(backoff::WatchBackoff::default())
        .touched_objects()
        .predicate_filter(predicates::resource_version, Default::default());

    tracing::info!("controller started");
    Controller::for_stream(cluster_events, clusters.clone())
        .trigger_backoff(backoff::NoBackoff)
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .watches_stream(service_account_events, |object| owning_clusters(&object))
        .watches_stream(secret_events, |object| owning_clusters(&object))
        .watches_stream(config_map_events, |object| owning_clusters(&object))
        .watches_stream(service_events, |object| owning_clusters(&object))
        .watches_stream(replica_set_events, |object| owning_clusters(&object))
        .watches_stream(autoscaler_events, |object| owning_clusters(&object))
        .watches_stream(stateful_set_events, |object| owning_clusters(&object))
        .watches_stream(disruption_events, |object| owning_clusters(&object))
        .watches_stream(network_policy_events, |object| owning_clusters(&object))
        .watches_stream(ingress_events, |object| owning_clusters(&object))
        .watches_stream(pod_events, |pod| owning_clusters(&pod))
        .watches_stream(references, move |secret| clusters_referencing(&clusters, &secret))
        .graceful_shutdown_on(stop)
        .run(reconcile, error_policy, context.clone())
        .for_each(|result| {
            match result {
                // `reconcile` logs its own errors.
                Ok(_) | Err(controller::Error::ReconcilerFailed(..)) => {}
                // A change of an object triggered a ChatCluster that is already deleted.
                Err(controller::Error::ObjectNotFound(gone)) => {
                    context.forget(&gone.name, gone.namespace.as_deref().unwrap_or_default());
                }
                Err(error) => tracing::warn!(%error, "a watch ended; it restarts"),
            }
            std::future::ready(())
        })
        .await;
    Ok(())
}

/// The watched namespaces.
struct Scope {
    client: Client,
    namespace: Option<String>,
}

impl Scope {
    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// The store of all objects with the operator's label, and the stream of their changes.
    fn owned<K>(&self) -> (Store<K>, impl futures_util::Stream<Item = Result<K, watcher::Error>> + Send + 'static)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let (store, writer) = reflector::store();
        let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER}")).page_size(PAGE_SIZE);
        let events = watcher(self.api::<K>(), config)
            .backoff(backoff::WatchBackoff::default())
            .modify(|object| object.managed_fields_mut().clear())
            .reflect(writer)
            // Deletions too, because a deleted object is created again.
            .touched_objects();
        (store, events)
    }
}

/// The ChatClusters that own an object, by label and by owner reference, because somebody may have
/// removed either. Pods have only the label: their owner is a ReplicaSet or StatefulSet.
fn owning_clusters<K: Resource>(object: &K) -> HashSet<ObjectRef<ChatCluster>> {
    let Some(namespace) = object.meta().namespace.as_deref() else { return HashSet::new() };
    let owners = object.owner_references().iter().filter(|owner| owner.kind == ChatCluster::kind(&()));
    let names = owners.map(|owner| owner.name.as_str()).chain(object.labels().get(INSTANCE).map(String::as_str));
    names.map(|name| ObjectRef::new(name).within(namespace)).collect()
}

fn clusters_referencing(
    clusters: &Store<ChatCluster>,
    secret: &PartialObjectMeta<Secret>,
) -> Vec<ObjectRef<ChatCluster>> {
    let (namespace, name) = (secret.namespace(), secret.name_any());
    let named = clusters.state_filter(|cluster| {
        cluster.namespace() == namespace && ReferencedNames::of(cluster).contains_secret(&name)
    });
    named.iter().map(|cluster| ObjectRef::from_obj(&**cluster)).collect()
}

async fn reconcile(cluster: Arc<ChatCluster>, context: Arc<Context>) -> Result<Action, Error> {
    let start = Instant::now();
    let _running = context.metrics.start_reconcile();
    let result = reconcile::reconcile(&cluster, &context).await;
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    match &result {
        Ok(_) => context.backoff.forget(&ObjectRef::from_obj(&*cluster)),
        Err(error) => {
            tracing::warn!(namespace, name, reason = error.reason().as_str(), %error, "reconciliation failed; it will be retried")
        }
    }
    context.count_clusters();
    context.metrics.finish_reconcile(result.as_ref().err().map(Error::reason), start.elapsed());
    result
}

fn error_policy(cluster: Arc<ChatCluster>, _: &Error, context: Arc<Context>) -> Action {
    let delay = context.backoff.next(&ObjectRef::from_obj(&*cluster));
    context.metrics.set_retrying(context.backoff.len());
    Action::requeue(delay)
}
