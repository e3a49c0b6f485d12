//! Coming back: what was missed follows, in order, or it is said that it can't.

use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::{Client, Plan};

/// Says many things without waiting for each ack.
async fn say_many(client: &Client, room: &str, count: usize) {
    let mut pending = Vec::new();
    for number in 0..count {
        let payload = json!({"room": room, "nonce": nonce(), "text": format!("missed {number}")});
        pending.push(client.ask("message:send", &payload));
    }
    for ack in pending {
        assert_eq!(ack.answer().await["ok"], true);
    }
}

on_both! {
    async fn what_was_missed_follows_in_order_before_anything_live(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        // Of a guest who has said nothing it is not known what is unread.
        ann.say("lobby", "before").await;
        ann.hear_text("lobby", "before").await;
        let position = ann.position("lobby");
        ann.close().await;
        say_many(&bob, "lobby", 30).await;

        let back = ann.recover(cluster.node(1), &json!({"lobby": position})).await;
        assert_eq!(back.session["recovered"], true, "{}", back.session);
        bob.say("lobby", "live").await;
        back.hear_text("lobby", "live").await;
        let texts: Vec<_> = back.heard("message:new").iter().map(|message| message["text"].clone()).collect();
        let mut expected: Vec<_> = (0..30).map(|number| json!(format!("missed {number}"))).collect();
        expected.push(json!("live"));
        assert_eq!(texts, expected);
        assert_eq!(back.session_room("lobby").unwrap()["unread"], 30);
    }
}

on_both! {
    async fn missing_500_is_made_up_and_missing_more_is_one_gap_to_page(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let position = ann.position("lobby");
        ann.close().await;
        say_many(&bob, "lobby", 500).await;

        let made_up = ann.recover(cluster.node(0), &json!({"lobby": position})).await;
        assert_eq!(made_up.session["recovered"], true, "{}", made_up.session);
        made_up.hear_many("message:new", 500).await;
        assert!(made_up.heard("gap").is_empty());
        made_up.close().await;

        say_many(&bob, "lobby", 1).await;
        let back = ann.recover(cluster.node(1), &json!({"lobby": position})).await;
        assert_eq!(back.session["recovered"], true, "a gap counts as recovered: {}", back.session);
        let gap = back.hear("gap", |gap| gap["room"] == "lobby").await;
        let start = position["offset"].as_u64().unwrap();
        assert_eq!((&gap["epoch"], &gap["from"], &gap["to"]), (&position["epoch"], &json!(start + 1), &json!(start + 501)));
        bob.fence("lobby", &[&back]).await;
        assert_eq!(back.heard("message:new").len(), 1, "the fence only");

        let to = gap["to"].as_u64().unwrap();
        let (mut after, mut paged) = (start, Vec::new());
        while after < to {
            let page = back.ok("log:get", json!({"room": "lobby", "epoch": gap["epoch"], "after": after})).await;
            let events = page["events"].as_array().unwrap();
            assert!(!events.is_empty(), "a page of a range that is there: {page}");
            paged.extend(events.iter().map(|entry| entry["offset"].as_u64().unwrap()));
            after = *paged.last().unwrap();
        }
        let expected: Vec<_> = (start + 1..=after).collect();
        assert_eq!(paged, expected, "the pages hold all of the gap, in order");
    }
}

on_both! {
    async fn a_foreign_epoch_and_an_offset_beyond_the_head_are_said_to_be_unrecovered(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        ann.fence("lobby", &[]).await;
        let real = ann.position("lobby");
        let beyond = json!({"epoch": real["epoch"], "offset": real["offset"].as_u64().unwrap() + 1});
        let foreign = json!({"epoch": "another", "offset": real["offset"]});
        for position in [beyond, foreign] {
            let back = ann.recover(cluster.node(1), &json!({"lobby": position})).await;
            assert_eq!(back.session["recovered"], false, "{position}: {}", back.session);
            assert_eq!(back.session["unrecovered"], json!(["lobby"]), "{position}");
            assert_eq!(back.session_room("lobby").unwrap()["position"], ann.position("lobby"), "it goes on from the head");
            ann.fence("lobby", &[&back]).await;
        }
    }
}

