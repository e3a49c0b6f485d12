//! Logs: JSON for machines, plain lines on a terminal. No message text, no token, no name.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Sets up logging for the process; `RUST_LOG` rules, `info` without it.
pub fn init() {
    // socketioxide and engineioxide print packets at debug, so that a broad RUST_LOG=debug must
    // not reach them.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    if std::io::stdout().is_terminal() {
        logs.init();
    } else {
        logs.json().flatten_event(true).init();
    }
}
