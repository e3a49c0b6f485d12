//! A run: people talk, things go wrong, all catch up, and it is judged.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::crowd::Manner;
use super::faults::{Carried, carry_out};
use super::judge::{Check, Offence};
use super::ledger::{ledger, tally};
use super::now;
use super::outcome::Outcome;
use super::schedule::{Kind, schedule};
use super::stage::{InjectedFault, Limits, Over, Stage};
use super::talk::{PATIENCE, Talk};

/// How long people may take to catch up where a bug is injected.
const PATIENCE_WITH_A_FAULT: Duration = Duration::from_secs(10);
/// What share of the sends must be acked in time in a long run, in percent.
const IN_TIME: f64 = 99.0;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) nodes: usize,
    pub(crate) people: u32,
    pub(crate) rooms: usize,
    /// How often a person says something.
    pub(crate) every: Duration,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) over: Over,
    /// People send again what they are told that the store has lost of theirs.
    pub(crate) offers_again: bool,
    /// People connect to nginx, not to the nodes themselves.
    pub(crate) behind_nginx: bool,
    pub(crate) limits: Limits,
    /// Whether acks have to come in time: not where the machine is busy with other tests.
    pub(crate) timed: bool,
    pub(crate) injected: Option<InjectedFault>,
}

/// Runs it.
pub(crate) async fn run(plan: &Plan) -> Outcome {
    let stage = Arc::new(Stage::start(plan).await);
    let &Plan { every, seed, offers_again, .. } = plan;
    let manner = Manner { urls: stage.urls(), rooms: stage.rooms.clone(), every, seed, offers_again, beset: false };
    let mut talk = Talk::over(manner);
    talk.come(plan.people).await;

    talk.begin().await;
    let ends = Instant::now() + plan.length;
    let faults = schedule(plan.seed, plan.length, &plan.kinds);
    println!("seed {}: {} faults in {} s", plan.seed, faults.len(), plan.length.as_secs());
    let Carried { happened, outages } = carry_out(&faults, &stage, &talk.crowd, plan.people).await;
    tokio::time::sleep_until(ends).await;

    // Some bugs are that nobody ever catches up.
    let patience = if plan.injected.is_some() { PATIENCE_WITH_A_FAULT } else { PATIENCE };
    let ended = talk.end(patience, async || stage.heads().await).await;
    let mut verdict = ended.judged(outages, &happened);
    let mut offend = |check, what| verdict.offences.push(Offence { check, at: now(), what });
    for (kind, (fired, hits)) in tally(&happened) {
        if hits == 0 {
            offend(Check::IdleFault, format!("{kind:?} was carried out {fired} times and hit nothing"));
        }
    }
    if plan.timed && verdict.times.in_time_unhindered.percent() < IN_TIME {
        offend(Check::LateAcks, format!("{:?} were acked in time", verdict.times.in_time_unhindered));
    }
    // Of a bug that was not found, the nodes may have healed what it did.
    if !verdict.offences.is_empty() || plan.injected.is_some() {
        println!("{}", stage.last_words().await);
    }
    ended.outcome(ledger(plan, &verdict, &happened), verdict)
}
