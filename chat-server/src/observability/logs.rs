//! Logs: JSON for machines, plain lines for people. No message text, no token, no name.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain lines on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// Plain lines.
    Pretty,
}

/// Sets up logging for the process; `RUST_LOG` rules, `info` without it.
pub fn init(format: LogFormat) {
    // socketioxide and engineioxide print packets at debug, so that a broad RUST_LOG=debug must
    // not reach them.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let on_terminal = std::io::stdout().is_terminal();
    match format {
        LogFormat::Auto if on_terminal => logs.init(),
        LogFormat::Pretty => logs.with_ansi(on_terminal).init(),
        LogFormat::Auto | LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
