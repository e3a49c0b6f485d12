//! What the node tells of itself.

use clap::Args;

use crate::observability::logs::LogFormat;

/// The options of logs and traces.
#[derive(Debug, Clone, Args)]
pub struct TelemetryOptions {
    /// Format of the logs: json, pretty (plain lines), or auto (pretty on a terminal, else json)
    #[arg(long, env = "CHAT_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// OpenTelemetry collector that receives traces, such as http://host:4317 (OTLP over gRPC,
    /// without TLS). If unset, traces are off. OTEL_RESOURCE_ATTRIBUTES and
    /// OTEL_EXPORTER_OTLP_HEADERS are used; OTEL_EXPORTER_OTLP_ENDPOINT is ignored
    #[arg(long, env = "CHAT_OTLP_ENDPOINT", value_name = "URL", value_parser = parse_collector)]
    pub otlp_endpoint: Option<String>,

    /// Share of messages that are traced, from 0 to 1. All nodes trace the same messages
    #[arg(long, env = "CHAT_TRACE_SAMPLE_RATIO", value_name = "RATIO", default_value = "0.01", value_parser = parse_ratio)]
    pub trace_sample_ratio: f64,
}

fn parse_collector(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // What follows a colon that is in no address is a port; it is none where the URI has none.
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    if has_port && uri.port_u16().is_none_or(|port| port == 0) {
        return Err("a port is a number from 1 to 65535".to_owned());
    }
    match uri.scheme_str() {
        Some("http") if uri.path() == "/" && uri.query().is_none() => Ok(text.to_owned()),
        Some("https") => {
            Err("traces are sent without TLS: name a collector in the same network, by http://".to_owned())
        }
        _ => Err("a collector is http://, a host and a port, such as http://otel-collector:4317".to_owned()),
    }
}

fn parse_ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err("from 0, for none, to 1, for all".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_reached_by_http_and_nothing_else() {
        assert!(parse_collector("http://otel-collector.monitoring:4317").is_ok());
        for bad in [
            "https://a:4317",
            "a:4317",
            "http://a:4317/v1/traces",
            "grpc://a:4317",
            "http://",
            "",
            "http://a:99999",
            "http://a:0",
            "http://a:",
        ] {
            assert!(parse_collector(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_ratio_is_between_none_and_all() {
        assert_eq!(parse_ratio("0.01"), Ok(0.01));
        for bad in ["-0.1", "1.01", "NaN", "1%", ""] {
            assert!(parse_ratio(bad).is_err(), "{bad}");
        }
    }
}
