//! What people did, and what came of it.

use std::path::{Path, PathBuf};

use super::account::{self, Line, Millis};
use super::faults::{Happened, Outage};
use super::judge::{Check, Offence, Store, Verdict, judge};
use super::ledger::offences;
use super::now;
use super::stage::Heads;

/// The file that says what was done to the store, beside the accounts.
const DONE: &str = "done.json";

/// What people did, once all of them have ended.
pub(crate) struct Ended {
    /// What all of them wrote down.
    pub(crate) lines: Vec<Line>,
    /// When the talk began.
    pub(crate) begun: Millis,
    /// Where the logs were in the end.
    pub(super) heads: Heads,
    /// What did not come to its end in time.
    pub(super) unfinished: Vec<String>,
    pub(super) accounts: PathBuf,
}

impl Ended {
    /// Judges it, with what was done to the store and to all else.
    pub(crate) fn judged(&self, outages: Vec<Outage>, happened: &[Happened]) -> Verdict {
        let store = Store::new(outages, self.heads.clone());
        let beside = serde_json::to_vec(&(&store, happened)).expect("what was done, as JSON");
        std::fs::write(self.accounts.join(DONE), beside).expect("what was done, beside the accounts");
        let mut verdict = judge(&self.lines, store, happened);
        for what in &self.unfinished {
            verdict.offences.push(Offence { check: Check::Unfinished, at: now(), what: what.clone() });
        }
        verdict
    }

    /// What came of it, and what to print of it.
    pub(crate) fn outcome(self, ledger: String, verdict: Verdict) -> Outcome {
        Outcome { verdict, ledger, begun: self.begun, accounts: self.accounts }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) ledger: String,
    /// When the talk began.
    pub(crate) begun: Millis,
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

/// Judges once more what a run has kept.
pub(crate) fn judge_again(accounts: &Path) -> Verdict {
    let done = std::fs::read(accounts.join(DONE)).expect("what was done, beside the accounts");
    let (store, happened): (Store, Vec<Happened>) = serde_json::from_slice(&done).expect("what was done, as JSON");
    let files = std::fs::read_dir(accounts).expect("the accounts").map(|file| file.expect("a file").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|it| it == "ndjson")).collect();
    files.sort();
    let lines: Vec<Line> = files.iter().flat_map(|path| account::read(path)).collect();
    judge(&lines, store, &happened)
}
