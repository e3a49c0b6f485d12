//! The benchmark: chat-server beside its peers, in turn, under the same clients.
//!
//! One thread is all clients (`crowd`), on a core of its own, so that nothing of what it does is counted as the
//! servers' work; it says itself how busy it was.

mod contender;
mod crowd;
mod dialect;
mod driver;
mod frame;
mod goals;
mod histogram;
mod ledger;
#[path = "../harness/lifted_limits.rs"]
mod lifted_limits;
mod options;
mod plot;
#[path = "../harness/ports.rs"]
#[allow(clippy::panic, reason = "shared with the tests, which report by panicking")]
mod ports;
mod process;
mod redis;
mod report;
mod results;
mod scenario;
mod servers;
mod shape;
mod stamp;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use contender::Contender;
use options::Options;
use scenario::{Extent, Scenario};
use servers::Stage;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.list {
        contender::ALL.iter().for_each(|contender| println!("{}: {}", contender.name, contender.title));
        Scenario::all().iter().for_each(|scenario| println!("{}: {}", scenario.name(), scenario.title()));
        return Ok(());
    }
    raise_limit()?;
    let mut extent = Extent::of(options.quick);
    if let Some(seconds) = options.seconds {
        extent.measured = Duration::from_secs_f64(seconds);
    }
    let stage = Stage::set(&options.out, options.only.is_some())?;
    match &options.only {
        Some(only) => run_only(&stage, &extent, only),
        None => driver::run(&stage, &extent, &options),
    }
}

/// One run, and its figures on one line.
fn run_only(stage: &Stage, extent: &Extent, only: &str) -> anyhow::Result<()> {
    let (contender, scenario) = only.split_once(',').context("--only CONTENDER,SCENARIO")?;
    let contender = Contender::of(contender).with_context(|| format!("no contender {contender}: see --list"))?;
    let scenario = Scenario::of(scenario).with_context(|| format!("no scenario {scenario}: see --list"))?;
    if let Some(lack) = stage.lacks(&contender) {
        bail!("{}: {lack}", contender.name);
    }
    println!("{only}: {}", report::line(&scenario.run(stage, &contender, extent)?));
    Ok(())
}

/// Thousands of connections are as many open files, of this process and of the servers, who inherit the limit.
fn raise_limit() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("the limit of open files")
}
