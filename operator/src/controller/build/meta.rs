//! Metadata of all objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

/// Annotation of a pod template with the hash of what the pods read at start.
pub(super) const CONFIG_HASH: &str = "chatcluster.dev/config-hash";

/// Metadata of an object that the ChatCluster owns.
pub(super) fn object(cluster: &ValidatedCluster, component: Component, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(cluster.names.labels(component)),
        owner_references: Some(vec![cluster.owner.clone()]),
        ..ObjectMeta::default()
    }
}
