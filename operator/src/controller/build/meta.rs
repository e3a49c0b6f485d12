//! Names, labels and owners.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

/// The annotation of a pod template that changes when what the pods read at their start has changed.
pub(super) const CONFIG_HASH: &str = "chatcluster.dev/config-hash";

/// The metadata of an object of the ChatCluster's own.
pub(super) fn object(cluster: &ValidatedCluster, component: Component, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(cluster.names.labels(component)),
        owner_references: Some(vec![cluster.owner.clone()]),
        ..ObjectMeta::default()
    }
}
