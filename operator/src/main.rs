//! The operator's command line.

use clap::{Parser, Subcommand};

/// Runs chats on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "operator", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the CustomResourceDefinition of ChatCluster, for `kubectl apply -f -`
    Crd,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Crd => print!("{}", operator::manifest::definition()?),
    }
    Ok(())
}
