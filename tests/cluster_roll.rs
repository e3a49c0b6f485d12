//! A rolling restart behind nginx: each node in turn is asked to end, and started anew.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::harness::deployment::Processes;
use crate::harness::people::{Account, Crowd, People};
use crate::harness::{Client, Spread, is_full, run_within};

/// The full size is asked for by this variable.
const FULL: &str = "ROLL_FULL";
/// Of either size.
const PATIENCE: Duration = Duration::from_secs(600);
/// No page of this origin exists.
const NOBODY: &str = "http://nobody.example";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since.as_millis()).expect("a time of this age")
}

#[test]
fn a_rolling_restart_loses_nothing_and_doubles_nothing() {
    let (javascript, every_ms) = if is_full(FULL) { (300, 10_000) } else { (60, 2_000) };
    run_within(PATIENCE, async move {
        let mut chat = Processes::start(NOBODY).await;
        let host = Client::guest(chat.node(0), "Host").await;
        let room = host.create("roll", "public").await;
        host.close().await;
        let url = chat.url();
        let mut people = People::start(&Crowd { url: &url, room: &room, javascript, python: 0, every_ms }).await;
        people.talk().await;
        let begun = now();
        for number in 0..chat.len() {
            let sockets = chat.node(number).metric("chat_connections").await;
            assert!(sockets > 0.0, "the end of {} would move nobody", chat.node(number).id());
            let asked = Instant::now();
            chat.node(number).terminate();
            let status = chat.node_mut(number).ended().await;
            assert!(status.success(), "the exit status is {status}");
            let ended = asked.elapsed();
            chat.node_mut(number).restart().await;
            println!(
                "{}: {sockets} sockets, ended after {ended:.1?}, ready again after {:.1?}",
                chat.node(number).id(),
                asked.elapsed()
            );
        }
        people.until("all people are connected", |status| status.open == javascript).await;
        people.fall_silent().await;
        let host = Client::guest(chat.node(0), "Host").await;
        host.ok("room:join", json!({"room": room})).await;
        let last = host.say(&room, "the last word").await;
        let report = people.judged(last["position"]["offset"].as_u64().expect("an offset")).await;
        print(&report.people, begun);
        let moves: usize = report.people.iter().map(|person| person.sessions.len()).sum();
        assert!(moves >= javascript, "each was on a node that ended");
    });
}

fn print(people: &[Account], begun: u64) {
    let sends: Vec<_> = people.iter().flat_map(|person| &person.sent).collect();
    println!(
        "{} sends: {} failed, {} were sent more than once",
        sends.len(),
        sends.iter().filter(|send| send.offset.is_none()).count(),
        sends.iter().filter(|send| send.tries > 1).count()
    );
    let longest = people.iter().max_by(|one, other| one.silence.total_cmp(&other.silence)).expect("people");
    println!(
        "longest silence: {:.0} ms, of person {}; of each person: {}",
        longest.silence,
        longest.number,
        Spread::of(people.iter().map(|person| person.silence))
    );
    let sessions = || people.iter().flat_map(|person| &person.sessions);
    println!("from the loss of the connection to the session: {}", Spread::of(sessions().map(|session| session.took)));
    let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
    for session in sessions() {
        *seconds.entry(session.at.saturating_sub(begun) / 1_000).or_default() += 1;
    }
    println!("reconnects a second:");
    for (second, count) in seconds {
        println!("  {second:>3} s {count:>4} {}", "#".repeat(count));
    }
    let mut moves: BTreeMap<usize, usize> = BTreeMap::new();
    for person in people {
        *moves.entry(person.sessions.len()).or_default() += 1;
    }
    println!("moves of a person, and of how many: {moves:?}");
}
