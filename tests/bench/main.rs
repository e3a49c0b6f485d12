//! The benchmark: chat-server beside its peers, in turn, under the same clients.
//!
//! One thread is all clients (`crowd`), on a core of its own, so that nothing of what it does is counted as the
//! servers' work; it says itself how busy it was.

mod contender;
mod crowd;
mod dialect;
mod frame;
mod histogram;
mod ledger;
mod measure;
mod options;
#[path = "../harness/ports.rs"]
#[allow(clippy::panic, reason = "shared with the tests, which report by panicking")]
mod ports;
mod process;
mod redis;
mod servers;
mod shape;
mod stamp;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use contender::Contender;
use measure::{Figures, Times};
use options::Options;
use servers::Stage;
use shape::Shape;

/// A little more than this is too busy to say how fast the servers are.
const TOO_BUSY: f64 = 0.9;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.list {
        contender::ALL.iter().for_each(|contender| println!("{}: {}", contender.name, contender.title));
        shape::ALL.iter().for_each(|shape| println!("{}: {}", shape.name, shape.title));
        return Ok(());
    }
    raise_limit()?;
    let stage = Stage::set(&options.out)?;
    let Some(only) = &options.only else { bail!("only --only is there so far") };
    run_only(&stage, &options, only)
}

/// One run, and its figures on one line.
fn run_only(stage: &Stage, options: &Options, only: &str) -> anyhow::Result<()> {
    let (contender, shape) = only.split_once(',').context("--only CONTENDER,SHAPE")?;
    let contender = Contender::of(contender).with_context(|| format!("no contender {contender}: see --list"))?;
    let shape = Shape::of(shape).with_context(|| format!("no shape {shape}: see --list"))?;
    if let Some(lack) = stage.lacks(&contender) {
        bail!("{}: {lack}", contender.name);
    }
    let figures = measure::run(stage, &contender, &shape, times(options))?;
    println!("{},{}: {}", contender.name, shape.name, line(&figures));
    Ok(())
}

fn times(options: &Options) -> Times {
    let measured = options.seconds.unwrap_or(if options.quick { 2.0 } else { 4.0 });
    Times { warm_up: Duration::from_secs(1), measured: Duration::from_secs_f64(measured) }
}

/// The figures of one run, for people.
fn line(figures: &Figures) -> String {
    let Figures { cpu_us_per_delivery: cpu, redis_us_per_delivery: redis, .. } = figures;
    let mut line = format!(
        "{cpu:.2} µs a delivery (Redis {redis:.2}), {:.0} deliveries/s, p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms, \
         servers {:.0} %, generator {:.0} %, {:.1} Redis commands a message, {:.1} MiB",
        figures.deliveries_per_second,
        figures.p50_ms,
        figures.p99_ms,
        figures.max_ms,
        figures.servers_share * 100.0,
        figures.generator_share * 100.0,
        figures.redis_commands_per_message,
        figures.rss_mib,
    );
    for (what, count) in [
        ("lost", figures.lost),
        ("duplicated", figures.duplicated),
        ("out of order", figures.disordered),
        ("refused", figures.refused),
        ("gaps", figures.gaps),
        ("connections ended", figures.ended),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what} (of {} deliveries)", figures.delivered));
        }
    }
    if figures.generator_share > TOO_BUSY {
        line.push_str(", BOUND BY THE GENERATOR");
    }
    line
}

/// Thousands of connections are as many open files, of this process and of the servers, who inherit the limit.
fn raise_limit() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("the limit of open files")
}
