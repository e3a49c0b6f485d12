//! What passes: who types, who is there, who has read what.

use serde_json::{Value, json};

use crate::harness::{Client, Plan, until};

async fn dm(ann: &Client, bob: &Client) -> String {
    let opened = ann.ok("dm:open", json!({"user": bob.id()})).await;
    let room = opened["room"].as_str().expect("the DM's id").to_owned();
    bob.hear("room:added", |added| added["room"] == room).await;
    room
}

fn is(user: &Client, status: &'static str) -> impl Fn(&Value) -> bool {
    let id = user.id().to_owned();
    move |presence| presence["user"]["id"] == id && presence["status"] == status
}

/// Waits until the members of a room show someone as she is.
async fn shows(asker: &Client, room: &str, user: &Client, status: &str) {
    until(&format!("{} is shown as {status}", user.id()), || async {
        let answer = asker.ok("room:members", json!({"room": room})).await;
        let members = answer["members"].as_array().expect("members");
        let member = members.iter().find(|member| member["user"]["id"] == user.id());
        let shown = &member.unwrap_or_else(|| panic!("{} is no member: {answer}", user.id()))["status"];
        (shown == status).then_some(())
    })
    .await;
}

on_both! {
    async fn typing_is_shown_to_others_and_not_to_ones_own_sockets(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let ann_too = ann.again(cluster.node(1)).await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let carl = Client::guest(cluster.node(0), "Carl").await;
        // A socket that has just heard its session may not receive the room's signals yet.
        ann.fence("lobby", &[&ann_too, &bob, &carl]).await;
        for on in [true, false] {
            ann.ok("typing:set", json!({"room": "lobby", "on": on})).await;
            for other in [&bob, &carl] {
                let typing = other.hear("typing", |typing| typing["on"] == on).await;
                assert_eq!((&typing["room"], &typing["user"]), (&json!("lobby"), &ann.session["user"]), "{typing}");
            }
        }
        let room = dm(&ann, &bob).await;
        // What passes is not kept for a socket that does not receive the room yet.
        bob.fence(&room, &[&ann, &ann_too]).await;
        bob.ok("typing:set", json!({"room": room, "on": true})).await;
        for socket in [&ann, &ann_too] {
            socket.hear("typing", |typing| typing["room"] == room).await;
        }
        bob.fence("lobby", &[&ann, &ann_too, &carl]).await;
        // On a slow machine one also hears that a notice ended by itself.
        for client in [&ann, &ann_too, &bob, &carl] {
            let begun: Vec<_> = client.heard("typing").into_iter().filter(|typing| typing["on"] == true).collect();
            assert_eq!(begun.len(), 1, "{begun:?}");
        }
        ann.refused("typing:set", json!({"room": "lobby"}), "bad_request").await;
        ann.refused("typing:set", json!({"room": "lobby", "on": 1}), "bad_request").await;
        let entries = ann.ok("history:get", json!({"room": "lobby"})).await;
        assert_eq!(entries["messages"].as_array().unwrap().len(), 2, "the fences; typing is not stored");
    }
}

on_both! {
    async fn who_shares_a_dm_or_a_private_room_hears_one_come_and_go(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let carl = Client::guest(cluster.node(0), "Carl").await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = dm(&ann, &bob).await;
        let made = carl.ok("room:create", json!({"name": "Secret", "kind": "private"})).await;
        carl.ok("room:invite", json!({"room": made["room"], "user": bob.id()})).await;
        bob.hear("room:added", |added| added["room"] == made["room"]).await;
        shows(&ann, &room, &bob, "online").await;

        bob.close().await;
        for friend in [&ann, &carl] {
            let gone = friend.hear("presence", is(&bob, "offline")).await;
            assert_eq!(gone["user"], bob.session["user"], "{gone}");
        }
        shows(&ann, &room, &bob, "offline").await;

        let back = bob.again(cluster.node(0)).await;
        for friend in [&ann, &carl] {
            friend.hear("presence", is(&bob, "online")).await;
        }
        shows(&ann, &room, &bob, "online").await;
        ann.fence("lobby", &[&eve, &back, &carl]).await;
        assert!(eve.heard("presence").is_empty(), "the lobby's presence is not pushed: {:?}", eve.heard("presence"));
        let own: Vec<_> = back.heard("presence").into_iter().filter(|presence| presence["user"]["id"] == bob.id()).collect();
        assert!(own.is_empty(), "never to oneself: {own:?}");
    }
}

