//! Distributed tracing with OpenTelemetry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Distributed tracing with OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    /// Endpoint of the OpenTelemetry collector, such as `http://otel-collector.monitoring:4317`:
    /// OTLP over gRPC, without TLS. If empty, the nodes export no traces.
    #[schemars(
        length(max = 255),
        regex(pattern = r"^(http://([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[1-9][0-9]{0,4})?)?$")
    )]
    pub otlp_endpoint: String,
    /// Fraction of messages to trace, from 0 to 1.
    #[schemars(length(max = 8), regex(pattern = r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$"))]
    pub sample_ratio: String,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { otlp_endpoint: String::new(), sample_ratio: "0.01".into() }
    }
}

impl Tracing {
    /// Port of the collector, if tracing is enabled.
    pub fn port(&self) -> Result<Option<u16>, std::num::ParseIntError> {
        let Some(authority) = self.otlp_endpoint.strip_prefix("http://") else { return Ok(None) };
        match authority.rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().map(Some),
            _ => Ok(Some(80)),
        }
    }
}
