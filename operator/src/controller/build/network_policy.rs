//! Who may reach the pods, and whom they may reach. What is not here is refused.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{meta, redis};
use crate::api::spec::NetworkPolicyMode;
use crate::controller::names::{Component, MANAGER};
use crate::controller::validate::{ValidatedCluster, ValidatedRedis};

/// Of the nodes: clients in, the operator and Prometheus to the admin port, Redis and DNS out.
pub(super) fn nodes(cluster: &ValidatedCluster) -> Option<NetworkPolicy> {
    let from = Some(cluster.network_policy.ingress_from.clone()).filter(|peers| !peers.is_empty());
    let mut egress = vec![NetworkPolicyEgressRule { to: None, ports: Some(vec![port("UDP", 53), port("TCP", 53)]) }];
    match &cluster.redis {
        ValidatedRedis::Embedded => {}
        ValidatedRedis::Managed { .. } => egress.push(NetworkPolicyEgressRule {
            to: Some(vec![pods(cluster, Component::Redis)]),
            ports: Some(vec![port("TCP", redis::PORT)]),
        }),
        // The policy knows addresses, not names.
        ValidatedRedis::External { host, port: number, .. } => egress.push(NetworkPolicyEgressRule {
            to: host.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|address| vec![block(address)]),
            ports: Some(vec![port("TCP", i32::from(*number))]),
        }),
    }
    policy(
        cluster,
        Component::Node,
        cluster.names.node(),
        vec![
            NetworkPolicyIngressRule { from, ports: Some(vec![port("TCP", 3000)]) },
            NetworkPolicyIngressRule {
                from: Some(vec![operator(cluster), prometheus()]),
                ports: Some(vec![port("TCP", 9090)]),
            },
        ],
        Some(egress),
    )
}

/// Of a managed Redis: the nodes in, nothing out.
pub(super) fn redis(cluster: &ValidatedCluster) -> Option<NetworkPolicy> {
    let nodes = NetworkPolicyIngressRule {
        from: Some(vec![pods(cluster, Component::Node)]),
        ports: Some(vec![port("TCP", redis::PORT)]),
    };
    policy(cluster, Component::Redis, cluster.names.redis(), vec![nodes], None)
}

fn policy(
    cluster: &ValidatedCluster,
    component: Component,
    name: String,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Option<Vec<NetworkPolicyEgressRule>>,
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
            egress,
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

/// In any namespace, as the charts of Prometheus label it.
fn prometheus() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: labelled("app.kubernetes.io/name", "prometheus"),
        ip_block: None,
    }
}

fn block(address: IpAddr) -> NetworkPolicyPeer {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: format!("{address}/{bits}"), except: None }),
        ..NetworkPolicyPeer::default()
    }
}
