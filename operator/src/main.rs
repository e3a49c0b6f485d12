//! Command line of the operator.

use std::io::IsTerminal;

use clap::{Parser, Subcommand};
use operator::run::LogFormat;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

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
    // What RUST_LOG can't lift: dependencies log from `info` on. Below, they print what they carry, and that is Secrets.
    let dependencies = Targets::new().with_default(LevelFilter::INFO).with_target("operator", LevelFilter::TRACE);
    let lines = tracing_subscriber::fmt::layer();
    let on_terminal = std::io::stdout().is_terminal();
    let lines = match format {
        LogFormat::Auto if on_terminal => lines.boxed(),
        LogFormat::Pretty => lines.with_ansi(on_terminal).boxed(),
        LogFormat::Auto | LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    tracing_subscriber::registry().with(lines).with(filter).with(dependencies).init();
}
