//! What is said: heard by all, once, stored as it was sent, and read again.

use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::{Client, Plan};

fn offsets(messages: &Value) -> Vec<u64> {
    let messages = messages.as_array().expect("a list of messages");
    messages.iter().map(|message| message["offset"].as_u64().expect("an offset")).collect()
}

on_both! {
    async fn a_lobby_message_reaches_everybody_once_as_it_was_sent(bus) {
        let cluster = Plan::on(bus).nodes(3).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let eve = Client::guest(cluster.node(2), "Eve").await;

        let text = "  Grüße,\tWelt 👋🏽\n\"quoted\" \\ </script> \u{202e}rtl  ";
        let nonce = nonce();
        let sent = ann.ok("message:send", json!({"room": "lobby", "nonce": nonce, "text": text})).await;
        for client in [&ann, &bob, &eve] {
            let message = client.hear_text("lobby", text).await;
            assert_eq!(message["id"], sent["id"], "{message}");
            assert_eq!(message["epoch"], sent["position"]["epoch"], "{message}");
            assert_eq!(message["offset"], sent["position"]["offset"], "{message}");
            assert_eq!(message["at"], sent["at"], "{message}");
            assert_eq!(message["by"], ann.session["user"], "{message}");
            assert_eq!(message["nonce"], nonce, "{message}");
            assert_eq!(message["reactions"], json!([]), "{message}");
            assert!(message["offset"].as_u64() > Some(0), "offsets are positive: {message}");
        }
        bob.fence("lobby", &[&ann, &eve]).await;
        for client in [&ann, &bob, &eve] {
            assert_eq!(client.heard("message:new").len(), 2, "the message and the fence, once each");
        }
    }
}

on_both! {
    async fn an_answer_can_name_what_it_answers(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let question = ann.say("lobby", "when?").await;
        let answer = json!({"room": "lobby", "nonce": nonce(), "text": "now", "replyTo": question["id"]});
        bob.ok("message:send", answer).await;
        assert_eq!(ann.hear_text("lobby", "now").await["replyTo"], question["id"]);
    }
}

on_both! {
    async fn a_repeated_nonce_gives_the_same_answer_on_any_node_and_is_stored_once(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let other = ann.again(cluster.node(1)).await;
        let send = json!({"room": "lobby", "nonce": "the-nonce", "text": "once"});
        let first = ann.ok("message:send", send.clone()).await;
        assert_eq!(ann.ok("message:send", send.clone()).await, first, "on the same node");
        assert_eq!(other.ok("message:send", send.clone()).await, first, "on another node");

        let changed = json!({"room": "lobby", "nonce": "the-nonce", "text": "twice"});
        other.refused("message:send", changed.clone(), "conflict").await;
        // A nonce belongs to a user and a room.
        let bobs = bob.ok("message:send", changed).await;
        assert_ne!(bobs["id"], first["id"]);
        let room = ann.ok("room:create", json!({"name": "Elsewhere", "kind": "public"})).await["room"].clone();
        ann.ok("message:send", json!({"room": room, "nonce": "the-nonce", "text": "elsewhere"})).await;

        bob.fence("lobby", &[&ann, &other]).await;
        for client in [&ann, &bob, &other] {
            let texts: Vec<_> = client.heard_in("message:new", "lobby");
            assert_eq!(texts.len(), 3, "once, twice and the fence: {texts:?}");
        }
        let history = ann.ok("history:get", json!({"room": "lobby"})).await;
        assert_eq!(history["messages"].as_array().unwrap().len(), 3, "{history}");
    }
}

on_both! {
    async fn one_nonce_sent_on_two_nodes_at_once_is_one_message(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let other = ann.again(cluster.node(1)).await;
        for round in 0..20 {
            let send = json!({"room": "lobby", "nonce": format!("round-{round}"), "text": "race"});
            let here = ann.ask("message:send", &send);
            let there = other.ask("message:send", &send);
            let (here, there) = (here.answer().await, there.answer().await);
            assert_eq!(here["ok"], true, "{here}");
            assert_eq!(here, there);
        }
        ann.fence("lobby", &[&other]).await;
        assert_eq!(other.heard("message:new").len(), 21);
    }
}

on_both! {
    async fn a_nonce_is_1_to_64_characters(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        for nonce in [json!(""), json!("n".repeat(65)), json!(7), Value::Null] {
            let send = json!({"room": "lobby", "nonce": nonce, "text": "hello"});
            ann.refused("message:send", send, "bad_request").await;
        }
        ann.refused("message:send", json!({"room": "lobby", "text": "hello"}), "bad_request").await;
        ann.ok("message:send", json!({"room": "lobby", "nonce": "n".repeat(64), "text": "hello"})).await;
    }
}

