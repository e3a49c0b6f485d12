//! Whatever dies: a message that was acked reaches every member of its room, once, in one order.

use std::time::Duration;

use crate::harness::cluster::binary;
use crate::harness::run_within;
use crate::history::judge::Check;
use crate::history::ledger::offences;
use crate::history::outcome;
use crate::history::run::{Plan, run};
use crate::history::schedule::Kind;
use crate::history::stage::{InjectedFault, Limits, Over};
use crate::hostile::pace::Paces;
use crate::hostile::siege::{self, Siege};

/// Seeds of runs that ever failed, whatever their length was. 2: who came back to a node that was behind heard twice
/// what another node had told.
const FAILED_ONCE: [u64; 1] = [2];

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
        over: Over::One,
        offers_again: false,
        behind_nginx: false,
        limits: Limits::Lifted,
        timed: false,
        injected: None,
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
fn seeds_that_failed_once_do_not_fail_again() {
    for seed in FAILED_ONCE {
        check(&short(seed, &Kind::ALL));
    }
}

#[test]
fn what_the_store_loses_is_told() {
    check(&short(5, &[Kind::RedisLost, Kind::NodeKilled, Kind::LinkCut]));
}

#[test]
fn nothing_is_lost_while_redis_refuses_and_loses_what_nodes_share() {
    check(&short(6, &[Kind::RedisRefuses, Kind::SharedKeysLost, Kind::NodeKilled]));
}

#[test]
fn nothing_is_lost_behind_nginx() {
    check(&Plan {
        behind_nginx: true,
        ..short(4, &[Kind::NodeKilled, Kind::NodeEnded, Kind::LinkCut, Kind::LinkDelayed])
    });
}

/// A checker that finds nothing may only be blind: each of these is a `chat-server` with a bug, the faults that bring it
/// out, and the checks of which one has to find it.
macro_rules! injected {
    ($($name:ident: $bug:literal, [$($kind:ident),*] => [$($check:ident),*];)*) => {
        mod injected {
            use super::*;
            $(
                #[test]
                fn $name() {
                    must_be_found($bug, &[$(Kind::$kind),*], &[$(Check::$check),*]);
                }
            )*
        }
    };
}

injected! {
    a_forgotten_nonce_is_found: "forget-nonce", [NodeKilled, LinkCut] => [Duplicated, NonceMoved];
    a_dropped_frame_is_found: "drop-frame", [PubsubKilled] => [Lost];
    a_lost_last_frame_is_found: "lose-last-frame", [BusDelayed] => [Lost];
    swapped_deliveries_are_found: "swap-deliveries", [BusDelayed] => [OutOfOrder];
    a_short_recovery_is_found: "recover-short", [NodeKilled, LinkCut] => [FalselyRecovered, Lost];
    an_ack_before_the_store_is_found: "ack-before-store", [NodeKilled, RedisRestarted] => [Lost, NonceMoved];
    an_epoch_that_is_kept_is_found: "keep-epoch", [RedisLost] => [KeptSilent, FalselyRecovered, Disagreement];
}

/// How many runs may miss a bug: a node whose bus connection is renewed, as on a machine too busy to answer in time, reads
/// all logs again and heals what the bug lost.
const MISSES: u64 = 2;

/// Runs the `chat-server-faulty` of the same build.
fn must_be_found(bug: &str, kinds: &[Kind], checks: &[Check]) {
    let injected = InjectedFault { program: binary("chat-server-faulty"), bug: bug.to_owned() };
    for seed in 1..=1 + MISSES {
        // Many rooms, because what is lost of a room at its end shows nowhere else.
        let injected = Some(injected.clone());
        let plan = Plan { injected, length: Duration::from_secs(15), people: 96, rooms: 41, ..short(seed, kinds) };
        let mut is_found = false;
        run_within(Duration::from_secs(300), async {
            let outcome = run(&plan).await;
            if let Some(found) = outcome.verdict.offences.iter().find(|offence| checks.contains(&offence.check)) {
                let after = Duration::from_millis(found.at.saturating_sub(outcome.begun));
                println!("{bug} was found by {:?} after {:.1} s: {}", found.check, after.as_secs_f64(), found.what);
                is_found = true;
            } else {
                println!("{bug} was not found with seed {seed}:\n{}", offences(&outcome.verdict));
            }
            outcome.forget();
        });
        if is_found {
            return;
        }
    }
    panic!("{bug} was not found");
}

/// `make soak SECONDS=… SEED=…`, `FAULTS=NodeKilled,LinkCut` for some kinds only,
/// `NGINX=1` for people who connect through nginx; `CROWD=20` for so many strangers instead of faults.
#[test]
#[ignore = "as long as one likes; `make soak` runs it"]
fn soak() {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str, otherwise| {
        set(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    };
    let strangers = number("CROWD", 0);
    let mut kinds = if strangers == 0 { Kind::ALL.to_vec() } else { vec![Kind::PeopleLeave] };
    if let Some(names) = set("FAULTS") {
        kinds = Kind::ALL.to_vec();
        kinds.retain(|kind| names.split(',').any(|name| name == format!("{kind:?}")));
        assert_eq!(kinds.len(), names.split(',').count(), "FAULTS={names}");
    }
    let plan = Plan {
        seed: number("SEED", 1),
        length: Duration::from_secs(number("SECONDS", 600)),
        nodes: 3,
        people: if strangers == 0 { 300 } else { 100 },
        rooms: 21,
        every: Duration::from_secs(6),
        kinds,
        over: Over::One,
        offers_again: false,
        behind_nginx: set("NGINX").is_some(),
        limits: if strangers == 0 { Limits::Lifted } else { Limits::Shipped(&[]) },
        timed: true,
        injected: None,
    };
    if strangers == 0 {
        check(&plan);
        return;
    }
    // Five minutes of people alone beside an hour.
    let calm = (plan.length / 12).clamp(Duration::from_secs(60), Duration::from_secs(300));
    let curve = binary("chat-server").ancestors().nth(2).map(|target| target.join("soak"));
    let paces = Paces { connections: 200, requests: 500 };
    let siege = Siege {
        paces,
        patience: Duration::ZERO,
        strangers: usize::try_from(strangers).expect("few of them"),
        calm,
        curve,
        plan,
    };
    run_within(calm + siege.plan.length + Duration::from_secs(600), async { siege::run(&siege).await.must_be_clean() });
}

/// For whoever reads the accounts of a run that failed: `ACCOUNTS=folder cargo test … -- --ignored judge_again`.
#[test]
#[ignore = "needs the accounts that a run has kept"]
fn judge_again() {
    let accounts = std::env::var_os("ACCOUNTS").expect("ACCOUNTS: the folder that the run has named");
    let verdict = outcome::judge_again(accounts.as_ref());
    assert!(verdict.offences.is_empty(), "\n{}", offences(&verdict));
}
