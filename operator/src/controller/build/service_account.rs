//! ServiceAccount of the pods.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::meta;
use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

/// A ServiceAccount without permissions, and without a token in the pods.
pub(super) fn build(cluster: &ValidatedCluster) -> ServiceAccount {
    ServiceAccount {
        metadata: meta::object(cluster, Component::Node, cluster.names.node()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
