//! Looks at people, nodes and Redis every few seconds, and says each minute what it saw.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::tally::Tally;
use crate::harness::Spread;
use crate::history::crowd::{Crowd, Took};
use crate::history::stage::Stage;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(10);
/// How many looks a line tells of.
const LOOKS: usize = 6;
/// What nodes and Redis use is said in this.
const MIB: f64 = (1 << 20) as f64;

/// What was seen at a time.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Seconds since the begin.
    pub(super) at: f64,
    pub(super) beset: bool,
    pub(super) acks: Vec<f64>,
    /// MiB of each node.
    pub(super) nodes: Vec<f64>,
    /// MiB that Redis uses.
    pub(super) redis: f64,
    /// Keys in Redis.
    pub(super) keys: u64,
    /// Processes that wanted a core, on the average of a minute.
    pub(super) load: f64,
}

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) samples: Vec<Sample>,
    /// What was refused to the people.
    pub(super) refused: BTreeMap<String, u64>,
}

/// Who looks, until it is told to end.
pub(super) struct Watch {
    tally: watch::Sender<Option<Arc<Tally>>>,
    task: JoinHandle<Seen>,
}

impl Watch {
    pub(super) fn start(stage: Arc<Stage>, crowd: Arc<Crowd>) -> Self {
        let (tally, attack) = watch::channel(None);
        Self { tally, task: tokio::spawn(look(stage, crowd, attack)) }
    }

    /// From now on there are these strangers, or none.
    pub(super) fn beset(&self, tally: Option<Arc<Tally>>) {
        self.tally.send_replace(tally);
    }

    /// Ends it, after a last look.
    pub(super) async fn end(self) -> Seen {
        drop(self.tally);
        self.task.await.expect("who looks")
    }
}

async fn look(stage: Arc<Stage>, crowd: Arc<Crowd>, mut attack: watch::Receiver<Option<Arc<Tally>>>) -> Seen {
    let begun = Instant::now();
    let (mut seen, mut lines) = (Seen::default(), Lines::default());
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut goes_on = true;
    while goes_on {
        // What was seen until a change belongs to what was before it.
        let tally = attack.borrow_and_update().clone();
        tokio::select! {
            _ = ticks.tick() => {}
            changed = attack.changed() => goes_on = changed.is_ok(),
        }
        let Took { acks, refused } = crowd.took().await;
        let (nodes, (redis, keys)) = (memory(&stage).await, redis(&stage).await);
        let at = begun.elapsed().as_secs_f64();
        let sample = Sample { at, beset: tally.is_some(), acks, nodes, redis, keys, load: load() };
        for (what, count) in refused {
            *seen.refused.entry(what).or_default() += count;
        }
        lines.add(&sample, tally.as_deref());
        seen.samples.push(sample);
    }
    seen
}

/// Says something each minute.
#[derive(Default)]
struct Lines {
    looks: usize,
    acks: Vec<f64>,
    /// What had been refused before the minute.
    before: BTreeMap<String, u64>,
}

impl Lines {
    fn add(&mut self, sample: &Sample, tally: Option<&Tally>) {
        self.acks.extend(&sample.acks);
        self.looks += 1;
        if self.looks < LOOKS {
            return;
        }
        self.looks = 0;
        let acks = std::mem::take(&mut self.acks);
        let mut line = format!(
            "{:>5.0} s{} acks {}, nodes {} MiB, redis {:.1} MiB, {} keys, load {:.1}",
            sample.at,
            if sample.beset { ", beset:" } else { ", calm: " },
            Spread::of(acks),
            sample.nodes.iter().map(|node| format!("{node:.0}")).collect::<Vec<_>>().join(" "),
            sample.redis,
            sample.keys,
            sample.load,
        );
        let refused = tally.map(Tally::refused).unwrap_or_default();
        for (told, count) in &refused {
            let more = count - self.before.get(told).unwrap_or(&0);
            if more > 0 {
                let _ = write!(line, "; {more} {told}");
            }
        }
        self.before = refused;
        println!("{line}");
    }
}

async fn memory(stage: &Stage) -> Vec<f64> {
    let mut all = Vec::new();
    for node in &stage.nodes {
        all.push(mib(node.lock().await.memory()));
    }
    all
}

async fn redis(stage: &Stage) -> (f64, u64) {
    let redis = stage.store.one().lock().await.asked();
    let info = redis.ask(&["INFO", "memory"]).await.concat();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let used = used.and_then(|bytes| bytes.trim().parse().ok()).expect("used_memory");
    (mib(used), redis.ask(&["DBSIZE"]).await[0].parse().expect("a number"))
}

#[allow(clippy::cast_precision_loss, reason = "some gigabytes at most")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}
