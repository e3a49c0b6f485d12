//! One contender in one shape, measured once.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::contender::Contender;
use crate::crowd::Crowd;
use crate::servers::Stage;
use crate::shape::{Pace, Shape};

/// How long what still travels may take after the last message.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long each part takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What one run gave.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Of all servers and their Redis.
    pub(crate) cpu_us_per_delivery: f64,
    /// Of these, of Redis.
    pub(crate) redis_us_per_delivery: f64,
    /// How busy the servers' core was.
    pub(crate) servers_share: f64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) redis_commands_per_message: f64,
    pub(crate) rss_mib: f64,
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) disordered: u64,
    pub(crate) refused: u64,
    pub(crate) gaps: u64,
    /// Connections that ended.
    pub(crate) ended: u64,
    /// How busy the generator's own core was: near one, it is what bounds.
    pub(crate) generator_share: f64,
}

/// Starts the servers and a crowd, and measures.
pub(crate) fn run(stage: &Stage, contender: &Contender, shape: &Shape, times: Times) -> anyhow::Result<Figures> {
    let servers = stage.start(contender, contender.processes)?;
    let mut crowd = Crowd::new(contender.dialect(), shape.layout(), servers.addrs.clone(), shape.text)?;
    crowd.arrive()?;
    eprintln!("bench: {},{}: processes {:?}", contender.name, shape.name, servers.pids());
    match shape.pace {
        Pace::PerSecond(rate) => crowd.pace(rate),
        Pace::Full(window) => crowd.full_speed(window),
    }
    crowd.run_for(times.warm_up)?;

    let (used, tally, own, start) = (servers.used()?, crowd.tally(), own_seconds(), Instant::now());
    crowd.measure(true);
    crowd.run_for(times.measured)?;
    let latencies = crowd.measure(false);
    let (used_then, tally_then, own_then, seconds) =
        (servers.used()?, crowd.tally(), own_seconds(), start.elapsed().as_secs_f64());

    crowd.drain(PATIENCE)?;
    let (faults, whole) = (crowd.ledger().faults(), crowd.tally());
    let deliveries = (tally_then.delivered - tally.delivered) as f64;
    let (cpu, redis) = (used_then.servers - used.servers, used_then.redis - used.redis);
    let mut figures = Figures {
        cpu_us_per_delivery: (cpu + redis) * 1e6 / deliveries.max(1.0),
        redis_us_per_delivery: redis * 1e6 / deliveries.max(1.0),
        servers_share: (cpu + redis) / seconds,
        deliveries_per_second: deliveries / seconds,
        redis_commands_per_message: (used_then.commands - used.commands) as f64
            / ((tally_then.sent - tally.sent) as f64).max(1.0),
        rss_mib: servers.resident_kib()? as f64 / 1024.0,
        sent: whole.sent,
        delivered: whole.delivered,
        lost: faults.lost,
        duplicated: faults.duplicated,
        disordered: faults.disordered,
        refused: whole.refused,
        gaps: whole.gaps,
        ended: whole.ended,
        generator_share: (own_then - own) / seconds,
        ..Figures::default()
    };
    if let Some(latencies) = latencies {
        figures.p50_ms = latencies.millis(0.5);
        figures.p99_ms = latencies.millis(0.99);
        figures.max_ms = latencies.longest_millis();
    }
    Ok(figures)
}

/// Seconds of CPU that this process used so far.
fn own_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
