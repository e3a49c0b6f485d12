//! NetworkPolicies. They deny all traffic that they do not list.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{meta, service};
use crate::api::spec::NetworkPolicyMode;
use crate::controller::names::{Component, MANAGER};
use crate::controller::validate::{ValidatedCluster, ValidatedRedis};

/// Nodes. Ingress: clients, and on the admin port the operator and those who scrape metrics. Egress: Redis, the
/// trace collector and DNS.
pub(super) fn nodes(cluster: &ValidatedCluster) -> Option<NetworkPolicy> {
    let from = Some(cluster.network_policy.ingress_from.clone()).filter(|peers| !peers.is_empty());
    let mut egress = vec![NetworkPolicyEgressRule { to: None, ports: Some(vec![port("UDP", 53), port("TCP", 53)]) }];
    match &cluster.redis {
        ValidatedRedis::Embedded => {}
        ValidatedRedis::Managed { .. } => egress.push(NetworkPolicyEgressRule {
            to: Some(vec![pods(cluster, Component::Redis)]),
            ports: Some(vec![port("TCP", service::REDIS_PORT)]),
        }),
        // By port only: a NetworkPolicy can't match host names, and it is evaluated after a
        // Service's address is resolved to pods or machines. The ports are those that the Redis
        // servers themselves listen on.
        ValidatedRedis::External(redis) => {
            let ports = redis.ports.iter().map(|number| port("TCP", i32::from(*number))).collect();
            egress.push(NetworkPolicyEgressRule { to: None, ports: Some(ports) });
        }
    }
    // Also by port only.
    egress.extend(
        cluster
            .collector_port
            .map(|number| NetworkPolicyEgressRule { to: None, ports: Some(vec![port("TCP", i32::from(number))]) }),
    );
    let mut admin = vec![operator(cluster)];
    admin.extend(cluster.network_policy.metrics_from.iter().cloned());
    policy(
        cluster,
        Component::Node,
        cluster.names.node(),
        vec![
            NetworkPolicyIngressRule { from, ports: Some(vec![port("TCP", 3000)]) },
            NetworkPolicyIngressRule { from: Some(admin), ports: Some(vec![port("TCP", 9090)]) },
        ],
        egress,
    )
}

/// Managed Redis. Ingress: nodes. Egress: none.
pub(super) fn redis(cluster: &ValidatedCluster) -> Option<NetworkPolicy> {
    let nodes = NetworkPolicyIngressRule {
        from: Some(vec![pods(cluster, Component::Node)]),
        ports: Some(vec![port("TCP", service::REDIS_PORT)]),
    };
    policy(cluster, Component::Redis, cluster.names.redis(), vec![nodes], Vec::new())
}

fn policy(
    cluster: &ValidatedCluster,
    component: Component,
    name: String,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> Option<NetworkPolicy> {
    if cluster.network_policy.mode == NetworkPolicyMode::Disabled {
        return None;
    }
    Some(NetworkPolicy {
        metadata: meta::object(cluster, component, name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(cluster.names.label_selector(component)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(ingress),
            egress: Some(egress),
        }),
    })
}

fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some(protocol.into()), port: Some(IntOrString::Int(number)), end_port: None }
}

fn pods(cluster: &ValidatedCluster, component: Component) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(cluster.names.label_selector(component)), ..NetworkPolicyPeer::default() }
}

fn labelled(key: &str, value: &str) -> Option<LabelSelector> {
    let labels = [(key.to_owned(), value.to_owned())].into();
    Some(LabelSelector { match_labels: Some(labels), ..LabelSelector::default() })
}

fn operator(cluster: &ValidatedCluster) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: labelled("kubernetes.io/metadata.name", &cluster.operator_namespace),
        pod_selector: labelled("app.kubernetes.io/name", MANAGER),
        ip_block: None,
    }
}