on_both! {
    async fn history_is_read_page_by_page_in_both_directions(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let mut said = Vec::new();
        for number in 0..60 {
            said.push(ann.say("lobby", &format!("message {number}")).await["position"]["offset"].as_u64().unwrap());
        }
        assert!(said.is_sorted(), "offsets rise: {said:?}");

        let newest = bob.ok("history:get", json!({"room": "lobby"})).await;
        assert_eq!(offsets(&newest["messages"]), said[10..], "the newest 50 in rising order");
        assert_eq!(newest["complete"], false);
        assert_eq!(newest["epoch"], bob.position("lobby")["epoch"]);

        let older = bob.ok("history:get", json!({"room": "lobby", "before": said[10]})).await;
        assert_eq!(offsets(&older["messages"]), said[..10], "the bound is exclusive");
        assert_eq!(older["complete"], true, "nothing lies before");
        let none = bob.ok("history:get", json!({"room": "lobby", "before": said[0]})).await;
        assert_eq!((&none["messages"], &none["complete"]), (&json!([]), &json!(true)));

        let middle = bob.ok("history:get", json!({"room": "lobby", "before": said[30], "limit": 5})).await;
        assert_eq!(offsets(&middle["messages"]), said[25..30]);
        assert_eq!(middle["complete"], false);

        let forward = bob.ok("history:get", json!({"room": "lobby", "after": said[0], "limit": 20})).await;
        assert_eq!(offsets(&forward["messages"]), said[1..21]);
        assert_eq!(forward["complete"], false);
        let last = bob.ok("history:get", json!({"room": "lobby", "after": said[57], "limit": 20})).await;
        assert_eq!(offsets(&last["messages"]), said[58..]);
        assert_eq!(last["complete"], true, "nothing lies after");

        let all = bob.ok("history:get", json!({"room": "lobby", "limit": 100})).await;
        assert_eq!(offsets(&all["messages"]), said);
        assert_eq!(all["complete"], true);
        let heard = bob.heard("message:new");
        assert_eq!(all["messages"], json!(heard), "history holds what was heard");
    }
}

on_both! {
    async fn the_log_gives_its_entries_as_they_were_delivered(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = ann.ok("room:create", json!({"name": "Log", "kind": "public"})).await["room"].clone();
        let room = room.as_str().unwrap();
        ann.fence(room, &[]).await;
        let start = ann.position(room);
        ann.say(room, "one").await;
        bob.ok("room:join", json!({"room": room})).await;
        bob.say(room, "two").await;
        ann.hear_text(room, "two").await;
        let joined = ann.hear("member:joined", |joined| joined["room"] == room && joined["user"]["id"] == bob.id()).await;

        let get = json!({"room": room, "epoch": start["epoch"], "after": start["offset"]});
        let log = bob.ok("log:get", get).await;
        let events = log["events"].as_array().expect("events");
        let names: Vec<_> = events.iter().map(|entry| entry["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["message:new", "member:joined", "message:new"], "{log}");
        let mut second = events[1].clone();
        second.as_object_mut().unwrap().remove("event");
        assert_eq!(second, joined, "{{event, …payload as delivered}}");
        assert_eq!(log["complete"], true);
        assert_eq!(log["position"], ann.position(room));

        let first = json!({"room": room, "epoch": start["epoch"], "after": start["offset"], "limit": 1});
        let page = bob.ok("log:get", first).await;
        assert_eq!((page["events"].as_array().unwrap().len(), &page["complete"]), (1, &json!(false)));
        let rest = json!({"room": room, "epoch": start["epoch"], "after": page["position"]["offset"]});
        let rest = bob.ok("log:get", rest).await;
        assert_eq!(rest["events"].as_array().unwrap()[..], events[1..], "the position is where the page ends");

        let head = ann.position(room);
        let end = bob.ok("log:get", json!({"room": room, "epoch": head["epoch"], "after": head["offset"]})).await;
        assert_eq!((&end["events"], &end["complete"]), (&json!([]), &json!(true)));

        let foreign = bob.ok("log:get", json!({"room": room, "epoch": "another", "after": 0})).await;
        assert_eq!((&foreign["recovered"], &foreign["events"]), (&json!(false), &json!([])));
        bob.refused("log:get", json!({"room": room, "after": 0}), "bad_request").await;
        bob.refused("log:get", json!({"room": room, "epoch": head["epoch"], "after": "0"}), "bad_request").await;
    }
}

on_both! {
    async fn what_one_socket_sends_without_waiting_keeps_its_order(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        for number in 0..300 {
            let text = number.to_string();
            ann.ask("message:send", &json!({"room": "lobby", "nonce": nonce(), "text": text}));
        }
        bob.hear_many("message:new", 300).await;
        let heard: Vec<_> = bob.heard("message:new").iter().map(|message| message["text"].clone()).collect();
        let sent: Vec<_> = (0..300).map(|number| json!(number.to_string())).collect();
        assert_eq!(heard, sent);
    }
}

on_both! {
    async fn requests_of_one_socket_take_effect_in_the_order_in_which_they_were_sent(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let made = ann.ok("room:create", json!({"name": "Order", "kind": "public"})).await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = &made["room"];
        let join = bob.ask("room:join", &json!({"room": room}));
        let send = bob.ask("message:send", &json!({"room": room, "nonce": nonce(), "text": "I'm in"}));
        let leave = bob.ask("room:leave", &json!({"room": room}));
        let late = bob.ask("message:send", &json!({"room": room, "nonce": nonce(), "text": "I'm out"}));
        assert_eq!(join.answer().await["ok"], true);
        assert_eq!(send.answer().await["ok"], true);
        assert_eq!(leave.answer().await["ok"], true);
        assert_eq!(late.answer().await["error"]["code"], "forbidden");
    }
}
