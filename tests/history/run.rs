//! A run: people talk, things go wrong, all catch up, and it is judged.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::crowd::{Crowd, Status};
use super::faults::{Carried, carry_out};
use super::judge::{Check, Offence, Store, Verdict, judge};
use super::ledger::{ledger, offences, tally};
use super::now;
use super::schedule::{Kind, schedule};
use super::stage::{Planted, Stage};

/// How long people may take to come in, to have their sends acked, and to catch up.
const PATIENCE: Duration = Duration::from_secs(90);
/// And where a bug is planted.
const PATIENCE_WITH_A_BUG: Duration = Duration::from_secs(20);
/// How often people are asked how they are.
const LOOK: Duration = Duration::from_millis(250);
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
    /// People connect to nginx, not to the nodes themselves.
    pub(crate) behind_nginx: bool,
    /// Whether acks have to come in time: not where the machine is busy with other tests.
    pub(crate) timed: bool,
    pub(crate) planted: Option<Planted>,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) ledger: String,
    /// When the talk began.
    pub(crate) begun: u64,
    accounts: PathBuf,
}

impl Outcome {
    /// Fails where a promise was broken, and keeps the accounts; otherwise they go.
    pub(crate) fn must_be_clean(self) {
        println!("{}", self.ledger);
        if self.verdict.offences.is_empty() {
            self.forget();
            return;
        }
        panic!(
            "promises were broken:\n{}the talk began at {}; all accounts are in {}",
            offences(&self.verdict),
            self.begun,
            self.accounts.display()
        );
    }

    /// Removes the accounts.
    pub(crate) fn forget(self) {
        std::fs::remove_dir_all(&self.accounts).expect("to remove the accounts");
    }
}

/// Waits until people are as they should be; answers what they are if they don't come to it.
async fn until(
    crowd: &Crowd,
    patience: Duration,
    targets: &Value,
    reached: impl Fn(&Status) -> bool,
) -> Result<(), Status> {
    let end = Instant::now() + patience;
    loop {
        let status = crowd.status(targets).await;
        if reached(&status) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(status);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Runs it.
pub(crate) async fn run(plan: &Plan) -> Outcome {
    let accounts = tempfile::TempDir::with_prefix("chatcluster-history-").expect("a folder for the accounts").keep();
    let stage = Arc::new(Stage::start(plan.nodes, plan.rooms, plan.behind_nginx, plan.planted.as_ref()).await);
    let every = u64::try_from(plan.every.as_millis()).expect("a short pause");
    let crowd = Arc::new(Crowd::start(plan.people, every, plan.seed, &stage, &accounts));
    let came = until(&crowd, PATIENCE, &json!({}), |status| status.entered == plan.people).await;
    came.unwrap_or_else(|status| panic!("not all people came in: {status:?}"));

    let begun = now();
    crowd.talk().await;
    let ends = Instant::now() + plan.length;
    let faults = schedule(plan.seed, plan.length, &plan.kinds);
    println!("seed {}: {} faults in {} s", plan.seed, faults.len(), plan.length.as_secs());
    let Carried { happened, outages } = carry_out(&faults, &stage, &crowd, plan.people).await;
    tokio::time::sleep_until(ends).await;
    crowd.quiet().await;

    // Some bugs are that nobody ever catches up.
    let patience = if plan.planted.is_some() { PATIENCE_WITH_A_BUG } else { PATIENCE };
    let mut unfinished = Vec::new();
    if let Err(status) = until(&crowd, patience, &json!({}), |status| status.waiting == 0).await {
        unfinished.push(format!("sends without an ack: {status:?}"));
    }
    let heads = stage.heads(&*stage.redis.lock().await).await;
    let targets = heads.iter().map(|(room, head)| (room.clone(), head.top.into())).collect::<serde_json::Map<_, _>>();
    if let Err(status) = until(&crowd, patience, &Value::Object(targets), |status| status.behind == 0).await {
        unfinished.push(format!("not all caught up: {status:?}"));
    }
    let crowd = Arc::into_inner(crowd).expect("nobody else has the people");
    let lines = crowd.end().await;

    let mut verdict = judge(&lines, &Store { outages, heads }, &happened);
    let mut offend = |check, what| verdict.offences.push(Offence { check, at: now(), what });
    for what in unfinished {
        offend(Check::Unfinished, what);
    }
    for (kind, (fired, hits)) in tally(&happened) {
        if hits == 0 {
            offend(Check::IdleFault, format!("{kind:?} was carried out {fired} times and hit nothing"));
        }
    }
    if plan.timed && verdict.times.in_time_unhindered.percent() < IN_TIME {
        offend(Check::LateAcks, format!("{:?} were acked in time", verdict.times.in_time_unhindered));
    }
    if !verdict.offences.is_empty() {
        println!("{}", stage.last_words().await);
    }
    Outcome { ledger: ledger(plan, &verdict, &happened), verdict, begun, accounts }
}
