//! Objects of kinds that may not be installed. No watch tells of them, which would fail where they are not: so they are
//! looked at now and then, and whenever something else is asked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::apply::{Writer, fingerprint, refused};
use super::compare::covers;
use super::error::Error;
use super::names::MANAGER;
use crate::api::prometheus;

/// For how long it is taken as known which kinds are installed.
const KNOWN: Duration = Duration::from_secs(60);
/// How soon what is as it should be is looked at again, for somebody else may have changed it.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// Which kinds of the Prometheus Operator are installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    /// PodMonitors.
    pub pod_monitor: bool,
    /// PrometheusRules.
    pub prometheus_rule: bool,
}

/// What is known of such objects.
#[derive(Default)]
pub struct Unwatched {
    kinds: Mutex<Option<(Kinds, Instant)>>,
    /// The print of each object that was as it should be, and when; an empty one where there was to be none.
    settled: Mutex<HashMap<String, (String, Instant)>>,
}

impl Unwatched {
    /// Which kinds are installed.
    ///
    /// # Errors
    /// The API server can't be asked.
    pub(super) async fn kinds(&self, client: &Client) -> Result<Kinds, kube::Error> {
        let known = *self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kinds, at)) = known
            && at.elapsed() < KNOWN
        {
            return Ok(kinds);
        }
        let kinds = match client.list_api_group_resources(prometheus::VERSION).await {
            Ok(list) => {
                let has = |kind: &str| list.resources.iter().any(|resource| resource.kind == kind);
                Kinds { pod_monitor: has("PodMonitor"), prometheus_rule: has("PrometheusRule") }
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Kinds::default(),
            Err(error) => return Err(error),
        };
        *self.kinds.lock().unwrap_or_else(PoisonError::into_inner) = Some((kinds, Instant::now()));
        Ok(kinds)
    }

    fn is_settled(&self, key: &str, print: &str) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(key).is_some_and(|(known, at)| known == print && at.elapsed() < LOOK_AGAIN)
    }

    fn settle(&self, key: String, print: String) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.retain(|_, (_, at)| at.elapsed() < LOOK_AGAIN);
        settled.insert(key, (print, Instant::now()));
    }
}

/// A kind that may not be installed.
pub(super) trait Optional:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Serialize + DeserializeOwned
{
}

impl Optional for prometheus::PodMonitor {}
impl Optional for prometheus::PrometheusRule {}

impl Writer<'_> {
    /// Makes such an object as it should be, or sees to it that there is none of this name; nothing where its kind is
    /// not installed.
    pub(super) async fn optional<K: Optional>(
        &self,
        installed: bool,
        name: &str,
        desired: Option<&K>,
    ) -> Result<(), Error> {
        if !installed {
            return Ok(());
        }
        let key = format!("{}/{}/{name}/{}", K::kind(&()), self.namespace, self.owner);
        let wanted = desired.map(serde_json::to_value).transpose()?;
        let print = wanted.as_ref().map(fingerprint).unwrap_or_default();
        if self.unwatched.is_settled(&key, &print) {
            return Ok(());
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let known = api.get_opt(name).await?;
        match (wanted, known) {
            (Some(wanted), known) => {
                if let Some(known) = &known {
                    self.check_owner(known)?;
                }
                let known = known.map(serde_json::to_value).transpose()?;
                if !known.is_some_and(|known| covers(&known, &wanted)) {
                    let parameters = PatchParams::apply(MANAGER).force();
                    api.patch(name, &parameters, &Patch::Apply(&wanted))
                        .await
                        .map_err(|error| refused::<K>(name, error))?;
                    tracing::info!(kind = %K::kind(&()), namespace = self.namespace, name, "applied");
                    self.metrics.written(&K::kind(&()), "apply");
                }
            }
            (None, Some(known)) if known.owner_references().iter().any(|owner| owner.uid == self.owner) => {
                let precondition = Preconditions { uid: known.uid(), resource_version: None };
                match api.delete(name, &DeleteParams::background().preconditions(precondition)).await {
                    Ok(_) => {
                        tracing::info!(kind = %K::kind(&()), namespace = self.namespace, name, "removed");
                        self.metrics.written(&K::kind(&()), "delete");
                    }
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                    Err(error) => return Err(refused::<K>(name, error)),
                }
            }
            (None, _) => {}
        }
        self.unwatched.settle(key, print);
        Ok(())
    }
}
