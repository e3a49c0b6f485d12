//! Caches of observed objects, filled by watches.

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

/// A kind that the operator writes.
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
    /// The cache of this kind.
    fn store(caches: &Caches) -> &Store<Self>;
}

macro_rules! caches {
    ($($(#[doc = $doc:literal])* $field:ident: $kind:ty,)+) => {
        /// The observed objects of all ChatClusters.
        pub struct Caches {
            $($(#[doc = $doc])* pub $field: Store<$kind>,)+
            /// Writes that the watches have not delivered yet.
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
    /// Secrets with the operator's label.
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
    /// Pods of nodes and Redis. Others create them; the operator only labels them.
    pods: Pod,
}

/// How long the initial lists may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a write is kept that no watch delivers: the object was deleted meanwhile.
const WRITE_TTL: Duration = Duration::from_secs(600);

impl Caches {
    /// Waits until pods and ReplicaSets are listed. An incomplete list would look like too few or
    /// too many nodes.
    ///
    /// # Errors
    /// The lists took too long.
    pub async fn wait_until_synced(&self) -> Result<(), Error> {
        let synced = async { self.pods.wait_until_ready().await.and(self.replica_sets.wait_until_ready().await) };
        match tokio::time::timeout(SYNC_TIMEOUT, synced).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::NotSynced),
        }
    }

    /// The matching objects in their latest known version, sorted by name.
    pub fn all<K: Operand>(&self, matches: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let cached = K::store(self).state_filter(matches);
        let latest = cached.into_iter().map(|cached| self.recent_writes.newer_than(&*cached).map_or(cached, Arc::new));
        let mut objects: Vec<Arc<K>> = latest.collect();
        // A stable order keeps the status stable.
        objects.sort_by_key(|object| object.name_any());
        objects
    }

    /// An object in its latest known version. `None` does not mean that it does not exist: a watch
    /// may be behind.
    pub fn get<K: Operand>(&self, namespace: &str, name: &str) -> Option<K> {
        let cached = K::store(self).get(&ObjectRef::new(name).within(namespace))?;
        Some(self.recent_writes.newer_than(&*cached).unwrap_or_else(|| (*cached).clone()))
    }
}

/// Written objects, until a watch delivers them. Without them, the next reconciliation would read
/// the old version from the cache and write again.
#[derive(Default)]
pub struct RecentWrites(Mutex<HashMap<String, RecentWrite>>);

struct RecentWrite {
    version: u64,
    object: Value,
    at: Instant,
}

impl RecentWrites {
    /// Stores an object as the API server returned it.
    pub fn keep<K: Operand>(&self, object: &K) {
        if let (Some(version), Ok(value)) = (version(object), serde_json::to_value(object)) {
            let mut writes = self.lock();
            writes.retain(|_, kept| kept.at.elapsed() < WRITE_TTL);
            writes.insert(key(object), RecentWrite { version, object: value, at: Instant::now() });
        }
    }

    /// Drops a deleted object.
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

/// Resource versions are increasing numbers. The API guarantees it since Kubernetes 1.35; earlier
/// versions behave the same.
fn version<K: Operand>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}
