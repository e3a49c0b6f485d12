//! The objects that make up a ChatCluster, as built and as applied.

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::api::prometheus::{InstalledKinds, PodMonitor, PrometheusRule};

/// Stage of objects as built: the desired state.
#[derive(Debug)]
pub struct Desired;

/// Stage of objects as the API server returned them.
#[derive(Debug)]
pub struct Applied;

/// All objects of one ChatCluster at a stage. Code that destructures it names every field, so that
/// a new one can't be forgotten.
#[derive(Debug)]
pub struct Resources<Stage> {
    /// ServiceAccount of all pods, without permissions.
    pub service_account: ServiceAccount,
    /// Secret with the keys that sign resume tokens.
    pub session: Secret,
    /// Secret with the token of the nodes' admin port.
    pub admin: Secret,
    /// Settings of the nodes.
    pub config: ConfigMap,
    /// Managed Redis.
    pub redis: Option<Redis>,
    /// Service for clients.
    pub service: Service,
    /// Headless Service with the address of each node.
    pub nodes: Service,
    /// Nodes of the desired revision.
    pub replica_set: ReplicaSet,
    /// Autoscaler by CPU.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// PodDisruptionBudget of the nodes.
    pub disruption: PodDisruptionBudget,
    /// NetworkPolicy of the nodes.
    pub network_policy: Option<NetworkPolicy>,
    /// Ingress for clients.
    pub ingress: Option<Ingress>,
    /// Objects for Prometheus and Grafana.
    pub monitoring: Monitoring,
    /// The stage.
    pub stage: PhantomData<Stage>,
}

/// The objects of a managed Redis.
#[derive(Debug)]
pub struct Redis {
    /// Secret with the password.
    pub secret: Secret,
    /// Configuration file.
    pub config: ConfigMap,
    /// Service for the nodes.
    pub service: Service,
    /// StatefulSet with the volume.
    pub stateful_set: StatefulSet,
    /// NetworkPolicy of Redis.
    pub network_policy: Option<NetworkPolicy>,
}

/// Objects for Prometheus and Grafana.
#[derive(Debug)]
pub struct Monitoring {
    /// Installed kinds.
    pub installed: InstalledKinds,
    /// Scrapes the nodes.
    pub pod_monitor: Option<PodMonitor>,
    /// Recording rules and alerts.
    pub prometheus_rule: Option<PrometheusRule>,
    /// ConfigMap with dashboards.
    pub dashboards: Option<ConfigMap>,
}

/// Numbers of nodes that objects depend on.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Desired number of nodes.
    pub desired: usize,
    /// Number of pods of the desired revision at present.
    pub current_replicas: usize,
    /// Whether a node is cordoned or draining.
    pub draining: bool,
}
