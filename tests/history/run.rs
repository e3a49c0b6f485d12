//! A run: people talk, things go wrong, all catch up, and it is judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::account::{self, Line};
use super::crowd::{Crowd, Status};
use super::faults::{Carried, Happened, carry_out};
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

/// The file that says what was done to the stage.
const DONE: &str = "done.json";

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

    let store = Store { outages, heads };
    let beside = serde_json::to_vec(&(&store, &happened)).expect("what was done, as JSON");
    std::fs::write(accounts.join(DONE), beside).expect("what was done, beside the accounts");
    let mut verdict = judge(&lines, &store, &happened);
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

/// Judges once more what a run has kept.
pub(crate) fn judge_again(accounts: &Path) -> Verdict {
    let done = std::fs::read(accounts.join(DONE)).expect("what was done, beside the accounts");
    let (store, happened): (Store, Vec<Happened>) = serde_json::from_slice(&done).expect("what was done, as JSON");
    let files = std::fs::read_dir(accounts).expect("the accounts").map(|file| file.expect("a file").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|it| it == "ndjson")).collect();
    files.sort();
    let lines: Vec<Line> = files.iter().flat_map(|path| account::read(path)).collect();
    judge(&lines, &store, &happened)
}
