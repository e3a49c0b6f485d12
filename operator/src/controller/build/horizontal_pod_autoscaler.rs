//! Autoscaling by CPU.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget, ResourceMetricSource,
};
use kube::Resource;

use super::meta;
use crate::api::spec::ChatCluster;
use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

/// A HorizontalPodAutoscaler that scales the ChatCluster. It sets the number of nodes; the operator
/// chooses which ones to drain.
pub(super) fn build(cluster: &ValidatedCluster) -> Option<HorizontalPodAutoscaler> {
    let autoscaling = cluster.autoscaling.as_ref()?;
    let target = autoscaling.target_cpu_utilization_percentage?;
    Some(HorizontalPodAutoscaler {
        metadata: meta::object(cluster, Component::Node, cluster.names.node()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(ChatCluster::api_version(&()).into_owned()),
                kind: ChatCluster::kind(&()).into_owned(),
                name: cluster.names.node(),
            },
            min_replicas: Some(autoscaling.min_replicas),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".into(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".into(),
                    target: MetricTarget {
                        type_: "Utilization".into(),
                        average_utilization: Some(target),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_down: Some(HPAScalingRules {
                    stabilization_window_seconds: Some(autoscaling.scale_down.stabilization_seconds),
                    ..HPAScalingRules::default()
                }),
                scale_up: None,
            }),
        }),
        status: None,
    })
}
