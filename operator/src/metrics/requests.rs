//! Counts and times requests to the API server.

use std::task::{Context, Poll};
use std::time::Instant;

use axum::http::{Method, Request, Response, Uri};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::Metrics;

/// A layer that counts the requests of a client.
#[derive(Clone)]
pub struct CountRequests(pub Metrics);

impl<S> Layer<S> for CountRequests {
    type Service = CountedService<S>;

    fn layer(&self, service: S) -> CountedService<S> {
        CountedService { service, metrics: self.0.clone() }
    }
}

/// The counted service.
#[derive(Clone)]
pub struct CountedService<S> {
    service: S,
    metrics: Metrics,
}

impl<S, A, B> Service<Request<A>> for CountedService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send,
    B: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let verb = verb(request.method(), request.uri());
        let (metrics, start) = (self.metrics.clone(), Instant::now());
        let response = self.service.call(request);
        response
            .inspect(move |response| {
                let code = response.as_ref().map_or("none", |response| code(response.status().as_u16()));
                metrics.inner.requests.with_label_values(&[verb, code]).inc();
                metrics.inner.request_duration.with_label_values(&[verb]).observe(start.elapsed().as_secs_f64());
            })
            .boxed()
    }
}

/// The Kubernetes verb of a request.
fn verb(method: &Method, uri: &Uri) -> &'static str {
    let mut parts = uri.path().trim_matches('/').split('/');
    let below = match parts.next() {
        // A version, or a group and a version.
        Some("api") => parts.next().is_some(),
        Some("apis") => parts.next().is_some() && parts.next().is_some(),
        _ => false,
    };
    let parts: Vec<&str> = parts.collect();
    let parts = match parts.as_slice() {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        parts => parts,
    };
    if !below || parts.is_empty() {
        return "other";
    }
    let watches = uri.query().unwrap_or_default().split('&').any(|pair| pair.starts_with("watch="));
    match *method {
        Method::GET if watches => "watch",
        Method::GET if parts.len() == 1 => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

fn code(status: u16) -> &'static str {
    match status {
        403 => "403",
        404 => "404",
        409 => "409",
        429 => "429",
        100..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{CODES, VERBS};
    use super::*;

    #[test]
    fn requests_are_counted_by_kubernetes_verb() {
        let cases = [
            (Method::GET, "/api/v1/namespaces/a/pods/b", "get"),
            (Method::GET, "/api/v1/namespaces/a/pods?limit=250", "list"),
            (Method::GET, "/apis/apps/v1/replicasets?&labelSelector=a&watch=true", "watch"),
            (Method::GET, "/api/v1/namespaces/a", "get"),
            (Method::GET, "/api/v1/namespaces", "list"),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events", "create"),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", "update"),
            (Method::PATCH, "/apis/chatcluster.dev/v1alpha1/namespaces/a/chatclusters/b/status", "patch"),
            (Method::DELETE, "/api/v1/namespaces/a/secrets/b", "delete"),
            (Method::GET, "/apis", "other"),
            (Method::GET, "/version", "other"),
        ];
        for (method, uri, expected) in cases {
            assert_eq!(verb(&method, &uri.parse().unwrap()), expected, "{method} {uri}");
            assert!(VERBS.contains(&expected));
        }
    }

    #[test]
    fn every_status_code_has_a_label() {
        for status in 100..600 {
            assert!(CODES.contains(&code(status)), "{status}");
        }
    }
}
