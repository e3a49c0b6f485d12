//! ConfigMap with the nodes' settings.

use k8s_openapi::api::core::v1::ConfigMap;

use super::meta;
use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

/// Environment variables that are the same for all pods and not secret.
pub(super) fn build(cluster: &ValidatedCluster) -> ConfigMap {
    ConfigMap {
        metadata: meta::object(cluster, Component::Node, cluster.names.node()),
        data: Some(cluster.settings.clone()),
        ..ConfigMap::default()
    }
}
