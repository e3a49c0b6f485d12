//! `room:update`: renaming a room, changing its topic, archiving it and taking it back.

use serde_json::{Value, json};

use crate::harness::{Client, Plan};

/// A room of Ann's that Bob is in.
async fn shared(ann: &Client, bob: &Client, name: &str, kind: &str) -> String {
    let room = ann.create(name, kind).await;
    match kind {
        "public" => drop(bob.ok("room:join", json!({"room": room})).await),
        _ => {
            ann.ok("room:invite", json!({"room": room, "user": bob.id()})).await;
            bob.hear("room:added", |added| added["room"] == room.as_str()).await;
        }
    }
    room
}

async fn updated(client: &Client, room: &str, matches: impl Fn(&Value) -> bool) -> Value {
    client.hear("room:updated", |update| update["room"] == room && matches(update)).await
}

async fn listed(client: &Client, query: &str) -> Vec<String> {
    let page = client.ok("room:list", json!({"query": query})).await;
    let rooms = page["rooms"].as_array().expect("rooms");
    rooms.iter().map(|room| room["room"].as_str().expect("an id").to_owned()).collect()
}

on_both! {
    async fn a_changed_room_is_told_to_every_member_in_the_log(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        for kind in ["public", "private"] {
            let room = shared(&ann, &bob, &format!("Old {kind}"), kind).await;
            ann.say(&room, "before").await;
            ann.ok("room:update", json!({"room": room, "name": format!(" New {kind} "), "topic": "Tea"})).await;
            ann.say(&room, "after").await;
            for member in [&ann, &bob] {
                let update = updated(member, &room, |_| true).await;
                assert_eq!((&update["name"], &update["topic"]), (&json!(format!("New {kind}")), &json!("Tea")), "{update}");
                assert_eq!((&update["archived"], &update["by"]["id"]), (&json!(false), &json!(ann.id())), "{update}");
                let before = member.hear_text(&room, "before").await;
                let after = member.hear_text(&room, "after").await;
                let offset = |entry: &Value| entry["offset"].as_u64().expect("an offset");
                assert_eq!((offset(&before) + 1, offset(&update) + 1), (offset(&update), offset(&after)));
            }
            let again = bob.again(cluster.node(0)).await;
            assert_eq!(again.session_room(&room).expect("Bob's room")["name"], format!("New {kind}"));
            let unread = again.session_room(&room).expect("Bob's room")["unread"].clone();
            assert_eq!(unread, 2, "only messages count as unread");
            again.close().await;
        }
    }
}

on_both! {
    async fn a_public_name_is_one_rooms_and_free_once_that_is_called_otherwise(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let tea = ann.create("Tea", "public").await;
        let coffee = bob.create("Coffee", "public").await;
        for taken in ["Tea", "TEA", " tea ", "Lobby"] {
            bob.refused("room:update", json!({"room": coffee, "name": taken}), "conflict").await;
        }
        ann.ok("room:update", json!({"room": tea, "name": "TEA"})).await;
        ann.ok("room:update", json!({"room": tea, "name": "Green tea"})).await;
        bob.ok("room:update", json!({"room": coffee, "name": "tea"})).await;
        ann.create("Coffee", "public").await;
        ann.refused("room:update", json!({"room": tea, "name": "Coffee"}), "conflict").await;
        assert_eq!(listed(&ann, "tea").await, [tea.clone(), coffee], "one's own first, each once");
        let private = ann.create("Tea", "private").await;
        ann.ok("room:update", json!({"room": private, "name": "Coffee"})).await;
        assert_eq!(ann.heard_in("room:updated", &tea).len(), 2, "what was refused was told to nobody");
    }
}

on_both! {
    async fn of_two_rooms_that_want_a_name_at_once_one_gets_it(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let (mine, theirs) = (ann.create("Mine", "public").await, bob.create("Theirs", "public").await);
        for round in 0..10 {
            let name = format!("race {round}");
            let anns = ann.ask("room:update", &json!({"room": mine, "name": name}));
            let bobs = bob.ask("room:update", &json!({"room": theirs, "name": name.to_uppercase()}));
            let answers = [anns.answer().await, bobs.answer().await];
            let made = answers.iter().filter(|answer| answer["ok"] == true).count();
            let refused = answers.iter().filter(|answer| answer["error"]["code"] == "conflict").count();
            assert_eq!((made, refused), (1, 1), "{answers:?}");
            assert_eq!(listed(&ann, &name).await.len(), 1);
        }
    }
}

on_both! {
    async fn an_archived_room_takes_no_messages_until_it_is_taken_back(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = shared(&ann, &bob, "Tea", "public").await;
        let said = bob.say(&room, "before").await;
        ann.ok("room:update", json!({"room": room, "archived": true})).await;
        updated(&bob, &room, |update| update["archived"] == true).await;
        for member in [&ann, &bob] {
            member.refused("message:send", json!({"room": room, "nonce": "n", "text": "x"}), "forbidden").await;
            member.refused("typing:set", json!({"room": room, "on": true}), "forbidden").await;
        }
        let history = bob.ok("history:get", json!({"room": room})).await;
        assert_eq!(history["messages"].as_array().expect("messages").len(), 1);
        ann.ok("read:mark", json!({"room": room, "offset": said["position"]["offset"]})).await;
        let again = bob.again(cluster.node(0)).await;
        assert_eq!(again.session_room(&room).expect("Bob's room")["archived"], true);
        ann.ok("room:update", json!({"room": room, "archived": false})).await;
        updated(&bob, &room, |update| update["archived"] == false).await;
        bob.say(&room, "after").await;
        ann.hear_text(&room, "after").await;
        bob.ok("room:leave", json!({"room": room})).await;
    }
}

on_both! {
    async fn a_room_is_changed_by_those_who_keep_order_there(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        let (public, private) = (shared(&ann, &bob, "Tea", "public").await, shared(&ann, &bob, "Tea", "private").await);
        let dm = ann.ok("dm:open", json!({"user": bob.id()})).await["room"].clone();
        let rename = |room: &Value| json!({"room": room, "name": "Eve's"});
        for room in [json!(public), json!(private), dm, json!("lobby")] {
            bob.refused("room:update", rename(&room), "forbidden").await;
        }
        eve.refused("room:update", rename(&json!(public)), "forbidden").await;
        for hidden in [json!(private), json!("rnowhere")] {
            eve.refused("room:update", rename(&hidden), "not_found").await;
        }
        for wrong in [
            json!({"room": public}),
            json!({"room": public, "name": "  "}),
            json!({"room": public, "name": "x".repeat(65)}),
            json!({"room": public, "topic": "x".repeat(257)}),
            json!({"room": public, "topic": "a\u{7}"}),
            json!({"room": public, "archived": "yes"}),
        ] {
            ann.refused("room:update", wrong, "bad_request").await;
        }
        ann.ok("room:update", json!({"room": public, "name": "Tea"})).await;
        ann.fence(&public, &[&bob]).await;
        assert!(bob.heard("room:updated").is_empty(), "what changes nothing is told to nobody");
    }
}
