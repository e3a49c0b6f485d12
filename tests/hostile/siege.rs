//! A run: people talk, first alone, then beside a hostile crowd, and alone again. Before the crowd goes, each of them does
//! what everybody can.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::attack::Attack;
use super::attacker::{Attackers, Target};
use super::curve;
use super::pace::Paces;
use super::tally::Tally;
use super::watch::{Sample, Seen, Watch};
use crate::harness::{INTERVAL, Spread};
use crate::history::crowd::Manner;
use crate::history::faults::carry_out;
use crate::history::ledger::ledger;
use crate::history::outcome::Outcome;
use crate::history::run::Plan;
use crate::history::schedule::schedule;
use crate::history::stage::Stage;
use crate::history::talk::{PATIENCE, Talk};

/// After this part of the attack, but not later than after five minutes, memory is to be flat.
const SETTLED: f64 = 1.0 / 3.0;
const SETTLED_AT_MOST: f64 = 300.0;

/// What to run.
pub(crate) struct Siege {
    /// The people, the nodes, and how long there are strangers.
    pub(crate) plan: Plan,
    /// How many strangers.
    pub(crate) strangers: usize,
    /// How fast each of them goes.
    pub(crate) paces: Paces,
    /// How long the people are alone, before and after: what else the machine does may change meanwhile.
    pub(crate) calm: Duration,
    /// How much longer they stay until each attack was refused as it has to be.
    pub(crate) patience: Duration,
    /// Where the curve of memory is kept.
    pub(crate) curve: Option<PathBuf>,
}

/// What came of it.
pub(crate) struct End {
    outcome: Outcome,
    /// Who could not do what everybody can.
    locked_out: Vec<String>,
    /// What was never refused as it has to be.
    pub(crate) unrefused: Vec<Attack>,
}

impl End {
    /// Fails where something was lost or somebody is locked out.
    pub(crate) fn must_be_clean(self) {
        let Self { outcome, locked_out, .. } = self;
        outcome.must_be_clean();
        assert!(locked_out.is_empty(), "{} are locked out: {locked_out:#?}", locked_out.len());
    }
}

/// Runs it.
pub(crate) async fn run(siege: &Siege) -> End {
    let plan = &siege.plan;
    let stage = Arc::new(Stage::start(plan).await);
    let &Plan { every, seed, .. } = plan;
    let rooms = stage.rooms.clone();
    let manner = Manner { urls: stage.urls(), rooms: rooms.clone(), every, seed, offers_again: false, beset: true };
    let mut talk = Talk::over(manner);
    talk.come(plan.people).await;
    talk.begin().await;
    let watch = Watch::start(stage.clone(), talk.crowd.clone());
    sleep(siege.calm).await;

    let ends = Instant::now() + plan.length;
    let target = Target { doors: stage.doors().await, people: talk.crowd.users().await, rooms };
    let attackers = Attackers::start(siege.strangers, siege.paces, target, seed);
    let tally = attackers.tally.clone();
    watch.beset(Some(tally.clone()));
    let carried = carry_out(&schedule(seed, plan.length, &plan.kinds), &stage, &talk.crowd, plan.people).await;
    sleep_until(ends).await;
    while !tally.unrefused().is_empty() && Instant::now() < ends + siege.patience {
        sleep(INTERVAL).await;
    }
    // Before the strangers go.
    let locked_out = talk.crowd.locked_out().await;
    drop(attackers);
    watch.beset(None);
    sleep(siege.calm).await;
    let seen = watch.end().await;

    let ended = talk.end(PATIENCE, async || stage.heads().await).await;
    let verdict = ended.judged(carried.outages, &carried.happened);
    if !verdict.offences.is_empty() || !locked_out.is_empty() {
        println!("{}", stage.last_words().await);
    }
    if let Some(folder) = &siege.curve {
        curve::keep(folder, &seen.samples);
    }
    let mut text = ledger(plan, &verdict, &carried.happened);
    text.push_str(&figures(&seen, &tally));
    writeln!(text, "  {:<22} {}", "locked out", locked_out.len()).expect("a text takes all");
    End { outcome: ended.outcome(text, verdict), locked_out, unrefused: tally.unrefused() }
}

/// What people, nodes and Redis had of it.
fn figures(seen: &Seen, tally: &Tally) -> String {
    let Seen { samples, refused } = seen;
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "  {name:<22} {value}").expect("a text takes all");
    let begun = samples.iter().position(|sample| sample.beset).unwrap_or(samples.len());
    let ended = samples.iter().rposition(|sample| sample.beset).map_or(begun, |last| last + 1);
    let (before, beset, after) = (&samples[..begun], &samples[begun..ended], &samples[ended..]);
    for (name, samples) in
        [("acks, people alone", before), ("acks, beside strangers", beset), ("acks, alone again", after)]
    {
        line(name, Spread::of(samples.iter().flat_map(|sample| &sample.acks).copied()).to_string());
    }
    line("refused to people", format!("{refused:?}"));
    let (first, last) = (beset.first(), beset.last());
    let (from, to) = (first.map_or(0.0, |sample| sample.at), last.map_or(0.0, |sample| sample.at));
    let settled = from + ((to - from) * SETTLED).min(SETTLED_AT_MOST);
    let growth = |name: &str, value: &dyn Fn(&Sample) -> f64| {
        let at = |sample: Option<&Sample>| sample.map_or(f64::NAN, value);
        let text = format!(
            "{:.1} before, {:.1} at {settled:.0} s, {:.1} at {to:.0} s, {:.1} at the end; a minute: {:+.3} from {settled:.0} s \
             on, {:+.3} with people alone",
            at(before.last()),
            at(beset.iter().find(|sample| sample.at >= settled)),
            at(last),
            at(samples.last()),
            curve::slope(beset, settled, value),
            curve::slope(before, 0.0, value),
        );
        (format!("{name}, MiB"), text)
    };
    let nodes = samples.first().map_or(0, |sample| sample.nodes.len());
    for node in 0..nodes {
        let (name, value) = growth(&format!("node {node}"), &|sample| sample.nodes[node]);
        line(&name, value);
    }
    let (name, value) = growth("Redis", &|sample| sample.redis);
    line(&name, value);
    line("what strangers did", format!("\n{tally}"));
    line("never refused", format!("{:?}", tally.unrefused()));
    text
}
