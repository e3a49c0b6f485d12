//! Keeps what waits for the collector within bounds, and counts what becomes of it: the library drops in silence.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

use crate::observability::metrics::{Metrics, Told};

/// How often it is said that the collector takes nothing.
const SAY: Duration = Duration::from_secs(60);

/// What the two ends of the queue have in common.
#[derive(Debug)]
pub(super) struct Queue {
    /// Spans that ended and are not told yet.
    waiting: AtomicUsize,
    most: usize,
    metrics: Metrics,
    /// Since when the collector takes nothing, and when that was said last.
    away: Mutex<Option<Instant>>,
}

impl Queue {
    fn count(&self, told: Told, spans: usize) {
        self.metrics.trace_spans.of(told).inc_by(spans as u64);
    }

    /// Whether there is room for one more; then it is taken.
    fn enter(&self) -> bool {
        let more = |waiting| (waiting < self.most).then_some(waiting + 1);
        let entered = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !entered {
            self.count(Told::Dropped, 1);
        }
        entered
    }

    fn left(&self, spans: usize, done: &OTelSdkResult) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        self.count(if done.is_ok() { Told::Exported } else { Told::Failed }, spans);
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(()) => {
                if away.take().is_some() {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                if away.is_none_or(|said| said.elapsed() > SAY) {
                    *away = Some(Instant::now());
                    tracing::warn!(%error, "the collector takes no traces; they are dropped");
                }
            }
        }
    }
}

/// An exporter that counts, and the queue to it.
pub(super) fn pair<E>(exporter: E, most: usize, metrics: Metrics) -> (Arc<Queue>, Counted<E>) {
    let queue = Arc::new(Queue { waiting: AtomicUsize::new(0), most, metrics, away: Mutex::new(None) });
    (queue.clone(), Counted { exporter, queue })
}

/// The end at which spans come in.
#[derive(Debug)]
pub(super) struct Bounded {
    batches: BatchSpanProcessor,
    queue: Arc<Queue>,
}

impl Bounded {
    /// `batches` has an exporter of the queue's.
    pub(super) fn new(batches: BatchSpanProcessor, queue: Arc<Queue>) -> Self {
        Self { batches, queue }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.queue.enter() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The end at which they are told.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    queue: Arc<Queue>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let done = self.exporter.export(batch).await;
        self.queue.left(spans, &done);
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
