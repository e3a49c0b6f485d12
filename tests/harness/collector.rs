//! A collector of traces: what a node sends to an OpenTelemetry collector, it gets and keeps.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span as Sent, status::StatusCode};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, async_trait};

use super::until;

/// A span as it came.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// The node that sent it.
    pub(crate) node: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty at the root.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) failed: bool,
    /// In nanoseconds since 1970.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// What the node says of itself.
    pub(crate) resource: BTreeMap<String, String>,
}

/// The collector; gone with the runtime of its test.
pub(crate) struct Collector {
    addr: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

struct Service(Arc<Mutex<Vec<Span>>>);

#[async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for of_node in request.into_inner().resource_spans {
            let resource = texts(of_node.resource.map(|resource| resource.attributes).unwrap_or_default());
            let sent = of_node.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(sent.map(|span| read(&resource, span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let addr = incoming.local_addr().expect("an address");
        let service = TraceServiceServer::new(Service(spans.clone()));
        tokio::spawn(Server::builder().serve_with_incoming(service, incoming));
        Self { addr, spans }
    }

    /// As `--otlp-endpoint` takes it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// All that came so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What came, once it is so many spans at least.
    pub(crate) async fn at_least(&self, count: usize) -> Vec<Span> {
        until(&format!("{count} spans come"), || async { Some(self.spans()).filter(|spans| spans.len() >= count) })
            .await
    }
}

fn read(resource: &BTreeMap<String, String>, span: Sent) -> Span {
    Span {
        node: resource.get("service.instance.id").cloned().unwrap_or_default(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind(),
        failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: texts(span.attributes),
        name: span.name,
        resource: resource.clone(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let value = match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key, value)
    };
    attributes.into_iter().map(text).collect()
}

/// The spans of one trace as a tree, each with when it began after the first, and how long it took.
pub(crate) fn tree(spans: &[Span]) -> String {
    let mut page = String::new();
    let begun = spans.iter().map(|span| span.start).min().unwrap_or_default();
    grow(&mut page, spans, "", 0, begun);
    page
}

fn grow(page: &mut String, spans: &[Span], parent: &str, depth: usize, begun: u64) {
    let mut below: Vec<&Span> = spans.iter().filter(|span| span.parent == parent).collect();
    below.sort_by_key(|span| span.start);
    for span in below {
        let (after, took) = ((span.start - begun) / 1000, span.end.saturating_sub(span.start) / 1000);
        let (indent, name) = ("  ".repeat(depth), &span.name);
        writeln!(
            page,
            "{indent}{name} ({:?}, {}) at {after} µs for {took} µs {:?}",
            span.kind, span.node, span.attributes
        )
        .expect("a string");
        grow(page, spans, &span.id, depth + 1, begun);
    }
}
