//! `kill -9` of node after node under unpatched clients, which do no more about it than to send their `auth` anew.

use std::time::Duration;

use crate::harness::deployment::Processes;
use crate::harness::people::{Crowd, People};
use crate::harness::{Client, Spread, is_full, run_within};

/// The full size is asked for by this variable.
const FULL: &str = "KILLS_FULL";
/// Of either size.
const PATIENCE: Duration = Duration::from_secs(900);
/// No page of this origin exists.
const NOBODY: &str = "http://nobody.example";

#[test]
fn stock_clients_of_killed_nodes_recover_all_and_hear_nothing_twice() {
    let (kills, javascript, python, every_ms) = if is_full(FULL) { (30, 90, 18, 2_000) } else { (3, 18, 6, 500) };
    run_within(PATIENCE, async move {
        let mut chat = Processes::start(NOBODY).await;
        let host = Client::guest(chat.node(0), "Host").await;
        let room = host.create("kills", "public").await;
        host.close().await;
        let url = chat.url();
        let mut people = People::start(&Crowd { url: &url, room: &room, javascript, python, every_ms }).await;
        people.talk().await;
        let mut hits = 0;
        for kill in 0..kills {
            let number = kill % chat.len();
            let node = chat.node(number).id().to_owned();
            let hit = people.status(&node, 0).await.at_node;
            assert!(hit > 0, "kill {kill} would hit nobody");
            chat.node_mut(number).kill();
            people.until_gone_from(&node).await;
            hits += hit;
            chat.node_mut(number).restart().await;
        }
        people.fall_silent().await;
        let host = Client::guest(chat.node(0), "Host").await;
        host.ok("room:join", serde_json::json!({"room": room})).await;
        let last = host.say(&room, "the last word").await;
        let report = people.judged(last["position"]["offset"].as_u64().expect("an offset")).await;

        let sends = || report.people.iter().flat_map(|person| &person.sent);
        let sessions = || report.people.iter().flat_map(|person| &person.sessions);
        println!("{kills} kills hit {hits} sockets of {javascript} socket.io-client and {python} python-socketio");
        println!("recovered {} of {}", sessions().filter(|session| session.recovered).count(), sessions().count());
        println!(
            "from the loss of the connection to the session: {}",
            Spread::of(sessions().map(|session| session.took))
        );
        println!(
            "{} sends, all acked and heard once by all, {} of them sent more than once",
            sends().count(),
            sends().filter(|send| send.tries > 1).count()
        );
        println!(
            "longest from an ack until everybody had the message: {}",
            Spread::of(report.people.iter().map(|person| person.silence))
        );
        assert!(sessions().count() >= hits, "each socket that was hit came back");
    });
}
