//! Makes what is as it should be: writes what differs, removes what is no longer wanted.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::build::{Applied, Monitoring, Prepared, Redis, Resources};
use super::caches::{Caches, Operand};
use super::compare::covers;
use super::error::Error;
use super::names::{MANAGED_BY, MANAGER, Names};
use super::unwatched::Unwatched;
use crate::metrics::Metrics;

/// Who writes, where to, and what is known to be there.
pub struct Writer<'a> {
    /// The API server.
    pub client: &'a Client,
    /// What is there.
    pub caches: &'a Caches,
    /// What no watch tells of.
    pub unwatched: &'a Unwatched,
    /// Where writes are counted.
    pub metrics: &'a Metrics,
    /// The namespace.
    pub namespace: &'a str,
    /// The ChatCluster's name.
    pub name: &'a str,
    /// The ChatCluster's uid, which every object of its own names.
    pub owner: &'a str,
}

impl Writer<'_> {
    /// Writes what differs, in an order in which everything finds what it needs, then removes what
    /// is no longer wanted.
    ///
    /// # Errors
    /// The first object that can't be written. What was written stays; the rest follows when it is
    /// tried again.
    pub async fn apply(&self, desired: Resources<Prepared>) -> Result<Resources<Applied>, Error> {
        let Resources {
            service_account,
            session,
            admin,
            config,
            redis,
            service,
            nodes,
            replica_set,
            autoscaler,
            disruption,
            network_policy,
            ingress,
            monitoring,
            stage: PhantomData,
        } = desired;
        let applied = Resources {
            service_account: self.one(service_account).await?,
            session: self.one(session).await?,
            admin: self.one(admin).await?,
            config: self.one(config).await?,
            network_policy: self.maybe(network_policy).await?,
            redis: match redis {
                None => None,
                Some(Redis { secret, config, service, stateful_set, network_policy }) => Some(Redis {
                    secret: self.one(secret).await?,
                    config: self.one(config).await?,
                    network_policy: self.maybe(network_policy).await?,
                    service: self.one(service).await?,
                    stateful_set: self.one(stateful_set).await?,
                }),
            },
            service: self.one(service).await?,
            nodes: self.one(nodes).await?,
            replica_set: self.one(replica_set).await?,
            autoscaler: self.maybe(autoscaler).await?,
            disruption: self.one(disruption).await?,
            ingress: self.maybe(ingress).await?,
            monitoring: self.monitoring(monitoring).await?,
            stage: PhantomData,
        };
        self.prune(&applied).await?;
        Ok(applied)
    }

    /// Last, as nothing of the chat itself waits for it.
    async fn monitoring(&self, desired: Monitoring) -> Result<Monitoring, Error> {
        let Monitoring { kinds, pod_monitor, prometheus_rule, dashboards } = desired;
        let name = Names::called(self.name).node();
        let dashboards = self.maybe(dashboards).await?;
        self.optional(kinds.pod_monitor, &name, pod_monitor.as_ref()).await?;
        self.optional(kinds.prometheus_rule, &name, prometheus_rule.as_ref()).await?;
        Ok(Monitoring { kinds, pod_monitor, prometheus_rule, dashboards })
    }

    async fn maybe<K: Operand>(&self, desired: Option<K>) -> Result<Option<K>, Error> {
        match desired {
            None => Ok(None),
            Some(desired) => self.one(desired).await.map(Some),
        }
    }

    async fn one<K: Operand>(&self, mut desired: K) -> Result<K, Error> {
        let print = fingerprint(&serde_json::to_value(&desired)?);
        desired.annotations_mut().insert(FINGERPRINT.to_owned(), print);
        let name = desired.name_any();
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let known = match self.caches.get::<K>(self.namespace, &name) {
            Some(known) => Some(known),
            // It may belong to somebody else, and so have no label of ours: that is not written over.
            None => api.get_opt(&name).await?,
        };
        if let Some(known) = known {
            self.check_owner(&known)?;
            if covers(&serde_json::to_value(&known)?, &serde_json::to_value(&desired)?) {
                return Ok(known);
            }
        }
        let parameters = PatchParams::apply(MANAGER).force();
        let written =
            api.patch(&name, &parameters, &Patch::Apply(&desired)).await.map_err(|error| refused::<K>(&name, error))?;
        tracing::info!(kind = %K::kind(&()), namespace = self.namespace, name, "applied");
        self.metrics.written(&K::kind(&()), "apply");
        self.caches.written.keep(&written);
        Ok(written)
    }

    pub(super) fn check_owner<K: Resource<DynamicType = ()>>(&self, known: &K) -> Result<(), Error> {
        let controller = known.owner_references().iter().find(|owner| owner.controller == Some(true));
        let name = known.name_any();
        let kind = K::kind(&()).into_owned();
        match controller {
            Some(owner) if owner.uid == self.owner => Ok(()),
            // That of an earlier ChatCluster of the same name: the garbage collector is about to
            // remove it.
            Some(owner) if owner.kind == "ChatCluster" && owner.name == self.name => {
                Err(Error::Leftover { kind, name })
            }
            // Only its owner was taken off.
            None if known.labels().get(MANAGED_BY).is_some_and(|manager| manager == MANAGER) => Ok(()),
            Some(_) | None => Err(Error::NameConflict { kind, name }),
        }
    }

    /// Removes what a spec can do without and an earlier one did not: the other kinds are always there.
    async fn prune(&self, applied: &Resources<Applied>) -> Result<(), Error> {
        let redis = applied.redis.as_ref().and_then(|Redis { network_policy, .. }| network_policy.as_ref());
        let policies: Vec<_> = applied.network_policy.iter().chain(redis).collect();
        self.remove_others(&policies).await?;
        let configs = std::iter::once(&applied.config).chain(applied.redis.as_ref().map(|redis| &redis.config));
        self.remove_others(&configs.chain(&applied.monitoring.dashboards).collect::<Vec<_>>()).await?;
        self.remove_others(&applied.autoscaler.iter().collect::<Vec<_>>()).await?;
        self.remove_others(&applied.ingress.iter().collect::<Vec<_>>()).await
    }

    /// Removes every object of this kind that the ChatCluster owns, but those.
    async fn remove_others<K: Operand>(&self, wanted: &[&K]) -> Result<(), Error> {
        let wanted: BTreeSet<String> = wanted.iter().map(|object| object.name_any()).collect();
        let unwanted = K::store(self.caches).state_filter(|object| {
            let ours = object.owner_references().iter().any(|owner| owner.uid == self.owner);
            ours && !wanted.contains(&object.name_any()) && object.meta().deletion_timestamp.is_none()
        });
        for object in unwanted {
            self.remove(&*object).await?;
        }
        Ok(())
    }

    /// Removes this very object, not one of its name that somebody made since.
    pub(super) async fn remove<K: Operand>(&self, object: &K) -> Result<(), Error> {
        let name = object.name_any();
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let precondition = Preconditions { uid: object.uid(), resource_version: None };
        match api.delete(&name, &DeleteParams::background().preconditions(precondition)).await {
            Ok(_) => {
                tracing::info!(kind = %K::kind(&()), namespace = self.namespace, name, "removed");
                self.metrics.written(&K::kind(&()), "delete");
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(refused::<K>(&name, error)),
        }
        self.caches.written.forget(object);
        Ok(())
    }

    /// Changes an object as it is known, and nothing but what is told. One that has changed since, or is gone, is left,
    /// and the answer is false: another look follows.
    pub(super) async fn change<K: Operand>(&self, object: &K, mut patch: Value) -> Result<bool, Error> {
        let name = object.name_any();
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        patch["metadata"]["uid"] = json!(object.uid());
        patch["metadata"]["resourceVersion"] = json!(object.resource_version());
        let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        match api.patch(&name, &parameters, &Patch::Merge(&patch)).await {
            Ok(written) => {
                tracing::info!(kind = %K::kind(&()), namespace = self.namespace, name, %patch, "changed");
                self.metrics.written(&K::kind(&()), "patch");
                self.caches.written.keep(&written);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(refused::<K>(&name, error)),
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

pub(super) fn refused<K: Resource<DynamicType = ()>>(name: &str, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(_) => {
            Error::Refused { kind: K::kind(&()).into_owned(), name: name.to_owned(), source: Box::new(error) }
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
