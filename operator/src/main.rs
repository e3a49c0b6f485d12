//! Command line of the operator.

use std::io::IsTerminal;

use clap::{Parser, Subcommand};
use operator::run::LogFormat;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Kubernetes operator for ChatClusters
#[derive(Debug, Parser)]
#[command(name = "operator", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator. Logs go to standard output; RUST_LOG sets the log level
    Run(operator::run::Options),
    /// Print the CustomResourceDefinition of ChatCluster as YAML
    Crd,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Crd => print!("{}", operator::manifest::crd_manifest()?),
        Command::Run(options) => {
            log(options.log_format);
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(run(options))?;
        }
    }
    Ok(())
}

async fn run(options: operator::run::Options) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    };
    operator::run::run(options, stop).await?;
    Ok(())
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter);
    let on_terminal = std::io::stdout().is_terminal();
    match format {
        LogFormat::Auto if on_terminal => logs.init(),
        LogFormat::Pretty => logs.with_ansi(on_terminal).init(),
        LogFormat::Auto | LogFormat::Json => {
            logs.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
        }
    }
}
