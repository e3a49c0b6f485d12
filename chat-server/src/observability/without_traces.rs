//! The traces of a program that is built without OpenTelemetry: there are none.

use crate::domain::id::NodeId;
use crate::domain::message::EntryId;
use crate::domain::trace::Traceparent;
use crate::observability::metrics::Metrics;

/// Which messages would be traced, and where they would be sent.
#[derive(Debug, Clone, Copy)]
pub struct Tracing<'a> {
    /// The collector.
    pub endpoint: &'a str,
    /// The share of messages.
    pub ratio: f64,
    /// What the store is.
    pub store: Option<&'static str>,
}

/// The traces of a node, as in a program that has them.
#[derive(Debug, Clone, Default)]
pub struct Traces {}

impl Traces {
    /// Refuses a collector.
    ///
    /// # Errors
    /// Always.
    pub fn to(_tracing: Tracing<'_>, _node: &NodeId, _metrics: Metrics) -> Result<Self, String> {
        Err("--otlp-endpoint needs the feature `otlp`, which `make run` builds without and `cargo build` with"
            .to_owned())
    }

    /// No request is followed.
    #[must_use]
    pub fn send(&self) -> Option<Followed> {
        None
    }

    /// Nor is a commit.
    #[must_use]
    pub fn commit(&self, _parent: &Traceparent) -> Option<Followed> {
        None
    }

    /// Nor is a delivery, whoever followed the message before.
    #[must_use]
    pub fn deliver(&self, _parent: &Traceparent, _entry: &EntryId) -> Option<Followed> {
        None
    }

    /// Nothing waits for a collector.
    pub async fn end(self) {}
}

/// A span: there can be none.
#[derive(Debug)]
pub enum Followed {}

impl Followed {
    /// Its place in the trace.
    #[must_use]
    pub fn traceparent(&self) -> Option<Traceparent> {
        match *self {}
    }

    /// A request was answered.
    pub fn answered(self, _refused: Option<&'static str>) {
        match self {}
    }

    /// The store has answered.
    pub fn committed(self, _outcome: &'static str, _entry: Option<&EntryId>) {
        match self {}
    }

    /// It came to nothing.
    pub fn failed(self, _reason: &'static str) {
        match self {}
    }

    /// So many sockets got it.
    pub fn delivered(self, _sockets: u64) {
        match self {}
    }
}
