//! The machine that checks the promise: many stock clients talk while nodes, Redis and links fail by a schedule of the
//! seed's; each writes down all that it did and heard; a judge holds that to what was promised.

pub(crate) mod account;
pub(crate) mod crowd;
pub(crate) mod faults;
pub(crate) mod judge;
pub(crate) mod ledger;
pub(crate) mod outcome;
pub(crate) mod proxy;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod scene;
pub(crate) mod schedule;
pub(crate) mod set;
pub(crate) mod stage;
pub(crate) mod talk;

use std::time::{SystemTime, UNIX_EPOCH};

/// The time, as the accounts have it.
pub(crate) fn now() -> account::Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since.as_millis()).expect("a time in milliseconds")
}
