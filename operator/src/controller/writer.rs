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
    pub(super) client: &'a Client,
    pub(super) caches: &'a Caches,
    pub(super) metrics: &'a Metrics,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// UID of the ChatCluster: every object has it in its owner reference.
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
            // The cache holds only objects with the operator's label. One of another owner must not
            // be overwritten.
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
            // The owner is a deleted ChatCluster of the same name; the garbage collector will
            // delete the object.
            Some(owner) if owner.kind == "ChatCluster" && owner.name == self.name => {
                Err(Error::Terminating { kind, name })
            }
            // Only the owner reference was removed.
            None if object.labels().get(MANAGED_BY).is_some_and(|manager| manager == MANAGER) => Ok(()),
            Some(_) | None => Err(Error::NameConflict { kind, name }),
        }
    }

    /// Deletes this object. The UID excludes a new one of the same name.
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

    /// Patches an object in the observed version. Returns false if it has changed since or is gone:
    /// another reconciliation follows.
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

/// Annotation with the [`fingerprint`] of the applied object.
const FINGERPRINT: &str = "chatcluster.dev/fingerprint";

/// A hash of the desired object. It detects fields that are no longer desired, which the comparison
/// with the observed object cannot. Values of Secrets are left out.
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
    fn the_fingerprint_depends_on_the_desired_state_but_not_on_secrets() {
        let print = |env: Value| fingerprint(&json!({"spec": {"env": env}}));
        assert_ne!(print(json!([{"name": "A"}])), print(json!([])));
        let secret = |value: &str| fingerprint(&json!({"type": "Opaque", "data": {"password": value}}));
        assert_eq!(secret("one"), secret("other"));
    }
}
