//! What a room keeps: messages by their number, whatever else happens there.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::{Bus, Client, Plan};

const KEPT: usize = 1_000;
const SAID: usize = 25;
const STRANGERS: usize = 20;
const ROUNDS: usize = 80;

/// The texts of a room, by pages from its end.
async fn history(client: &Client, room: &str) -> Vec<String> {
    let (mut texts, mut before) = (Vec::new(), Value::Null);
    loop {
        let mut page = json!({"room": room, "limit": 100});
        if !before.is_null() {
            page["before"] = before;
        }
        let answer = client.ok("history:get", page).await;
        let messages = answer["messages"].as_array().expect("messages");
        texts.splice(0..0, messages.iter().map(|message| message["text"].as_str().expect("a text").to_owned()));
        if answer["complete"] == true {
            return texts;
        }
        before = messages[0]["offset"].clone();
    }
}

/// Comes and goes as fast as the node takes it.
async fn come_and_go(client: &Client, room: &str) {
    let request = json!({"room": room});
    let pending: Vec<_> =
        (0..ROUNDS).flat_map(|_| [client.ask("room:join", &request), client.ask("room:leave", &request)]).collect();
    for ack in pending {
        assert_eq!(ack.answer().await["ok"], true);
    }
}

on_both! {
    /// Strangers who come and go push no message out of a public room, and nothing grows without end.
    async fn who_comes_and_goes_wipes_no_history(bus) {
        let mut cluster = Plan::on(bus).flag("--retention-messages", &KEPT.to_string()).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let room = ann.create("Tea", "public").await;
        let said: Vec<String> = (0..SAID).map(|number| format!("said {number}")).collect();
        for text in &said {
            ann.say(&room, text).await;
        }
        let position = ann.position(&room);
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let strangers = join_all((0..STRANGERS).map(|number| {
            let node = cluster.node(number % 2);
            async move { Client::guest(node, "Eve").await }
        }));
        let strangers = strangers.await;
        join_all(strangers.iter().map(|stranger| come_and_go(stranger, &room))).await;

        assert_eq!(history(&ann, &room).await, said);
        let joined = bob.ok("room:join", json!({"room": room, "limit": 100})).await;
        assert_eq!(joined["messages"].as_array().map(Vec::len), Some(SAID), "{joined}");
        assert!(joined["position"]["offset"].as_u64().is_some_and(|offset| offset > (2 * STRANGERS * ROUNDS) as u64));
        // Who was away meanwhile is told so, and has what was said from the history.
        let back = ann.recover(cluster.node(1), &json!({ &room: position })).await;
        assert_eq!(back.session["unrecovered"], json!([room]), "{}", back.session);
        assert_eq!(history(&back, &room).await, said);
        // The log goes on.
        for client in [&ann, &bob] {
            let text = format!("fence {}", nonce());
            client.say(&room, &text).await;
            for hears in [&ann, &bob, &back] {
                hears.hear_text(&room, &text).await;
            }
        }
        if bus == Bus::Redis {
            let kept = cluster.redis().ask(&["XLEN", &format!("chat:{{room:{room}}}:l")]).await;
            let kept: usize = kept[0].parse().expect("a number");
            println!("{} entries, of which {kept} are kept", 2 * STRANGERS * ROUNDS + SAID);
            assert!(kept <= 2 * KEPT, "{kept} entries");
        }
    }
}
