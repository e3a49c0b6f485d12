//! What passes also ends, whatever became of who began it: typing, presence, marks, and what is unread.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Bus, Client, Plan, until};

/// Longer than a notice of typing holds by itself.
const TYPING_ENDS: Duration = Duration::from_secs(12);

fn is(user: &Client, on: bool) -> impl Fn(&Value) -> bool {
    let id = user.id().to_owned();
    move |typing| typing["user"]["id"] == id && typing["on"] == on
}

/// Waits until somebody is told that another types no more, in less time than it may take.
async fn types_no_more(others: &[&Client], user: &Client) {
    let heard = async {
        for other in others {
            other.hear("typing", is(user, false)).await;
        }
    };
    tokio::time::timeout(TYPING_ENDS, heard).await.expect("typing that ends");
}

async fn type_in_lobby(user: &Client, others: &[&Client]) {
    // A socket that has just heard its session may not receive the room's signals yet.
    user.fence("lobby", others).await;
    user.ok("typing:set", json!({"room": "lobby", "on": true})).await;
    for other in others {
        other.hear("typing", is(user, true)).await;
    }
}

on_both! {
    async fn typing_ends_with_the_connection_of_who_typed(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        for politely in [true, false] {
            let bob = Client::guest(cluster.node(1), "Bob").await;
            type_in_lobby(&bob, &[&ann, &eve]).await;
            if politely {
                bob.close().await;
            } else {
                bob.vanish().await;
            }
            types_no_more(&[&ann, &eve], &bob).await;
        }
    }
}

on_both! {
    /// A page that hangs, or a client that never says that it stopped.
    async fn typing_that_is_not_repeated_ends_by_itself(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        type_in_lobby(&bob, &[&ann]).await;
        types_no_more(&[&ann], &bob).await;
        assert!(bob.heard("typing").is_empty(), "never to oneself: {:?}", bob.heard("typing"));
        bob.fence("lobby", &[&ann]).await;
        assert_eq!(ann.heard("typing").len(), 2, "{:?}", ann.heard("typing"));
    }
}

scenario! {
    async fn typing_ends_when_the_node_of_who_typed_is_killed() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        type_in_lobby(&bob, &[&ann]).await;
        cluster.node_mut(1).kill();
        types_no_more(&[&ann], &bob).await;
    }
}

scenario! {
    /// The node that they left lives on, and with it what it said of them.
    async fn who_leaves_while_the_store_is_away_is_not_shown_as_there_afterwards() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = ann.ok("dm:open", json!({"user": bob.id()})).await["room"].clone();
        bob.hear("room:added", |added| added["room"] == room).await;
        let shown = async |status: &str| {
            let answer = ann.ok("room:members", json!({"room": room})).await;
            let members = answer["members"].as_array().expect("members").clone();
            members.iter().any(|member| member["user"]["id"] == bob.id() && member["status"] == status)
        };
        until("Bob is shown as online", || async { shown("online").await.then_some(()) }).await;
        cluster.redis().stop().await;
        bob.close().await;
        // A reload is no news for two seconds; after that the node tries to tell the store.
        tokio::time::sleep(Duration::from_secs(4)).await;
        cluster.restart_redis().await;
        until("Bob is shown as offline", || async { shown("offline").await.then_some(()) }).await;
        ann.hear("presence", |presence| presence["user"]["id"] == bob.id() && presence["status"] == "offline").await;
    }
}

on_both! {
    /// Two sockets of one person mark in turn, on different nodes; a third one never hears of a mark that goes back.
    async fn marks_are_told_in_order(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let [one, other] = [ann.again(cluster.node(0)).await, ann.again(cluster.node(1)).await];
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let mut offsets = Vec::new();
        for number in 0..30 {
            offsets.push(bob.say("lobby", &format!("{number}")).await["position"]["offset"].clone());
        }
        let asked: Vec<_> = offsets
            .iter()
            .enumerate()
            .map(|(number, offset)| {
                let marker = if number % 2 == 0 { &one } else { &other };
                marker.ask("read:mark", &json!({"room": "lobby", "offset": offset}))
            })
            .collect();
        for ack in asked {
            assert_eq!(ack.answer().await["ok"], true);
        }
        // One that is late tells nothing that was not so any more.
        one.ok("read:mark", json!({"room": "lobby", "offset": offsets[3]})).await;
        ann.hear("read:marked", |marked| marked["offset"] == offsets[29]).await;
        other.fence("lobby", &[&ann, &one]).await;
        let told = ann.heard("read:marked");
        let told: Vec<u64> = told.iter().map(|marked| marked["offset"].as_u64().expect("an offset")).collect();
        assert!(told.is_sorted(), "{told:?}");
    }
}

on_both! {
    async fn what_retention_took_is_not_unread(bus) {
        let cluster = Plan::on(bus).flag("--retention-messages", "5").start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        ann.say("lobby", "first").await;
        ann.fence("lobby", &[&bob]).await;
        bob.say("lobby", "good night").await;
        bob.close().await;
        for number in 0..40 {
            ann.say("lobby", &format!("{number}")).await;
        }
        let back = bob.again(cluster.node(0)).await;
        let unread = back.session_room("lobby").expect("the lobby")["unread"].as_u64().expect("a number");
        let kept = back.ok("history:get", json!({"room": "lobby", "limit": 100})).await;
        let kept = kept["messages"].as_array().expect("messages").len() as u64;
        println!("{unread} unread of {kept} that are kept");
        assert!(unread <= kept && unread >= 5, "{unread} unread, {kept} are kept");
    }
}

on_both! {
    /// Nobody says anything any more, so that nothing is removed: what is too old is not unread all the same.
    async fn what_is_past_its_age_is_not_unread(bus) {
        let cluster = Plan::on(bus).flag("--retention-seconds", "4").start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        // What is read is kept of those who said or marked something.
        bob.say("lobby", "good night").await;
        bob.close().await;
        for number in 0..5 {
            ann.say("lobby", &format!("{number}")).await;
        }
        let unread = async |client: &Client| client.session_room("lobby").expect("the lobby")["unread"].as_u64();
        assert_eq!(unread(&bob.again(cluster.node(0)).await).await, Some(5));
        until("nothing is unread", || async {
            (unread(&bob.again(cluster.node(1)).await).await == Some(0)).then_some(())
        })
        .await;
    }
}
