//! What becomes of a message, from the socket to the sockets, told to a collector by OpenTelemetry.
//!
//! One message in so many is followed; it is decided where it comes in, and what is followed says so on the bus. Three
//! spans: `send room` from a request's being taken up to its being answered; below it `commit`, each time that the store
//! is asked to keep it; below that, on each node that hears it, `deliver room` until it is written to the last socket. There
//! is none for a socket. Nothing in them tells who said what where: no text, no name, no room, no address.

use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan,
};

use crate::domain::id::NodeId;
use crate::domain::message::EntryId;
use crate::domain::trace::Traceparent;
use crate::observability::metrics::Metrics;
use bounded::Bounded;

mod bounded;

/// Spans that wait for the collector; what comes beside them is dropped and counted.
const QUEUE: usize = 4096;
/// Spans told at once.
const BATCH: usize = 512;
/// How often what waits is told.
const EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node that ends waits for it.
const FLUSH: Duration = Duration::from_secs(2);

/// Which messages are followed, and where that is told.
#[derive(Debug, Clone, Copy)]
pub struct Tracing<'a> {
    /// The collector, as `http://HOST:PORT`.
    pub endpoint: &'a str,
    /// How many of all messages that come in here: 1 for each.
    pub ratio: f64,
    /// What the store is, as OpenTelemetry calls it, if it is outside of the process.
    pub store: Option<&'static str>,
}

/// The traces of a node. By default there are none, and they cost nothing.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Tracers>);

#[derive(Debug, Clone)]
struct Tracers {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    store: Option<&'static str>,
}

impl Traces {
    /// Traces that are told to a collector. It may be away; then they are dropped. Within the node's runtime.
    ///
    /// # Errors
    /// The endpoint can't be used.
    pub fn to(
        tracing: Tracing<'_>,
        node: &NodeId,
        metrics: Metrics,
    ) -> Result<Self, opentelemetry_otlp::ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(tracing.endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let (processor, exporter) = bounded::pair(exporter, QUEUE, metrics);
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded::new(batches, processor))
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(tracing.ratio))))
            .with_resource(resource(node))
            .build();
        let tracer = provider.tracer("chat-server");
        Ok(Self(Some(Tracers { tracer, provider, store: tracing.store })))
    }

    /// Somebody asks for a message to be sent: its span, if it is one that is followed.
    #[must_use]
    pub fn send(&self) -> Option<Followed> {
        let Tracers { tracer, .. } = self.0.as_ref()?;
        let builder = tracer.span_builder("send room").with_kind(SpanKind::Producer);
        let span = tracer.build_with_context(builder, &Context::new());
        Followed::of(span, || messaging("send", "send"))
    }

    /// The store is about to be asked to keep what is followed.
    #[must_use]
    pub fn commit(&self, parent: &Traceparent) -> Option<Followed> {
        let Tracers { tracer, store, .. } = self.0.as_ref()?;
        let kind = if store.is_some() { SpanKind::Client } else { SpanKind::Internal };
        let builder = tracer.span_builder("commit").with_kind(kind);
        let span = tracer.build_with_context(builder, &below(parent, false)?);
        Followed::of(span, || match store {
            Some(store) => {
                vec![KeyValue::new("db.system.name", *store), KeyValue::new("db.stored_procedure.name", "commit")]
            }
            None => Vec::new(),
        })
    }

    /// What is followed was heard, and goes to the sockets now.
    #[must_use]
    pub fn deliver(&self, parent: &Traceparent, entry: &EntryId) -> Option<Followed> {
        let Tracers { tracer, .. } = self.0.as_ref()?;
        let builder = tracer.span_builder("deliver room").with_kind(SpanKind::Consumer);
        let span = tracer.build_with_context(builder, &below(parent, true)?);
        Followed::of(span, || {
            let mut attributes = messaging("deliver", "process");
            attributes.push(message_id(entry));
            attributes
        })
    }

    /// Tells the collector what waits, within a bounded time; from then on nothing is followed.
    pub async fn end(self) {
        let Some(Tracers { provider, .. }) = self.0 else { return };
        let (done, ended) = tokio::sync::oneshot::channel();
        // A thread that nobody waits for: it must not hold the process.
        let flush = std::thread::Builder::new().name("traces-end".to_owned()).spawn(move || {
            let _ = done.send(provider.shutdown_with_timeout(FLUSH));
        });
        if flush.is_err() || !matches!(tokio::time::timeout(FLUSH * 2, ended).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last traces could not be told to the collector");
        }
    }
}

/// A span of what is followed. It ends when it is dropped.
#[derive(Debug)]
pub struct Followed(Box<SdkSpan>);

impl Followed {
    fn of(mut span: SdkSpan, attributes: impl FnOnce() -> Vec<KeyValue>) -> Option<Self> {
        if !span.is_recording() {
            return None;
        }
        span.set_attributes(attributes());
        Some(Self(Box::new(span)))
    }

    /// Its place in the trace, for what comes below it.
    #[must_use]
    pub fn traceparent(&self) -> Option<Traceparent> {
        let context = self.0.span_context();
        Traceparent::parse(&format!("00-{}-{}-01", context.trace_id(), context.span_id()))
    }

    /// A request was answered; `None` is a success.
    pub fn answered(self, refused: Option<&'static str>) {
        if let Some(code) = refused {
            self.failed(code);
        }
    }

    /// The store has answered, in a word, and has the entry.
    pub fn committed(mut self, outcome: &'static str, entry: Option<&EntryId>) {
        self.0.set_attribute(KeyValue::new("chat.commit.outcome", outcome));
        self.0.set_attributes(entry.map(message_id));
    }

    /// It came to nothing, for a reason from a closed list.
    pub fn failed(mut self, reason: &'static str) {
        self.0.set_attribute(KeyValue::new("error.type", reason));
        self.0.set_status(Status::error(reason));
    }

    /// So many sockets got it. Without this number nobody got it from the bus; those who miss it get it from the log.
    pub fn delivered(mut self, sockets: u64) {
        self.0.set_attribute(KeyValue::new("chat.recipients", i64::try_from(sockets).unwrap_or(i64::MAX)));
    }
}

fn messaging(name: &'static str, kind: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "chat"),
        KeyValue::new("messaging.operation.name", name),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.template", "room"),
    ]
}

fn message_id(entry: &EntryId) -> KeyValue {
    KeyValue::new("messaging.message.id", entry.to_string())
}

/// What is below a span, of this node or of another.
fn below(parent: &Traceparent, is_remote: bool) -> Option<Context> {
    let trace = TraceId::from_hex(parent.trace()).ok()?;
    let span = SpanId::from_hex(parent.span()).ok()?;
    let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, is_remote, TraceState::default());
    context.is_valid().then(|| Context::new().with_remote_span_context(context))
}

/// What sends: the environment's own `OTEL_RESOURCE_ATTRIBUTES` has the last word.
fn resource(node: &NodeId) -> Resource {
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            KeyValue::new("service.name", "chat-server"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", node.to_string()),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build()
}
