//! One order for all, under load.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use crate::harness::client::nonce;
use crate::harness::{Client, DEADLINE, Plan};

const CLIENTS: usize = 20;
const EACH: usize = 500;

#[derive(Deserialize)]
struct Entry {
    room: String,
    offset: u64,
    text: String,
}

#[derive(Deserialize)]
struct Gap {
    room: String,
    epoch: String,
    from: u64,
    to: u64,
}

/// All texts of the room that the client has, by offset: those that it heard, and what a `gap` told it to fetch.
async fn collected(client: &Client, room: &str) -> (BTreeMap<u64, String>, usize) {
    let mut texts = BTreeMap::new();
    for Entry { room: at, offset, text } in client.heard_as::<Entry>("message:new") {
        if at == room {
            assert!(texts.insert(offset, text).is_none(), "offset {offset} came twice");
        }
    }
    let gaps: Vec<Gap> = client.heard_as::<Gap>("gap").into_iter().filter(|gap| gap.room == room).collect();
    for Gap { epoch, from, to, .. } in &gaps {
        let mut after = from - 1;
        while after < *to {
            let page = client.ok("log:get", json!({"room": room, "epoch": epoch, "after": after, "limit": 100})).await;
            for entry in page["events"].as_array().unwrap_or_else(|| panic!("{page}")) {
                after = entry["offset"].as_u64().expect("an offset");
                if after <= *to && entry["event"] == "message:new" {
                    let text = entry["text"].as_str().expect("a text").to_owned();
                    assert!(texts.insert(after, text).is_none(), "offset {after} came twice");
                }
            }
        }
    }
    (texts, gaps.len())
}

on_both! {
    /// Show 4: 20 clients in one room on three nodes, limits off; each sends 500 messages without waiting for acks.
    async fn all_hear_all_in_one_order(bus) {
        let cluster = Plan::on(bus).nodes(3).start().await;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            clients.push(Client::guest(cluster.node(number), &format!("Client {number}")).await);
        }
        let room = clients[0].create("crowd", "private").await;
        for client in &clients[1..] {
            clients[0].ok("room:invite", json!({"room": room, "user": client.id()})).await;
            client.hear("room:added", |added| added["room"] == room.as_str()).await;
        }
        clients[0].fence(&room, &clients[1..].iter().collect::<Vec<_>>()).await;
        let start = clients[0].position(&room)["offset"].as_u64().expect("an offset");

        let begun = Instant::now();
        let mut asked = Vec::new();
        for number in 0..EACH {
            for (sender, client) in clients.iter().enumerate() {
                let payload = json!({"room": room, "nonce": nonce(), "text": format!("{sender}:{number}")});
                asked.push(client.ask("message:send", &payload));
            }
        }
        let sent = asked.len();
        for pending in asked {
            let answer = pending.answer().await;
            assert_eq!(answer["ok"], true, "{answer}");
        }
        let acked = begun.elapsed();
        let head = start + sent as u64;
        for client in &clients {
            let patience = tokio::time::timeout(DEADLINE, client.reach(&room, head));
            patience.await.unwrap_or_else(|_| panic!("{} stopped at {}", client.id(), client.position(&room)));
        }
        let heard = begun.elapsed();

        let mut first: Option<BTreeMap<u64, String>> = None;
        let mut gaps = 0;
        for client in &clients {
            let (mut texts, paged) = collected(client, &room).await;
            texts.retain(|offset, _| *offset > start);
            gaps += paged;
            let offsets: Vec<u64> = texts.keys().copied().collect();
            assert_eq!(offsets, (start + 1..=head).collect::<Vec<u64>>(), "{} has not all", client.id());
            match &first {
                Some(first) => assert!(*first == texts, "{} has another order than the first", client.id()),
                None => first = Some(texts),
            }
        }
        let mut next: HashMap<usize, usize> = HashMap::new();
        for text in first.expect("a first client").values() {
            let (sender, number) = text.split_once(':').expect("SENDER:NUMBER");
            let (sender, number): (usize, usize) = (sender.parse().expect("a number"), number.parse().expect("a number"));
            let expected = next.entry(sender).or_default();
            assert_eq!(number, *expected, "the order of sender {sender}");
            *expected += 1;
        }
        assert!(next.len() == CLIENTS && next.values().all(|count| *count == EACH));
        println!(
            "{bus:?}, {} node(s): {sent} messages of {CLIENTS} senders reached all {CLIENTS} members, each once, in one order, \
             each sender's order kept; all acked after {:.1} s, all heard after {:.1} s ({:.0} deliveries a second), {gaps} gaps paged",
            cluster.len(),
            acked.as_secs_f64(),
            heard.as_secs_f64(),
            (sent * CLIENTS) as f64 / heard.as_secs_f64(),
        );
    }
}
