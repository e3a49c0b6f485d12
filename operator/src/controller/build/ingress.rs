//! Ingress for controllers that support the annotations of ingress-nginx.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};

use super::{meta, service};
use crate::api::spec::exposure::{self, StickyMode};
use crate::controller::names::Component;
use crate::controller::validate::ValidatedCluster;

const PREFIX: &str = "nginx.ingress.kubernetes.io/";
/// Idle time-out of the proxy. The server sends a ping every 15 s and drops a client after 60 s.
const SILENCE_SECONDS: i64 = 120;

/// The Ingress, if the spec has one.
pub(super) fn build(cluster: &ValidatedCluster) -> Option<Ingress> {
    let spec = cluster.exposure.ingress.as_ref()?;
    let mut metadata = meta::object(cluster, Component::Node, cluster.names.node());
    let mut annotations = annotations(cluster, spec);
    annotations.extend(spec.annotations.clone());
    metadata.annotations = Some(annotations);
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: Some(spec.class_name.clone()),
            rules: Some(spec.hosts.iter().map(|host| rule(cluster, host)).collect()),
            tls: spec.tls.as_ref().map(|tls| {
                vec![IngressTLS { hosts: Some(spec.hosts.clone()), secret_name: Some(tls.secret_name.clone()) }]
            }),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    })
}

fn rule(cluster: &ValidatedCluster, host: &str) -> IngressRule {
    IngressRule {
        host: Some(host.into()),
        http: Some(HTTPIngressRuleValue {
            paths: vec![HTTPIngressPath {
                path: Some(cluster.exposure.path.clone()),
                path_type: "Prefix".into(),
                backend: IngressBackend {
                    service: Some(IngressServiceBackend {
                        name: cluster.names.node(),
                        port: Some(ServiceBackendPort { name: Some(service::HTTP.into()), number: None }),
                    }),
                    resource: None,
                },
            }],
        }),
    }
}

fn annotations(cluster: &ValidatedCluster, spec: &exposure::Ingress) -> BTreeMap<String, String> {
    let sticky = &spec.sticky;
    let mut annotations = vec![
        // WebSockets and pending polls are idle between pings. The proxy must wait longer than the
        // server.
        ("proxy-read-timeout", SILENCE_SECONDS.to_string()),
        ("proxy-send-timeout", SILENCE_SECONDS.to_string()),
        // The longest message, as a POST of a polling client.
        ("proxy-body-size", cluster.max_request_bytes.to_string()),
        // A node that is full, shuts down or can't reach Redis answers 503 before it processes the
        // request, so the proxy may send even a POST to the next node.
        ("proxy-next-upstream", "error timeout http_503 non_idempotent".into()),
        // Limits the attempts when there are many nodes.
        ("proxy-next-upstream-tries", "3".into()),
    ];
    match sticky.mode {
        StickyMode::Cookie => annotations.extend([
            // All requests of a polling session must reach the node that holds it.
            ("affinity", "cookie".to_owned()),
            // Clients stay on their node when nodes are added; `balanced` would move some.
            ("affinity-mode", "persistent".into()),
            ("session-cookie-name", sticky.cookie_name.clone()),
            // Both, because old browsers support only Expires.
            ("session-cookie-max-age", sticky.max_age_seconds.to_string()),
            ("session-cookie-expires", sticky.max_age_seconds.to_string()),
            ("session-cookie-path", cluster.exposure.path.clone()),
            // The page and its sockets share an origin; pages of other sites do not need the
            // cookie.
            ("session-cookie-samesite", "Lax".into()),
            // With TLS, browsers must not send the cookie over plain HTTP.
            ("session-cookie-secure", spec.tls.is_some().to_string()),
            // If a node does not answer, the client gets another node and a new cookie. Traefik
            // ignores this annotation: there, a cookie is valid until its pod is removed from the
            // endpoints.
            ("session-cookie-change-on-failure", "true".into()),
        ]),
        StickyMode::ClientIP => {
            // Consistent hashing (ketama): few clients move when nodes come or go.
            annotations.push(("upstream-hash-by", "$remote_addr".into()));
        }
    }
    annotations.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect()
}
