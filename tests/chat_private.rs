//! What is not for everybody: private rooms, invites and direct messages.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::{Client, Plan, until};

async fn private_room(client: &Client) -> String {
    let made = client.ok("room:create", json!({"name": "Secret", "kind": "private"})).await;
    made["room"].as_str().expect("the room's id").to_owned()
}

/// Every request about a room that is not one's own is answered as if the room did not exist.
async fn looks_as_if_it_did_not_exist(outsider: &Client, room: &str, position: &Value) {
    let requests = |room: &str| {
        [
            ("room:join", json!({"room": room})),
            ("room:join", json!({"room": room, "since": position})),
            ("history:get", json!({"room": room})),
            ("history:get", json!({"room": room, "before": 5})),
            ("log:get", json!({"room": room, "epoch": position["epoch"], "after": 0})),
            ("room:members", json!({"room": room})),
            ("message:send", json!({"room": room, "nonce": "n", "text": "let me in"})),
            ("typing:set", json!({"room": room, "on": true})),
            ("read:mark", json!({"room": room, "offset": 1})),
            ("room:invite", json!({"room": room})),
            ("room:invite", json!({"room": room, "user": outsider.id()})),
            ("room:leave", json!({"room": room})),
        ]
    };
    for ((event, real), (_, missing)) in requests(room).into_iter().zip(requests("no-such-room")) {
        let hidden = outsider.refused(event, real, "not_found").await;
        let absent = outsider.refused(event, missing, "not_found").await;
        assert_eq!(hidden, absent, "{event} tells a hidden room from none");
    }
    let list = outsider.ok("room:list", json!({"limit": 100})).await;
    assert!(!list.to_string().contains(room), "{list}");
    assert!(outsider.session_room(room).is_none());
}

on_both! {
    async fn a_private_room_does_not_exist_for_who_is_not_in_it(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        let room = private_room(&ann).await;
        let said = ann.say(&room, "between us").await;
        looks_as_if_it_did_not_exist(&eve, &room, &said["position"]).await;

        ann.fence(&room, &[]).await;
        ann.fence("lobby", &[&eve]).await;
        let heard = [eve.heard("message:new"), eve.heard("typing"), eve.heard("room:added")].concat();
        assert!(heard.iter().all(|event| event["room"] == "lobby"), "{heard:?}");
        let members = ann.ok("room:members", json!({"room": room})).await;
        assert_eq!(members["members"].as_array().unwrap().len(), 1, "{members}");
    }
}

on_both! {
    async fn who_is_invited_hears_of_the_room_on_every_socket_and_is_in_it(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let bob_too = bob.again(cluster.node(0)).await;
        let room = private_room(&ann).await;
        ann.say(&room, "before you came").await;
        ann.ok("room:invite", json!({"room": room, "user": bob.id()})).await;
        for socket in [&bob, &bob_too] {
            let added = socket.hear("room:added", |added| added["room"] == room).await;
            assert_eq!((&added["name"], &added["kind"]), (&json!("Secret"), &json!("private")), "{added}");
            assert_eq!((&added["role"], &added["unread"]), (&json!("member"), &json!(0)), "{added}");
            assert!(added["topic"].is_string() && added["position"]["epoch"].is_string(), "{added}");
        }
        let joined = ann.hear("member:joined", |joined| joined["user"]["id"] == bob.id()).await;
        assert_eq!(joined["room"], room.as_str());
        ann.say(&room, "welcome").await;
        for socket in [&bob, &bob_too] {
            socket.hear_text(&room, "welcome").await;
        }
        bob.say(&room, "thanks").await;
        ann.hear_text(&room, "thanks").await;
        let history = bob.ok("history:get", json!({"room": room})).await;
        assert_eq!(history["messages"][0]["text"], "before you came", "{history}");

        ann.refused("room:invite", json!({"room": room, "user": "no-such-user"}), "not_found").await;
        ann.refused("room:invite", json!({"room": room, "user": 5}), "bad_request").await;

        // Who left is an outsider again.
        bob.ok("room:leave", json!({"room": room})).await;
        bob.hear("member:left", |left| left["room"] == room && left["user"]["id"] == bob.id()).await;
        looks_as_if_it_did_not_exist(&bob, &room, &json!({"epoch": "e", "offset": 1})).await;
    }
}

on_both! {
    async fn an_invite_link_is_spent_exactly_as_often_as_it_says(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let room = private_room(&ann).await;
        let invite = ann.ok("room:invite", json!({"room": room, "uses": 2})).await["invite"].clone();
        assert!(invite.is_string(), "a token");
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let joined = bob.ok("room:accept", json!({"invite": invite})).await;
        assert_eq!((&joined["room"], &joined["name"]), (&json!(room), &json!("Secret")), "as room:join: {joined}");
        assert!(joined["messages"].is_array() && joined["position"]["offset"].is_u64(), "{joined}");
        ann.hear("member:joined", |joined| joined["user"]["id"] == bob.id()).await;
        ann.fence(&room, &[&bob]).await;

        let carl = Client::guest(cluster.node(0), "Carl").await;
        carl.ok("room:accept", json!({"invite": invite})).await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        eve.refused("room:accept", json!({"invite": invite}), "not_found").await;
        eve.refused("room:accept", json!({"invite": "no-such-invite"}), "not_found").await;
        eve.refused("room:accept", json!({"invite": ""}), "not_found").await;
        eve.refused("room:accept", json!({"invite": 5}), "bad_request").await;
        eve.refused("room:accept", json!({}), "bad_request").await;
    }
}

