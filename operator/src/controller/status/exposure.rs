//! Condition ExposureReady, and the endpoint.

use k8s_openapi::api::core::v1::Service;

use super::observed::{Finding, Observed};
use crate::api::reason::Reason;
use crate::api::spec::exposure::ServiceType;
use crate::controller::names::Names;

/// Whether the chat is reachable at its address.
pub(super) fn assess(observed: &Observed<'_>) -> Finding {
    let Some(service) = observed.service else {
        return Finding::new("Unknown", Reason::Unknown, "the Service does not exist yet");
    };
    if let Some(spec) = &observed.cluster.spec.exposure.ingress {
        if !observed.certificate_exists {
            let name = spec.tls.as_ref().map(|tls| tls.secret_name.as_str()).unwrap_or_default();
            return Finding::no(
                Reason::SecretNotFound,
                format!("spec.exposure.ingress.tls: Secret {name} does not exist"),
            );
        }
        let addresses = observed
            .ingress
            .and_then(|ingress| ingress.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref())
            .is_some_and(|addresses| !addresses.is_empty());
        return if addresses {
            Finding::yes(Reason::IngressReady, "")
        } else {
            Finding::no(
                Reason::IngressPending,
                format!("no ingress controller of class {} has admitted the Ingress yet", spec.class_name),
            )
        };
    }
    if observed.cluster.spec.exposure.service.type_ == ServiceType::LoadBalancer && load_balancer(service).is_none() {
        return Finding::no(Reason::LoadBalancerPending, "the Service has no address yet");
    }
    Finding::yes(Reason::ServiceReady, "")
}

/// Address of the chat.
pub(super) fn endpoint(observed: &Observed<'_>) -> Option<String> {
    let service = observed.service?;
    let path = observed.cluster.spec.exposure.address_path();
    if let Some(spec) = &observed.cluster.spec.exposure.ingress {
        let scheme = if spec.tls.is_some() { "https" } else { "http" };
        return spec.hosts.iter().find(|host| !host.starts_with('*')).map(|host| format!("{scheme}://{host}{path}"));
    }
    if let Some(address) = load_balancer(service) {
        return Some(format!("http://{address}{path}"));
    }
    let namespace = observed.cluster.metadata.namespace.as_deref().unwrap_or_default();
    Some(format!("http://{}.{namespace}.svc{path}", Names::of(observed.cluster).node()))
}

fn load_balancer(service: &Service) -> Option<String> {
    let first = service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?.first()?;
    first.hostname.clone().or_else(|| first.ip.clone())
}
