//! PodDisruptionBudget of the nodes.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta;
use super::resources::Scale;
use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

/// Allows `maxUnavailable` evictions at a time, and none while a node drains: the next eviction
/// waits for it. A node that is not ready can always be evicted; otherwise it could block the drain
/// of its Kubernetes node forever.
pub(super) fn build(cluster: &ValidatedCluster, scale: &Scale) -> PodDisruptionBudget {
    let ready = i32::try_from(scale.desired).unwrap_or(i32::MAX).saturating_sub(cluster.max_unavailable).max(0);
    // An absolute number: during a rollout the budget counts pods of two revisions, so a percentage
    // would be wrong.
    let (min_available, max_unavailable) = if scale.draining { (None, Some(0)) } else { (Some(ready), None) };
    PodDisruptionBudget {
        metadata: meta::object(cluster, Component::Node, cluster.names.node()),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: min_available.map(IntOrString::Int),
            max_unavailable: max_unavailable.map(IntOrString::Int),
            selector: Some(cluster.names.label_selector(Component::Node)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
        }),
        ..PodDisruptionBudget::default()
    }
}
