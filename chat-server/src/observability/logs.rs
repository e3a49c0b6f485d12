//! Logs: JSON for machines, plain lines for people. No message text, no token, no name.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

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
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    let on_terminal = std::io::stdout().is_terminal();
    let lines = match format {
        LogFormat::Auto if on_terminal => lines.boxed(),
        LogFormat::Pretty => lines.with_ansi(on_terminal).boxed(),
        LogFormat::Auto | LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines).with(filter).with(dependencies()).init();
}

/// What `RUST_LOG` can't lift: dependencies log from `info` on. Below, several print what they carry: packets, frames,
/// headers and commands, with texts, tokens and passwords in them. None is named, so that a new one is held as well.
fn dependencies() -> Targets {
    Targets::new().with_default(LevelFilter::INFO).with_target("chat_server", LevelFilter::TRACE)
}
