//! Strangers who do what strangers have been seen to do: whoever chats beside them has all that belongs to them.

use std::time::Duration;

use crate::harness::{DEADLINE, run_within};
use crate::history::run::Plan;
use crate::history::schedule::Kind;
use crate::history::stage::{Limits, Over};
use crate::hostile::pace::Paces;
use crate::hostile::siege::{Siege, run};

/// How many people chat, and who does not.
const PEOPLE: u32 = 48;
const STRANGERS: usize = 20;

/// Slow enough for programs that are not optimized, beside other tests.
const PACES: Paces = Paces { connections: 20, requests: 100 };

/// What is less than as shipped, so that a few seconds are enough for more.
const LOW: &[(&str, &str)] = &[
    ("--queries-per-second", "1"),
    ("--handshakes-per-second-per-address", "2"),
    ("--new-guests-per-second-per-address", "1"),
];

#[test]
fn a_hostile_crowd_takes_nothing_from_people_beside_it() {
    let plan = Plan {
        seed: 1,
        length: Duration::from_secs(15),
        nodes: 3,
        people: PEOPLE,
        rooms: 5,
        every: Duration::from_secs(2),
        kinds: vec![Kind::PeopleLeave],
        over: Over::One,
        offers_again: false,
        behind_nginx: false,
        limits: Limits::Shipped(LOW),
        timed: false,
        injected: None,
    };
    let siege = Siege {
        plan,
        strangers: STRANGERS,
        paces: PACES,
        calm: Duration::from_secs(3),
        patience: DEADLINE,
        curve: None,
    };
    run_within(Duration::from_secs(300), async {
        let end = run(&siege).await;
        let unrefused = end.unrefused.clone();
        end.must_be_clean();
        assert!(unrefused.is_empty(), "never refused: {unrefused:?}");
    });
}