on_both! {
    async fn positions_of_rooms_that_are_not_ones_own_are_ignored(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let made = bob.ok("room:create", json!({"name": "Bob's", "kind": "private"})).await;
        let room = made["room"].as_str().unwrap();
        bob.say(room, "secret").await;
        bob.hear_text(room, "secret").await;
        let mut positions = json!({"lobby": ann.position("lobby"), "no-such-room": ann.position("lobby")});
        positions[room] = bob.position(room);
        positions[room]["offset"] = json!(0);
        let back = ann.recover(cluster.node(1), &positions).await;
        assert_eq!(back.session["recovered"], true, "{}", back.session);
        let unrecovered = back.session.get("unrecovered").cloned().unwrap_or(json!([]));
        assert_eq!(unrecovered, json!([]));
        assert!(back.session_room(room).is_none());
        bob.fence("lobby", &[&back]).await;
        assert!(back.heard_in("message:new", room).is_empty());
    }
}

on_both! {
    async fn rooms_without_a_position_go_on_from_their_head(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let made = ann.ok("room:create", json!({"name": "Own", "kind": "private"})).await;
        let room = made["room"].as_str().unwrap();
        ann.say(room, "before").await;
        let lobby = ann.position("lobby");
        ann.say("lobby", "missed").await;
        let back = ann.recover(cluster.node(1), &json!({"lobby": lobby})).await;
        assert_eq!(back.session["recovered"], true, "{}", back.session);
        back.hear_text("lobby", "missed").await;
        ann.fence(room, &[&back]).await;
        assert_eq!(back.heard_in("message:new", room).len(), 1, "the fence only");
    }
}

on_both! {
    async fn joining_with_since_answers_all_that_came_after_it(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let made = ann.ok("room:create", json!({"name": "Since", "kind": "public"})).await;
        let room = made["room"].as_str().unwrap();
        let first = ann.say(room, "first").await["position"].clone();
        ann.say(room, "second").await;
        ann.say(room, "third").await;

        let joined = bob.ok("room:join", json!({"room": room, "since": first, "limit": 2})).await;
        assert_eq!(joined["recovered"], true, "{joined}");
        let events = joined["events"].as_array().expect("events");
        let texts: Vec<_> = events.iter().filter(|entry| entry["event"] == "message:new").map(|entry| &entry["text"]).collect();
        assert_eq!(texts, ["second", "third"], "{joined}");
        let last = events.last().map(|entry| &entry["offset"]);
        assert_eq!(last, Some(&joined["position"]["offset"]), "all log entries up to the position: {joined}");
        ann.fence(room, &[&bob]).await;

        let foreign = json!({"epoch": "another", "offset": 1});
        let unknown = bob.ok("room:join", json!({"room": room, "since": foreign})).await;
        assert_eq!(unknown["recovered"], false, "{unknown}");

        say_many(&ann, room, 500).await;
        ann.fence(room, &[&bob]).await;
        let much = bob.ok("room:join", json!({"room": room, "since": first})).await;
        assert_eq!(much["events"], json!([]), "over 500 entries");
        let from = first["offset"].as_u64().unwrap() + 1;
        assert_eq!(much["gap"]["from"], from, "{}", much["gap"]);
        assert_eq!(much["gap"]["to"], much["position"]["offset"], "{}", much["gap"]);
    }
}

on_both! {
    async fn who_reconnects_from_node_to_node_while_another_talks_misses_nothing(bus) {
        const SAID: usize = 400;
        let cluster = Plan::on(bus).nodes(3).start().await;
        let mut ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let talk = async {
            for number in 0..SAID {
                bob.say("lobby", &number.to_string()).await;
            }
        };
        let mut heard: Vec<Value> = Vec::new();
        let wander = async {
            for turn in 0.. {
                let cut = ann.heard("message:new").len() + 15;
                let last = heard.len() + cut >= SAID;
                let enough = if last { SAID - heard.len() } else { cut };
                ann.hear_many("message:new", enough).await;
                ann.vanish().await;
                let position = ann.position("lobby");
                heard.extend(ann.heard("message:new"));
                if heard.len() >= SAID {
                    break;
                }
                ann = ann.recover(cluster.node(turn), &json!({"lobby": position})).await;
                assert_eq!(ann.session["recovered"], true, "{}", ann.session);
            }
        };
        tokio::join!(talk, wander);
        let heard: Vec<_> = heard.iter().map(|message| message["text"].clone()).collect();
        let said: Vec<_> = (0..SAID).map(|number| json!(number.to_string())).collect();
        assert_eq!(heard, said, "each message once, in order");
    }
}