on_both! {
    async fn one_of_two_sockets_closed_is_not_offline(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let bob_too = bob.again(cluster.node(1)).await;
        let room = dm(&ann, &bob).await;
        bob.close().await;
        // The way in which "offline" would come, used by another event after it.
        let carl = Client::guest(cluster.node(0), "Carl").await;
        dm(&ann, &carl).await;
        carl.close().await;
        ann.hear("presence", is(&carl, "offline")).await;
        shows(&ann, &room, &bob, "online").await;
        let gone: Vec<_> = ann.heard("presence").into_iter().filter(|presence| is(&bob, "offline")(presence)).collect();
        assert!(gone.is_empty(), "{gone:?}");
        bob_too.close().await;
        ann.hear("presence", is(&bob, "offline")).await;
    }
}

on_both! {
    async fn a_transport_cut_without_a_word_shows_as_offline_too(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        dm(&ann, &bob).await;
        bob.vanish().await;
        ann.hear("presence", is(&bob, "offline")).await;
    }
}

on_both! {
    async fn what_is_read_is_counted_and_never_unread_again(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let mut offsets = Vec::new();
        for number in 0..3 {
            offsets.push(bob.say("lobby", &format!("number {number}")).await["position"]["offset"].clone());
        }
        ann.say("lobby", "one's own is read").await;
        ann.fence("lobby", &[&bob]).await;
        let other = ann.again(cluster.node(1)).await;
        assert_eq!(other.session_room("lobby").unwrap()["unread"], 3, "others' messages: {}", other.session);

        let marked = ann.ok("read:mark", json!({"room": "lobby", "offset": offsets[1]})).await;
        assert_eq!(marked["unread"], 1, "{marked}");
        let heard = other.hear("read:marked", |_| true).await;
        assert_eq!(heard, json!({"room": "lobby", "offset": offsets[1], "unread": 1}));

        let back = ann.ok("read:mark", json!({"room": "lobby", "offset": offsets[0]})).await;
        assert_eq!(back["unread"], 1, "it never moves back: {back}");
        let third = ann.again(cluster.node(0)).await;
        assert_eq!(third.session_room("lobby").unwrap()["unread"], 1, "{}", third.session);

        let beyond = ann.ok("read:mark", json!({"room": "lobby", "offset": 1_000_000})).await;
        assert_eq!(beyond["unread"], 0, "{beyond}");
        let head = ann.position("lobby")["offset"].clone();
        let cut = other.hear("read:marked", |marked| marked["unread"] == 0).await;
        assert_eq!(cut["offset"], head, "cut at the head");
        bob.say("lobby", "after the cut").await;
        let fourth = ann.again(cluster.node(1)).await;
        assert_eq!(fourth.session_room("lobby").unwrap()["unread"], 1, "the mark did not go beyond: {}", fourth.session);

        ann.fence("lobby", &[&bob, &other]).await;
        assert!(ann.heard("read:marked").is_empty(), "to the other sockets only");
        assert!(bob.heard("read:marked").is_empty(), "to oneself only");
        for offset in [json!("1"), json!(-1), json!(1.5), Value::Null] {
            ann.refused("read:mark", json!({"room": "lobby", "offset": offset}), "bad_request").await;
        }
    }
}

on_both! {
    async fn joining_starts_read(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = ann.ok("room:create", json!({"name": "Open", "kind": "public"})).await["room"].clone();
        let room = room.as_str().unwrap();
        ann.say(room, "before").await;
        ann.say("lobby", "before").await;
        bob.ok("room:join", json!({"room": room})).await;
        let later = bob.again(cluster.node(0)).await;
        assert_eq!(later.session_room(room).unwrap()["unread"], 0, "{}", later.session);
        let newcomer = Client::guest(cluster.node(1), "New").await;
        assert_eq!(newcomer.session_room("lobby").unwrap()["unread"], 0, "{}", newcomer.session);
        ann.say(room, "after").await;
        bob.hear_text(room, "after").await;
        let later = bob.again(cluster.node(0)).await;
        assert_eq!(later.session_room(room).unwrap()["unread"], 1, "{}", later.session);
    }
}
