//! Objects of kinds that may not be installed. A watch of a missing kind fails, so these kinds are not
//! watched: they are read when their desired state changes, and every few minutes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::compare::covers;
use super::error::Error;
use super::names::MANAGER;
use super::writer::{Writer, fingerprint, rejected};
use crate::api::prometheus::{self, InstalledKinds};

/// How long the result of discovery is cached.
const DISCOVERY_TTL: Duration = Duration::from_secs(60);
/// How long an object in its desired state is not read again. Somebody else may have changed it.
const RESYNC: Duration = Duration::from_secs(300);

/// Discovery, and what was last seen of these objects.
#[derive(Default)]
pub(super) struct OptionalResources {
    installed: Mutex<Option<(InstalledKinds, Instant)>>,
    /// Fingerprint of each object in its desired state, and when it was read; empty for an object that must
    /// not exist.
    settled: Mutex<HashMap<String, (String, Instant)>>,
}

/// A kind that may not be installed.
pub(super) trait Optional:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Serialize + DeserializeOwned
{
}

impl Optional for prometheus::PodMonitor {}
impl Optional for prometheus::PrometheusRule {}

impl OptionalResources {
    /// Which of the Prometheus Operator's kinds are installed.
    ///
    /// # Errors
    /// The API server can't be reached.
    pub(super) async fn installed_kinds(&self, client: &Client) -> Result<InstalledKinds, kube::Error> {
        let cached = *self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((installed, at)) = cached
            && at.elapsed() < DISCOVERY_TTL
        {
            return Ok(installed);
        }
        let installed = match client.list_api_group_resources(prometheus::VERSION).await {
            Ok(list) => {
                let has = |kind: &str| list.resources.iter().any(|resource| resource.kind == kind);
                InstalledKinds { pod_monitor: has("PodMonitor"), prometheus_rule: has("PrometheusRule") }
            }
            Err(kube::Error::Api(status)) if status.code == 404 => InstalledKinds::default(),
            Err(error) => return Err(error),
        };
        *self.installed.lock().unwrap_or_else(PoisonError::into_inner) = Some((installed, Instant::now()));
        Ok(installed)
    }

    /// Applies an object of an installed kind; `None` deletes the ChatCluster's object of this name.
    pub(super) async fn apply<K: Optional>(
        &self,
        writer: &Writer<'_>,
        name: &str,
        desired: Option<&K>,
    ) -> Result<(), Error> {
        let key = format!("{}/{}/{name}/{}", K::kind(&()), writer.namespace, writer.owner);
        let desired = desired.map(serde_json::to_value).transpose()?;
        let print = desired.as_ref().map(fingerprint).unwrap_or_default();
        if self.is_settled(&key, &print) {
            return Ok(());
        }
        let api: Api<K> = Api::namespaced(writer.client.clone(), writer.namespace);
        let observed = api.get_opt(name).await?;
        match (desired, observed) {
            (Some(desired), observed) => {
                if let Some(observed) = &observed {
                    writer.check_owner(observed)?;
                }
                let observed = observed.map(serde_json::to_value).transpose()?;
                if !observed.is_some_and(|observed| covers(&observed, &desired)) {
                    let parameters = PatchParams::apply(MANAGER).force();
                    api.patch(name, &parameters, &Patch::Apply(&desired))
                        .await
                        .map_err(|error| rejected::<K>(name, error))?;
                    tracing::info!(kind = %K::kind(&()), namespace = writer.namespace, name, "applied");
                    writer.metrics.written(&K::kind(&()), "apply");
                }
            }
            (None, Some(observed)) if observed.owner_references().iter().any(|owner| owner.uid == writer.owner) => {
                let precondition = Preconditions { uid: observed.uid(), resource_version: None };
                match api.delete(name, &DeleteParams::background().preconditions(precondition)).await {
                    Ok(_) => {
                        tracing::info!(kind = %K::kind(&()), namespace = writer.namespace, name, "deleted");
                        writer.metrics.written(&K::kind(&()), "delete");
                    }
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                    Err(error) => return Err(rejected::<K>(name, error)),
                }
            }
            (None, _) => {}
        }
        self.settle(key, print);
        Ok(())
    }

    fn is_settled(&self, key: &str, print: &str) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(key).is_some_and(|(known, at)| known == print && at.elapsed() < RESYNC)
    }

    fn settle(&self, key: String, print: String) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.retain(|_, (_, at)| at.elapsed() < RESYNC);
        settled.insert(key, (print, Instant::now()));
    }
}
