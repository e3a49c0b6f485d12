//! What a drain of Kubernetes nodes may do.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta;
use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

/// So many nodes at a time; a node that is not ready may go at any time, or it could hold up the
/// drain of its machine for ever.
pub(super) fn build(cluster: &ValidatedCluster) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::object(cluster, Component::Node, cluster.names.node()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(cluster.max_unavailable)),
            selector: Some(cluster.names.label_selector(Component::Node)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
