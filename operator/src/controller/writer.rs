//! Writes single objects to the API server: applies, patches and deletes them.

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::caches::{Caches, Operand};
use super::compare::covers;
use super::error::Error;
use super::names::{MANAGED_BY, MANAGER};
use crate::metrics::Metrics;

/// Writes the objects of one ChatCluster.
pub(super) struct Writer<'a> {
    /// Client of the API server.
    pub(super) client: &'a Client,
    /// Observed objects.
    pub(super) caches: &'a Caches,
    /// Counts the writes.
    pub(super) metrics: &'a Metrics,
    /// Namespace of the ChatCluster.
    pub(super) namespace: &'a str,
    /// Name of the ChatCluster.
    pub(super) name: &'a str,
    /// UID of the ChatCluster: the owner reference of every object.
    pub(super) owner: &'a str,
}

impl Writer<'_> {
    /// Applies an object, unless the API server already has all of it.
    pub(super) async fn apply<K: Operand>(&self, mut desired: K) -> Result<K, Error> {
        let print = fingerprint(&serde_json::to_value(&desired)?);
        desired.annotations_mut().insert(FINGERPRINT.to_owned(), print);
        let name = desired.name_any();
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let observed = match self.caches.get::<K>(self.namespace, &name) {
            Some(observed) => Some(observed),
            // It may belong to somebody else, and so have no label of ours: that is not written over.
            None => api.get_opt(&name).await?,
        };
        if let Some(observed) = observed {
            self.check_owner(&observed)?;
            if covers(&serde_json::to_value(&observed)?, &serde_json::to_value(&desired)?) {
                return Ok(observed);
            }
        }
        let parameters = PatchParams::apply(MANAGER).force();
        let written = api
            .patch(&name, &parameters, &Patch::Apply(&desired))
            .await
            .map_err(|error| rejected::<K>(&name, error))?;
        tracing::info!(kind = %K::kind(&()), namespace = self.namespace, name, "applied");
        self.metrics.written(&K::kind(&()), "apply");
        self.caches.recent_writes.keep(&written);
        Ok(written)
    }

    pub(super) fn check_owner<K: Resource<DynamicType = ()>>(&self, object: &K) -> Result<(), Error> {
        let controller = object.owner_references().iter().find(|owner| owner.controller == Some(true));
        let name = object.name_any();
        let kind = K::kind(&()).into_owned();
        match controller {
            Some(owner) if owner.uid == self.owner => Ok(()),
            // That of an earlier ChatCluster of the same name: the garbage collector is about to
            // remove it.
            Some(owner) if owner.kind == "ChatCluster" && owner.name == self.name => {
                Err(Error::Terminating { kind, name })
            }
            // Only its owner was taken off.
            None if object.labels().get(MANAGED_BY).is_some_and(|manager| manager == MANAGER) => Ok(()),
            Some(_) | None => Err(Error::NameConflict { kind, name }),
        }
    }

    /// Removes this very object, not one of its name that somebody made since.
    pub(super) async fn delete<K: Operand>(&self, object: &K) -> Result<(), Error> {
        let name = object.name_any();
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let precondition = Preconditions { uid: object.uid(), resource_version: None };
        match api.delete(&name, &DeleteParams::background().preconditions(precondition)).await {
            Ok(_) => {
                tracing::info!(kind = %K::kind(&()), namespace = self.namespace, name, "deleted");
                self.metrics.written(&K::kind(&()), "delete");
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(rejected::<K>(&name, error)),
        }
        self.caches.recent_writes.forget(object);
        Ok(())
    }

    /// Changes an object as it is known, and nothing but what is told. One that has changed since, or is gone, is left,
    /// and the answer is false: another look follows.
    pub(super) async fn patch<K: Operand>(&self, object: &K, mut patch: Value) -> Result<bool, Error> {
        let name = object.name_any();
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        patch["metadata"]["uid"] = json!(object.uid());
        patch["metadata"]["resourceVersion"] = json!(object.resource_version());
        let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        match api.patch(&name, &parameters, &Patch::Merge(&patch)).await {
            Ok(written) => {
                tracing::info!(kind = %K::kind(&()), namespace = self.namespace, name, %patch, "patched");
                self.metrics.written(&K::kind(&()), "patch");
                self.caches.recent_writes.keep(&written);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(rejected::<K>(&name, error)),
        }
    }
}

/// The annotation with the [`fingerprint`] of what was applied.
const FINGERPRINT: &str = "chatcluster.dev/fingerprint";

/// Changes with everything that is asked for, and with nothing else: what is there may have all that is asked for now, and
/// beyond it what was asked for once. Knows nothing of secrets but their keys.
pub(super) fn fingerprint(desired: &Value) -> String {
    let mut desired = desired.clone();
    if let Some(metadata) = desired.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
    if desired.get("type").is_some()
        && let Some(data) = desired.get_mut("data").and_then(Value::as_object_mut)
    {
        data.values_mut().for_each(|value| *value = Value::Null);
    }
    let hash = Sha256::digest(desired.to_string());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn rejected<K: Resource<DynamicType = ()>>(name: &str, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(_) => {
            Error::Rejected { kind: K::kind(&()).into_owned(), name: name.to_owned(), source: Box::new(error) }
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_changes_with_what_is_asked_for_and_not_with_a_secret() {
        let print = |env: Value| fingerprint(&json!({"spec": {"env": env}}));
        assert_ne!(print(json!([{"name": "A"}])), print(json!([])));
        let secret = |value: &str| fingerprint(&json!({"type": "Opaque", "data": {"password": value}}));
        assert_eq!(secret("one"), secret("other"));
    }
}
