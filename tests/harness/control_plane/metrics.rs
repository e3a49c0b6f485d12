//! `metrics.k8s.io`, as a metrics-server has it: what Pods use, for the controller of HorizontalPodAutoscalers and for
//! `kubectl top`. It is the harness itself that answers; the API server has checked before who asks.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as At, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::kubelet::{PodUsage, Usages};
use super::network::API_SERVER;
use super::tls::Encrypted;
use super::until_object;

/// The Service that the API server is told of; its certificate has the name.
pub(super) const SERVICE: &str = "metrics-server";
const NAMESPACE: &str = "kube-system";
/// What it is in the certificate.
pub(super) const SERVER_NAME: &str = "metrics-server.kube-system.svc";
const PORT: u16 = 4443;
const API: &str = "v1beta1.metrics.k8s.io";
const VERSION: &str = "metrics.k8s.io/v1beta1";

/// Serves it as long as the cluster lives. The API server may not have found it yet: see [`available`].
pub(super) async fn start(client: Client, usages: Arc<Usages>, folder: &Path) {
    let address: SocketAddr = (API_SERVER.parse::<std::net::Ipv4Addr>().expect("an address"), PORT).into();
    let listener = TcpListener::bind(address).await.expect("the port for metrics");
    let router = Router::new()
        .route("/apis/metrics.k8s.io/v1beta1", get(resources))
        .route("/apis/metrics.k8s.io/v1beta1/pods", get(all))
        .route("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods", get(list))
        .route("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/{name}", get(one))
        .with_state(Server { client: client.clone(), usages });
    let listener = Encrypted::new(listener, folder, SERVICE);
    tokio::spawn(async move { axum::serve(listener, router).await });
    register(&client, folder).await;
}

/// Waits until the API server answers for it: nobody is to find a group of which it can't say what is in it.
pub(super) async fn available(client: &Client) {
    let services: Api<APIService> = Api::all(client.clone());
    until_object(&services, API, "is available", |service| {
        let conditions = service.and_then(|service| service.status.as_ref()?.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Available" && condition.status == "True")
    })
    .await;
}

/// Tells the API server where it is. A Service without a selector: its one endpoint is no Pod.
async fn register(client: &Client, folder: &Path) {
    let post = PostParams::default();
    let service = json!({
        "metadata": {"name": SERVICE},
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": PORT}]},
    });
    let service: Service = serde_json::from_value(service).expect("a Service");
    Api::namespaced(client.clone(), NAMESPACE).create(&post, &service).await.expect("a Service");
    let slice = json!({
        "metadata": {"name": SERVICE, "labels": {"kubernetes.io/service-name": SERVICE}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [API_SERVER], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": PORT, "protocol": "TCP"}],
    });
    let slice: EndpointSlice = serde_json::from_value(slice).expect("an EndpointSlice");
    Api::namespaced(client.clone(), NAMESPACE).create(&post, &slice).await.expect("an EndpointSlice");
    let authority = std::fs::read(folder.join("ca.crt")).expect("the authority's certificate");
    let mut api: APIService = serde_json::from_value(json!({
        "metadata": {"name": API},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": SERVICE, "namespace": NAMESPACE, "port": 443},
        },
    }))
    .expect("an APIService");
    api.spec.get_or_insert_default().ca_bundle = Some(k8s_openapi::ByteString(authority));
    Api::all(client.clone()).create(&post, &api).await.expect("an APIService");
}

/// What answers need.
#[derive(Clone)]
struct Server {
    client: Client,
    usages: Arc<Usages>,
}

/// Which Pods are asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selectors {
    label_selector: Option<String>,
    field_selector: Option<String>,
}

async fn resources() -> Json<Value> {
    Json(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": VERSION,
        "resources": [
            {"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"]},
        ],
    }))
}

async fn all(State(server): State<Server>, Query(selectors): Query<Selectors>) -> Response {
    server.list(&Api::all(server.client.clone()), selectors).await
}

async fn list(State(server): State<Server>, At(namespace): At<String>, Query(selectors): Query<Selectors>) -> Response {
    server.list(&Api::namespaced(server.client.clone(), &namespace), selectors).await
}

async fn one(State(server): State<Server>, At((namespace, name)): At<(String, String)>) -> Response {
    let pods: Api<Pod> = Api::namespaced(server.client.clone(), &namespace);
    match pods.get_metadata_opt(&name).await {
        Ok(Some(pod)) => match server.metrics(&pod.metadata) {
            Some(metrics) => Json(metrics).into_response(),
            None => missing(&namespace, &name),
        },
        Ok(None) => missing(&namespace, &name),
        Err(error) => broken(&error),
    }
}

impl Server {
    async fn list(&self, pods: &Api<Pod>, selectors: Selectors) -> Response {
        let Selectors { label_selector, field_selector } = selectors;
        let params = ListParams { label_selector, field_selector, ..ListParams::default() };
        let pods = match pods.list_metadata(&params).await {
            Ok(pods) => pods,
            Err(error) => return broken(&error),
        };
        let items: Vec<Value> = pods.iter().filter_map(|pod| self.metrics(&pod.metadata)).collect();
        Json(json!({"kind": "PodMetricsList", "apiVersion": VERSION, "metadata": {}, "items": items})).into_response()
    }

    /// Nothing for a Pod of which too little was seen yet.
    fn metrics(&self, pod: &ObjectMeta) -> Option<Value> {
        let (namespace, name) = (pod.namespace.clone()?, pod.name.clone()?);
        let PodUsage { until, window, containers } = self.usages.of(&namespace, &name)?;
        let containers: Vec<Value> = containers
            .iter()
            .map(|(name, usage)| {
                let memory = format!("{}Ki", usage.bytes / 1024);
                json!({"name": name, "usage": {"cpu": format!("{}n", usage.nanocores), "memory": memory}})
            })
            .collect();
        Some(json!({
            "kind": "PodMetrics",
            "apiVersion": VERSION,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "creationTimestamp": pod.creation_timestamp,
                "labels": pod.labels.clone().unwrap_or_default(),
            },
            "timestamp": until,
            "window": format!("{}ms", window.as_millis()),
            "containers": containers,
        }))
    }
}

fn missing(namespace: &str, name: &str) -> Response {
    let message = format!("podmetrics.metrics.k8s.io \"{namespace}/{name}\" not found");
    failure(StatusCode::NOT_FOUND, "NotFound", &message)
}

fn broken(error: &kube::Error) -> Response {
    failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &error.to_string())
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": message,
    });
    (code, Json(status)).into_response()
}
