//! What a node tells its operators: metrics, traces and logs.

pub mod logs;
pub mod metrics;
pub mod store_clock;
pub mod throttle;
#[cfg(feature = "otlp")]
pub mod traces;
#[cfg(not(feature = "otlp"))]
#[path = "observability/without_traces.rs"]
pub mod traces;
