//! What the API server has, as far as the watches have told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;

/// A kind of object that the operator writes.
pub trait Operand:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Where its objects are kept.
    fn store(caches: &Caches) -> &Store<Self>;
}

macro_rules! caches {
    ($($(#[doc = $doc:literal])* $field:ident: $kind:ty,)+) => {
        /// The objects of all ChatClusters, as the watches have told of them, and what was recent_writes
        /// since.
        pub struct Caches {
            $($(#[doc = $doc])* pub $field: Store<$kind>,)+
            /// What was recent_writes and not yet cached of.
            pub recent_writes: RecentWrites,
        }

        $(impl Operand for $kind {
            fn store(caches: &Caches) -> &Store<Self> {
                &caches.$field
            }
        })+
    };
}

caches! {
    /// ServiceAccounts.
    service_accounts: ServiceAccount,
    /// Secrets, the operator's own only.
    secrets: Secret,
    /// ConfigMaps.
    config_maps: ConfigMap,
    /// Services.
    services: Service,
    /// ReplicaSets.
    replica_sets: ReplicaSet,
    /// HorizontalPodAutoscalers.
    autoscalers: HorizontalPodAutoscaler,
    /// StatefulSets.
    stateful_sets: StatefulSet,
    /// PodDisruptionBudgets.
    disruptions: PodDisruptionBudget,
    /// NetworkPolicies.
    network_policies: NetworkPolicy,
    /// Ingresses.
    ingresses: Ingress,
    /// The nodes' and Redis' pods, which others make and the operator only marks.
    pods: Pod,
}

/// How long the first lists of what there is may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(20);
/// For how long a recent_writes object is kept that no watch tells of: it is gone again.
const WRITE_TTL: Duration = Duration::from_secs(600);

impl Caches {
    /// Waits until it is synced which pods and ReplicaSets there are: with some of them unseen, others would be
    /// taken for too few or too many.
    ///
    /// # Errors
    /// They can't be listed.
    pub async fn wait_until_synced(&self) -> Result<(), Error> {
        let synced = async { self.pods.wait_until_ready().await.and(self.replica_sets.wait_until_ready().await) };
        match tokio::time::timeout(SYNC_TIMEOUT, synced).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::NotSynced),
        }
    }

    /// The objects that match, in the latest version synced, by name.
    pub fn all<K: Operand>(&self, matches: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let cached = K::store(self).state_filter(matches);
        let latest = cached.into_iter().map(|cached| self.recent_writes.newer_than(&*cached).map_or(cached, Arc::new));
        let mut objects: Vec<Arc<K>> = latest.collect();
        // What is said of them must not change by itself.
        objects.sort_by_key(|object| object.name_any());
        objects
    }

    /// An object, in the latest version synced. `None`: no watch has told of it, which may be too
    /// early to know.
    pub fn get<K: Operand>(&self, namespace: &str, name: &str) -> Option<K> {
        let cached = K::store(self).get(&ObjectRef::new(name).within(namespace))?;
        Some(self.recent_writes.newer_than(&*cached).unwrap_or_else(|| (*cached).clone()))
    }
}

/// Objects that were recent_writes, until the watch tells of them: otherwise the next look at the cache
/// would see the old ones, and write again.
#[derive(Default)]
pub struct RecentWrites(Mutex<HashMap<String, RecentWrite>>);

/// An object as the API server answered, and when.
struct RecentWrite {
    version: u64,
    object: Value,
    at: Instant,
}

impl RecentWrites {
    /// Keeps what the API server answered.
    pub fn keep<K: Operand>(&self, object: &K) {
        if let (Some(version), Ok(value)) = (version(object), serde_json::to_value(object)) {
            let mut writes = self.lock();
            writes.retain(|_, kept| kept.at.elapsed() < WRITE_TTL);
            writes.insert(key(object), RecentWrite { version, object: value, at: Instant::now() });
        }
    }

    /// Forgets an object that is gone.
    pub fn forget<K: Operand>(&self, object: &K) {
        self.lock().remove(&key(object));
    }

    fn newer_than<K: Operand>(&self, cached: &K) -> Option<K> {
        let mut writes = self.lock();
        let key = key(cached);
        let kept = writes.get(&key)?;
        if version(cached).is_some_and(|cached| cached < kept.version) {
            return serde_json::from_value(kept.object.clone()).ok();
        }
        writes.remove(&key);
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, RecentWrite>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key<K: Operand>(object: &K) -> String {
    format!("{}/{}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

/// Resource versions are numbers that grow, as the API promises since 1.35; so they did before.
fn version<K: Operand>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}
