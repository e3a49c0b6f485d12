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
