//! People talk: what a delivery costs, and how long it takes.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::crowd::{Crowd, Timed};
use crate::process::busy_seconds;
use crate::servers::{Servers, Stage};
use crate::shape::{Pace, Shape};

use super::Extent;

/// Above this share of its core, it is the generator that bounds, and not the servers.
pub(crate) const TOO_BUSY: f64 = 0.9;

/// Above this share of a core that others used, the figures are worth little.
const DISTURBED: f64 = 0.25;

/// How long what still travels may take after the last message.
const PATIENCE: Duration = Duration::from_secs(3);

/// What one run gave.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
    /// What others took of both cores meanwhile, in cores: where that is much, the figures are worth little.
    pub(crate) others_share: f64,
}

/// Starts the servers and a crowd, and measures.
pub(super) fn run(stage: &Stage, contender: &Contender, shape: &Shape, extent: &Extent) -> anyhow::Result<Figures> {
    let servers = stage.start(contender, contender.processes)?;
    let mut crowd = Crowd::new(contender.dialect(), shape.layout(), servers.addrs.clone(), shape.text)?;
    crowd.arrive()?;
    measure(&servers, &mut crowd, shape.pace, extent)
}

/// Measures a crowd that is there.
pub(super) fn measure(servers: &Servers, crowd: &mut Crowd, pace: Pace, extent: &Extent) -> anyhow::Result<Figures> {
    match pace {
        Pace::PerSecond(rate) => crowd.pace(rate),
        Pace::Full(window) => crowd.full_speed(window),
    }
    crowd.run_for(extent.warm_up)?;

    let (used, tally, own, busy, start) =
        (servers.used()?, crowd.tally(), own_seconds(), busy_seconds()?, Instant::now());
    crowd.measure(Timed::Deliveries);
    crowd.run_for(extent.measured)?;
    let latencies = crowd.measured();
    let (used_then, tally_then, seconds) = (servers.used()?, crowd.tally(), start.elapsed().as_secs_f64());
    let (own, busy) = (own_seconds() - own, busy_seconds()? - busy);

    crowd.drain(PATIENCE)?;
    let (faults, whole) = (crowd.ledger().faults(), crowd.tally());
    let deliveries = (tally_then.delivered - tally.delivered) as f64;
    let (cpu, redis) = (used_then.servers - used.servers, used_then.redis - used.redis);
    let commands = (used_then.commands - used.commands) as f64;
    Ok(Figures {
        cpu_us_per_delivery: (cpu + redis) * 1e6 / deliveries.max(1.0),
        redis_us_per_delivery: redis * 1e6 / deliveries.max(1.0),
        servers_share: (cpu + redis) / seconds,
        deliveries_per_second: deliveries / seconds,
        p50_ms: latencies.millis(0.5),
        p99_ms: latencies.millis(0.99),
        max_ms: latencies.longest_millis(),
        redis_commands_per_message: commands / ((tally_then.sent - tally.sent) as f64).max(1.0),
        rss_mib: servers.resident_kib()? as f64 / 1024.0,
        sent: whole.sent,
        delivered: whole.delivered,
        lost: faults.lost + faults.unanswered,
        duplicated: faults.duplicated,
        disordered: faults.disordered,
        refused: whole.refused,
        gaps: whole.gaps,
        ended: whole.ended,
        generator_share: own / seconds,
        others_share: ((busy - own - cpu - redis) / seconds).max(0.0),
    })
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} µs a delivery (Redis {:.2}), {:.0} deliveries/s, p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms, \
             servers {:.0} %, generator {:.0} %, {:.1} Redis commands a message, {:.1} MiB",
            self.cpu_us_per_delivery,
            self.redis_us_per_delivery,
            self.deliveries_per_second,
            self.p50_ms,
            self.p99_ms,
            self.max_ms,
            self.servers_share * 100.0,
            self.generator_share * 100.0,
            self.redis_commands_per_message,
            self.rss_mib,
        )?;
        for (what, count) in [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("out of order", self.disordered),
            ("refused", self.refused),
            ("gaps", self.gaps),
            ("connections ended", self.ended),
        ] {
            if count > 0 {
                write!(f, ", {count} {what} (of {} deliveries)", self.delivered)?;
            }
        }
        if self.generator_share > TOO_BUSY {
            write!(f, ", BOUND BY THE GENERATOR")?;
        }
        if self.others_share > DISTURBED {
            write!(f, ", DISTURBED: others used {:.0} % of a core", self.others_share * 100.0)?;
        }
        Ok(())
    }
}

/// Seconds of CPU that this process used so far.
fn own_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
