//! The way in from outside, for controllers that read the annotations of ingress-nginx.

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
/// How long a proxy lets a connection be silent. The server speaks every 15 seconds and gives a client up after 60.
const SILENCE_SECONDS: i64 = 120;

/// The Ingress, if one was asked for.
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
                path: Some("/".into()),
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
        // An open WebSocket and a waiting poll are silent between the server's pings: the proxy must
        // be more patient than the server.
        ("proxy-read-timeout", SILENCE_SECONDS.to_string()),
        ("proxy-send-timeout", SILENCE_SECONDS.to_string()),
        // The longest message, as a POST of a polling client.
        ("proxy-body-size", cluster.max_request_bytes.to_string()),
        // A node that is full, that ends or that is away from Redis answers 503 before it has done
        // anything: the next one may be asked, with a POST too.
        ("proxy-next-upstream", "error timeout http_503 non_idempotent".into()),
        // All nodes may be asked but no more than a few: with many, one is bound to take the client.
        ("proxy-next-upstream-tries", "3".into()),
    ];
    match sticky.mode {
        StickyMode::Cookie => annotations.extend([
            // The polls of a session have to reach the node that has it.
            ("affinity", "cookie".to_owned()),
            // A client stays where it is when nodes are added; `balanced` would move some.
            ("affinity-mode", "persistent".into()),
            ("session-cookie-name", sticky.cookie_name.clone()),
            // Both, since old browsers know only Expires.
            ("session-cookie-max-age", sticky.max_age_seconds.to_string()),
            ("session-cookie-expires", sticky.max_age_seconds.to_string()),
            ("session-cookie-path", "/".into()),
            // The page and its sockets have one origin; nobody else's page needs the cookie.
            ("session-cookie-samesite", "Lax".into()),
            // A certificate, and so a browser that keeps the cookie off plain HTTP.
            ("session-cookie-secure", spec.tls.is_some().to_string()),
            // A node that does not answer is given up for another, and the cookie changed. (Traefik does not
            // know it: there a cookie holds until its pod is no longer an endpoint.)
            ("session-cookie-change-on-failure", "true".into()),
        ]),
        StickyMode::ClientIP => {
            // Ketama: few clients move when a node comes or goes.
            annotations.push(("upstream-hash-by", "$remote_addr".into()));
        }
    }
    annotations.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect()
}
