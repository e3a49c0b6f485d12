//! Writes the status if it changed, and publishes an Event per transition.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter as Source};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::error::Error;
use super::names::MANAGER;
use super::status::{self, Observed, Transition};
use crate::api::spec::ChatCluster;
use crate::api::status::{ChatClusterStatus, ConditionType};
use crate::metrics::Metrics;

/// Field manager of the status, separate from that of the objects.
const STATUS_MANAGER: &str = "chat-operator-status";
/// Longest note of an Event, in bytes: a little below the API server's limit.
const MAX_NOTE: usize = 1000;

/// Reports the status of ChatClusters.
pub(super) struct Reporter {
    client: Client,
    events: Recorder,
    metrics: Metrics,
    /// Last written status with the ChatCluster's UID: the watch may not have delivered it yet.
    last: Mutex<HashMap<ObjectRef<ChatCluster>, (String, ChatClusterStatus)>>,
}

impl Reporter {
    pub(super) fn new(client: Client, identity: String, metrics: Metrics) -> Self {
        let source = Source { controller: MANAGER.into(), instance: Some(identity) };
        Self { events: Recorder::new(client.clone(), source), metrics, client, last: Mutex::default() }
    }

    /// The last written status.
    pub(super) fn previous(&self, cluster: &ChatCluster) -> ChatClusterStatus {
        match self.last().get(&ObjectRef::from_obj(cluster)) {
            Some((uid, status)) if cluster.metadata.uid.as_ref() == Some(uid) => status.clone(),
            _ => cluster.status.clone().unwrap_or_default(),
        }
    }

    /// Number of available ChatClusters.
    pub(super) fn available(&self) -> usize {
        let is_available = |status: &ChatClusterStatus| {
            let available = ConditionType::Available.as_str();
            status.conditions.iter().any(|condition| condition.type_ == available && condition.status == "True")
        };
        self.last().values().filter(|(_, status)| is_available(status)).count()
    }

    /// Drops a deleted ChatCluster.
    pub(super) fn forget(&self, cluster: &ObjectRef<ChatCluster>) {
        self.last().remove(cluster);
    }

    /// Writes the status if it differs from the previous one, and publishes each transition once.
    pub(super) async fn report(&self, observed: &Observed<'_>) -> Result<ChatClusterStatus, Error> {
        let cluster = observed.cluster;
        let after = status::assess(observed);
        if *observed.previous != after {
            self.write_status(cluster, &after).await?;
            for transition in status::transitions(observed.previous, &after) {
                self.publish_event(cluster, transition).await;
            }
        }
        if let Some(uid) = cluster.uid() {
            self.last().insert(ObjectRef::from_obj(cluster), (uid, after.clone()));
        }
        Ok(after)
    }

    fn last(&self) -> MutexGuard<'_, HashMap<ObjectRef<ChatCluster>, (String, ChatClusterStatus)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_status(&self, cluster: &ChatCluster, status: &ChatClusterStatus) -> Result<(), Error> {
        let name = cluster.name_any();
        let namespace = cluster.namespace().unwrap_or_default();
        let api: Api<ChatCluster> = Api::namespaced(self.client.clone(), &namespace);
        let patch = json!({
            "apiVersion": ChatCluster::api_version(&()),
            "kind": ChatCluster::kind(&()),
            // The UID excludes a new ChatCluster of the same name.
            "metadata": {"name": name, "uid": cluster.uid()},
            "status": status,
        });
        let parameters = PatchParams::apply(STATUS_MANAGER).force();
        match api.patch_status(&name, &parameters, &Patch::Apply(&patch)).await {
            Ok(_) => Ok(()),
            // The ChatCluster was deleted meanwhile, or recreated.
            Err(kube::Error::Api(error)) if matches!(error.code, 404 | 409) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A failure to publish an Event changes nothing else.
    async fn publish_event(&self, cluster: &ChatCluster, transition: Transition) {
        let Transition { type_, bad, reason, message } = transition;
        self.metrics.transitioned(&reason);
        let note = message[..message.floor_char_boundary(MAX_NOTE)].to_owned();
        let event = Event {
            type_: if bad { EventType::Warning } else { EventType::Normal },
            reason,
            note: Some(note),
            action: type_.as_str().into(),
            secondary: None,
        };
        if let Err(error) = self.events.publish(&event, &cluster.object_ref(&())).await {
            tracing::warn!(%error, "can't publish an Event");
        }
    }
}

/// The current time in whole seconds, the resolution of conditions.
pub(super) fn now() -> Time {
    Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default())
}
