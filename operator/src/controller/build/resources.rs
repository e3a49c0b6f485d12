//! The objects that make up a ChatCluster, as built and as applied.

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::api::prometheus::{InstalledKinds, PodMonitor, PrometheusRule};

/// As built: what should be.
#[derive(Debug)]
pub struct Desired;

/// As the API server has it: what is.
#[derive(Debug)]
pub struct Applied;

/// The objects of one ChatCluster, at a stage. Whoever takes them apart names every field, so that
/// a new one can't be forgotten.
#[derive(Debug)]
pub struct Resources<Stage> {
    /// Who the nodes are to the API server: nobody with any rights.
    pub service_account: ServiceAccount,
    /// The keys that sign resume tokens.
    pub session: Secret,
    /// The token for the nodes' admin port.
    pub admin: Secret,
    /// The nodes' settings.
    pub config: ConfigMap,
    /// Redis, if it is managed.
    pub redis: Option<Redis>,
    /// Where clients find the nodes.
    pub service: Service,
    /// Where each node is found by itself.
    pub nodes: Service,
    /// The nodes of the asked-for kind.
    pub replica_set: ReplicaSet,
    /// Who asks for nodes by their use of the CPU.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// How many nodes may be evicted at a time.
    pub disruption: PodDisruptionBudget,
    /// Who may reach the nodes.
    pub network_policy: Option<NetworkPolicy>,
    /// The way in from outside.
    pub ingress: Option<Ingress>,
    /// For those who watch the chat.
    pub monitoring: Monitoring,
    /// What stage this is.
    pub stage: PhantomData<Stage>,
}

/// The objects of a managed Redis.
#[derive(Debug)]
pub struct Redis {
    /// Its password.
    pub secret: Secret,
    /// Its configuration.
    pub config: ConfigMap,
    /// Where the nodes find it.
    pub service: Service,
    /// Redis itself, and its volume.
    pub stateful_set: StatefulSet,
    /// Who may reach it.
    pub network_policy: Option<NetworkPolicy>,
}

/// What Prometheus and Grafana get to know.
#[derive(Debug)]
pub struct Monitoring {
    /// Which of these kinds are installed.
    pub installed: InstalledKinds,
    /// How the nodes are found.
    pub pod_monitor: Option<PodMonitor>,
    /// What is recorded and alerted.
    pub prometheus_rule: Option<PrometheusRule>,
    /// The dashboards.
    pub dashboards: Option<ConfigMap>,
}

/// How many nodes there are to be.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// In the end.
    pub desired: usize,
    /// Of the asked-for kind, now.
    pub current_replicas: usize,
    /// Whether a node is on its way out now.
    pub draining: bool,
}