on_both! {
    async fn of_many_who_race_for_the_last_use_on_all_nodes_one_wins(bus) {
        let cluster = Plan::on(bus).nodes(3).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let mut guests = Vec::new();
        for number in 0..6 {
            guests.push(Client::guest(cluster.node(number), &format!("guest {number}")).await);
        }
        for _ in 0..5 {
            let room = private_room(&ann).await;
            // Once is what it is good for unless told.
            let invite = ann.ok("room:invite", json!({"room": room})).await["invite"].clone();
            let attempts: Vec<_> =
                guests.iter().map(|guest| guest.ask("room:accept", &json!({"invite": invite}))).collect();
            let (mut let_in, mut refused) = (0, 0);
            for attempt in attempts {
                let answer = attempt.answer().await;
                if answer["ok"] == true {
                    let_in += 1;
                } else {
                    assert_eq!(answer["error"]["code"], "not_found", "{answer}");
                    refused += 1;
                }
            }
            assert_eq!((let_in, refused), (1, 5));
            let members = ann.ok("room:members", json!({"room": room})).await;
            assert_eq!(members["members"].as_array().unwrap().len(), 2, "{members}");
        }
    }
}

on_both! {
    async fn an_invite_link_ends_when_its_time_is_over(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = private_room(&ann).await;
        let request = json!({"room": room, "uses": 1_000, "expiresInSeconds": 1});
        let invite = ann.ok("room:invite", request).await["invite"].clone();
        let long = json!({"room": room, "uses": 1_000, "expiresInSeconds": 3_600});
        let long = ann.ok("room:invite", long).await["invite"].clone();
        until("the link expires", || async {
            let answer = bob.request("room:accept", json!({"invite": invite})).await;
            if answer["ok"] == true {
                bob.ok("room:leave", json!({"room": room})).await;
                bob.hear("member:left", |left| left["user"]["id"] == bob.id()).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
                return None;
            }
            assert_eq!(answer["error"]["code"], "not_found", "{answer}");
            Some(())
        })
        .await;
        bob.ok("room:accept", json!({"invite": long})).await;
    }
}

on_both! {
    async fn a_dm_is_one_room_whoever_opens_it_and_only_of_two(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let bob_too = bob.again(cluster.node(0)).await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        let opened = ann.ok("dm:open", json!({"user": bob.id()})).await;
        let room = opened["room"].as_str().expect("an id").to_owned();
        for socket in [&ann, &bob, &bob_too] {
            let added = socket.hear("room:added", |added| added["room"] == room).await;
            assert_eq!(added["kind"], "dm", "{added}");
        }
        assert_eq!(bob.ok("dm:open", json!({"user": ann.id()})).await["room"], room.as_str());
        assert_eq!(ann.ok("dm:open", json!({"user": bob.id()})).await["room"], room.as_str());

        let said = ann.say(&room, "just you").await;
        for socket in [&ann, &bob, &bob_too] {
            socket.hear_text(&room, "just you").await;
        }
        bob.say(&room, "and you").await;
        ann.hear_text(&room, "and you").await;
        looks_as_if_it_did_not_exist(&eve, &room, &said["position"]).await;

        let invite = ann.request("room:invite", json!({"room": room, "user": eve.id()})).await;
        assert_eq!(invite["ok"], false, "nobody is invited into a DM: {invite}");
        let link = ann.request("room:invite", json!({"room": room})).await;
        assert_eq!(link["ok"], false, "there are no links into a DM: {link}");
        ann.fence("lobby", &[&eve]).await;
        assert!(eve.heard("room:added").is_empty());

        ann.refused("dm:open", json!({"user": "no-such-user"}), "not_found").await;
        ann.refused("dm:open", json!({}), "bad_request").await;
        let later = bob.again(cluster.node(0)).await;
        assert_eq!(later.session_room(&room).expect("the DM")["kind"], "dm");
    }
}

on_both! {
    /// The news of a membership takes its time, and the room does not wait for it: what was said since belongs to the
    /// member all the same. The client itself checks that the offsets rise by one from where `room:added` begins.
    async fn what_is_said_right_after_an_invite_reaches_the_invited(bus) {
        const SAID: usize = 5;
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        for number in 0..20 {
            let room = ann.create(&format!("room {number}"), "private").await;
            let invited = ann.ask("room:invite", &json!({"room": room, "user": bob.id()}));
            let texts: Vec<String> = (0..SAID).map(|said| format!("{number}:{said}")).collect();
            for text in &texts {
                // Not waiting for the answer, so that it is said at once; that it was stored shows in that Bob hears it.
                drop(ann.ask("message:send", &json!({"room": room, "nonce": nonce(), "text": text})));
            }
            assert_eq!(invited.answer().await["ok"], true);
            for text in &texts {
                bob.hear_text(&room, text).await;
            }
        }
    }
}

on_both! {
    async fn a_dm_opened_from_both_sides_at_once_is_one_room(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        for number in 0..5 {
            let bob = Client::guest(cluster.node(1), &format!("Bob {number}")).await;
            let here = ann.ask("dm:open", &json!({"user": bob.id()}));
            let there = bob.ask("dm:open", &json!({"user": ann.id()}));
            let (here, there) = (here.answer().await, there.answer().await);
            assert!(here["room"].is_string(), "{here}");
            assert_eq!(here["room"], there["room"]);
            let room = here["room"].as_str().unwrap();
            ann.fence(room, &[&bob]).await;
            bob.fence(room, &[&ann]).await;
        }
    }
}
