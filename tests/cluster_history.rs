//! Whatever dies: a message that was acked reaches every member of its room, once, in one order.

use std::time::Duration;

use crate::harness::cluster::binary;
use crate::harness::run_within;
use crate::history::judge::Check;
use crate::history::ledger::offences;
use crate::history::run::{Plan, run};
use crate::history::schedule::Kind;
use crate::history::stage::Planted;

/// A short run: few people, these faults.
fn short(seed: u64, kinds: &[Kind]) -> Plan {
    Plan {
        seed,
        length: Duration::from_secs(25),
        nodes: 3,
        people: 48,
        rooms: 5,
        every: Duration::from_millis(1_500),
        kinds: kinds.to_vec(),
        behind_nginx: false,
        timed: false,
        planted: None,
    }
}

fn check(plan: &Plan) {
    run_within(plan.length + Duration::from_secs(600), async { run(plan).await.must_be_clean() });
}

#[test]
fn nothing_is_lost_while_nodes_die() {
    check(&short(1, &[Kind::NodeKilled, Kind::NodeEnded, Kind::NodeFrozen]));
}

#[test]
fn nothing_is_lost_while_redis_comes_and_goes() {
    check(&short(2, &[Kind::RedisRestarted, Kind::PubsubKilled, Kind::BusCut, Kind::BusStalled, Kind::BusDelayed]));
}

#[test]
fn nothing_is_lost_while_links_fail_and_people_sleep() {
    check(&short(
        3,
        &[Kind::LinkCut, Kind::LinkStalled, Kind::LinkDelayed, Kind::ReadersSlow, Kind::PeopleLeave, Kind::NodeKilled],
    ));
}

#[test]
fn nothing_is_lost_behind_nginx() {
    check(&Plan {
        behind_nginx: true,
        ..short(4, &[Kind::NodeKilled, Kind::NodeEnded, Kind::LinkCut, Kind::LinkDelayed])
    });
}

/// Each is a bug that the checker has to find, with the faults that bring it out and the checks of which one has to.
const PLANTED: [(&str, &[Kind], &[Check]); 7] = [
    ("forget-nonce", &[Kind::NodeKilled, Kind::LinkCut], &[Check::Duplicated, Check::NonceMoved]),
    ("drop-frame", &[Kind::PubsubKilled], &[Check::Lost]),
    ("lose-last-frame", &[Kind::PubsubKilled], &[Check::Unfinished, Check::Lost]),
    ("swap-deliveries", &[Kind::PubsubKilled], &[Check::OutOfOrder]),
    ("recover-short", &[Kind::NodeKilled, Kind::LinkCut], &[Check::FalselyRecovered, Check::Lost]),
    ("ack-before-store", &[Kind::RedisRestarted, Kind::BusCut], &[Check::Lost]),
    ("keep-epoch", &[Kind::RedisLost], &[Check::KeptSilent, Check::FalselyRecovered, Check::Disagreement]),
];

/// A checker that finds nothing may only be blind.
#[test]
#[ignore = "needs a chat-server with the feature `planted-bugs`; `make soak` does not"]
fn every_planted_bug_is_found() {
    let program =
        std::env::var_os("CHATCLUSTER_PLANTED_SERVER").map_or_else(|| binary("chat-server-planted"), Into::into);
    let chosen = std::env::var("BUG").ok().filter(|text| !text.is_empty());
    for (bug, kinds, checks) in PLANTED.into_iter().filter(|(bug, ..)| chosen.as_deref().is_none_or(|one| one == *bug))
    {
        let planted = Planted { program: program.clone(), bug: bug.to_owned() };
        let plan = Plan { planted: Some(planted), length: Duration::from_secs(15), ..short(1, kinds) };
        run_within(Duration::from_secs(600), async {
            let outcome = run(&plan).await;
            let found = outcome.verdict.offences.iter().find(|offence| checks.contains(&offence.check));
            let found = found.unwrap_or_else(|| panic!("{bug} was not found:\n{}", offences(&outcome.verdict)));
            let after = found.at.saturating_sub(outcome.begun);
            println!("{bug}: found by {:?} after {:.1} s: {}", found.check, after as f64 / 1000.0, found.what);
            outcome.forget();
        });
    }
}

/// `make soak SECONDS=… SEED=…`, `FAULTS=NodeKilled,LinkCut` for some kinds only,
/// `NGINX=1` for people who connect through nginx.
#[test]
#[ignore = "as long as one likes; `make soak` runs it"]
fn soak() {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str, otherwise| {
        set(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    };
    let mut kinds = Kind::ALL.to_vec();
    if let Some(names) = set("FAULTS") {
        kinds.retain(|kind| names.split(',').any(|name| name == format!("{kind:?}")));
        assert_eq!(kinds.len(), names.split(',').count(), "FAULTS={names}");
    }
    check(&Plan {
        seed: number("SEED", 1),
        length: Duration::from_secs(number("SECONDS", 600)),
        nodes: 3,
        people: 300,
        rooms: 21,
        every: Duration::from_secs(6),
        kinds,
        behind_nginx: set("NGINX").is_some(),
        timed: true,
        planted: None,
    });
}
