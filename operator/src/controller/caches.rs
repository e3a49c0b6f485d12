//! What the API server has, as far as the watches have told.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A kind of object that the operator makes.
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
        /// The objects of all ChatClusters, as the watches have told of them, and what was written
        /// since.
        pub struct Caches {
            $($(#[doc = $doc])* pub $field: Store<$kind>,)+
            /// The nodes' and Redis' pods, which are not the operator's own.
            pub pods: Store<Pod>,
            /// What was written and not yet heard of.
            pub written: Written,
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
    /// Deployments.
    deployments: Deployment,
    /// StatefulSets.
    stateful_sets: StatefulSet,
    /// PodDisruptionBudgets.
    disruptions: PodDisruptionBudget,
    /// NetworkPolicies.
    network_policies: NetworkPolicy,
    /// Ingresses.
    ingresses: Ingress,
}

impl Caches {
    /// An object, in the latest version known. `None`: no watch has told of it, which may be too
    /// early to know.
    pub fn get<K: Operand>(&self, namespace: &str, name: &str) -> Option<K> {
        let heard = K::store(self).get(&ObjectRef::new(name).within(namespace))?;
        Some(self.written.newer_than(&*heard).unwrap_or_else(|| (*heard).clone()))
    }
}

/// Objects that were written, until the watch tells of them: otherwise the next look at the cache
/// would see the old ones, and write again.
#[derive(Default)]
pub struct Written(Mutex<HashMap<String, (u64, Value)>>);

impl Written {
    /// Keeps what the API server answered.
    pub fn keep<K: Operand>(&self, object: &K) {
        if let (Some(version), Ok(value)) = (version(object), serde_json::to_value(object)) {
            self.lock().insert(key(object), (version, value));
        }
    }

    /// Forgets an object that is gone.
    pub fn forget<K: Operand>(&self, object: &K) {
        self.lock().remove(&key(object));
    }

    fn newer_than<K: Operand>(&self, heard: &K) -> Option<K> {
        let mut written = self.lock();
        let key = key(heard);
        let (kept, value) = written.get(&key)?;
        if version(heard).is_some_and(|heard| heard < *kept) {
            return serde_json::from_value(value.clone()).ok();
        }
        written.remove(&key);
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u64, Value)>> {
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
