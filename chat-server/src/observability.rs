//! What a node tells its operators: metrics, traces and logs.

pub mod logs;
pub mod metrics;
pub mod store_clock;
pub mod traces;
