//! Who reads: what was said long ago, or nothing for a while.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contender::Contender;
use crate::crowd::{Crowd, Layout, Timed};
use crate::servers::Stage;

use super::Extent;

/// What there is to read: rooms with this many members, and messages.
const ROOMS: usize = 50;
const MEMBERS: usize = 10;
const MESSAGES: u64 = 200;

/// How long it may take to have been said.
const PATIENCE: Duration = Duration::from_secs(60);

/// What reading takes.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct History {
    reads_per_second: f64,
    cpu_us_per_read: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// All members of all rooms read the last 50 messages of theirs, again and again.
pub(super) fn history(stage: &Stage, contender: &Contender, extent: &Extent) -> anyhow::Result<History> {
    let servers = stage.start(contender, contender.processes)?;
    let mut crowd = Crowd::new(contender.dialect(), Layout::apart(ROOMS, MEMBERS), servers.addrs.clone(), 200)?;
    crowd.arrive()?;
    crowd.full_speed(4);
    crowd.until("enough is said", PATIENCE, |crowd| crowd.tally().acked >= MESSAGES * ROOMS as u64)?;
    crowd.drain(PATIENCE)?;
    crowd.read_history();
    crowd.run_for(extent.warm_up)?;

    let (used, read, start) = (servers.used()?, crowd.tally().read, Instant::now());
    crowd.measure(Timed::Reads);
    crowd.run_for(extent.measured)?;
    let times = crowd.measured();
    let (then, reads) = (servers.used()?, (crowd.tally().read - read) as f64);
    Ok(History {
        reads_per_second: reads / start.elapsed().as_secs_f64(),
        cpu_us_per_read: (then.servers + then.redis - used.servers - used.redis) * 1e6 / reads.max(1.0),
        p50_ms: times.millis(0.5),
        p99_ms: times.millis(0.99),
    })
}

/// A room in which some read nothing, and how much text passes them: more than a kernel keeps for anyone.
const LISTENERS: usize = 200;
const SLEEPERS: usize = 20;
const TEXT: usize = 12_000;
const RATE: f64 = 40.0;
const ASLEEP: Duration = Duration::from_secs(6);

/// What that is to the others, to the servers and to themselves.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Slow {
    /// Of those who read.
    p50_ms: f64,
    p99_ms: f64,
    /// With all awake.
    p99_awake_ms: f64,
    /// By which the servers grew.
    mib_more: f64,
    lost: u64,
    duplicated: u64,
    disordered: u64,
    gaps: u64,
    ended: u64,
}

/// Some members of a busy room read nothing for a while, and then all of it.
pub(super) fn slow(stage: &Stage, contender: &Contender, extent: &Extent) -> anyhow::Result<Slow> {
    let servers = stage.start(contender, contender.processes)?;
    // Who sleeps does not send.
    let layout = Layout { senders: 1, ..Layout::apart(1, LISTENERS) };
    let mut crowd = Crowd::new(contender.dialect(), layout, servers.addrs.clone(), TEXT)?;
    crowd.arrive()?;
    crowd.pace(RATE);
    crowd.run_for(extent.warm_up)?;
    crowd.measure(Timed::Deliveries);
    crowd.run_for(extent.measured)?;
    let awake = crowd.measured();

    let before = servers.resident_kib()?;
    crowd.fall_asleep(LISTENERS - SLEEPERS..LISTENERS)?;
    crowd.measure(Timed::Deliveries);
    crowd.run_for(ASLEEP)?;
    let times = crowd.measured();
    let then = servers.resident_kib()?;
    crowd.wake_up(LISTENERS - SLEEPERS..LISTENERS)?;
    crowd.drain(ASLEEP)?;
    let (tally, faults) = (crowd.tally(), crowd.ledger().faults());
    Ok(Slow {
        p50_ms: times.millis(0.5),
        p99_ms: times.millis(0.99),
        p99_awake_ms: awake.millis(0.99),
        mib_more: (then as f64 - before as f64) / 1024.0,
        lost: faults.lost + faults.unanswered,
        duplicated: faults.duplicated,
        disordered: faults.disordered,
        gaps: tally.gaps,
        ended: tally.ended,
    })
}
