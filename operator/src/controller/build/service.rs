//! Services of the nodes.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta;
use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

/// Name of the clients' port.
pub(super) const HTTP: &str = "http";
/// Name of the admin port.
pub(super) const ADMIN: &str = "admin";

/// Port of a managed Redis.
pub(super) const REDIS_PORT: i32 = 6379;

/// Service for clients, on port 80.
pub(super) fn public(cluster: &ValidatedCluster) -> Service {
    Service {
        metadata: meta::object(cluster, Component::Node, cluster.names.node()),
        spec: Some(ServiceSpec {
            type_: Some(cluster.exposure.service.type_.as_str().into()),
            selector: Some(cluster.names.selector(Component::Node)),
            ports: Some(vec![port(HTTP, 80)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Headless Service with the address of each node, ready or not.
pub(super) fn nodes(cluster: &ValidatedCluster) -> Service {
    Service {
        metadata: meta::object(cluster, Component::Node, cluster.names.nodes()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            selector: Some(cluster.names.selector(Component::Node)),
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![port(HTTP, 3000), port(ADMIN, 9090)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// A port that targets the container port of the same name.
pub(super) fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: number,
        target_port: Some(IntOrString::String(name.into())),
        protocol: Some("TCP".into()),
        app_protocol: None,
        ..ServicePort::default()
    }
}
