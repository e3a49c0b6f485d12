//! What can be asked for.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::FalseyValueParser;

/// Measures chat-server beside what a user would pick instead: the servers and their Redis on one core, thousands of
/// clients on another.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Options {
    /// One run only, its figures on one line of stdout; without it, everything
    #[arg(long, value_name = "CONTENDER,SCENARIO")]
    pub(crate) only: Option<String>,

    /// Shorter, and one round instead of three
    #[arg(long, env = "QUICK", value_parser = FalseyValueParser::new())]
    pub(crate) quick: bool,

    /// How many seconds of each run are measured
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<f64>,

    /// Only these scenarios, separated by commas
    #[arg(long, value_name = "SCENARIOS", value_delimiter = ',')]
    pub(crate) scenarios: Vec<String>,

    /// Where results and logs go
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    pub(crate) out: PathBuf,

    /// Says which contenders and scenarios there are
    #[arg(long)]
    pub(crate) list: bool,
}
