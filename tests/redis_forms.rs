//! The chat over Redis as people run it: over TLS, with the rights of docs/redis-users.acl.

use serde_json::json;

use crate::harness::client::nonce;
use crate::harness::redis_set::{Form, RedisSet, Version};
use crate::harness::{Client, Plan, run, until};

/// Three people on three nodes, a message, a room, a nonce sent again elsewhere, a node that dies.
pub(crate) fn is_a_chat(form: Form, version: Version) {
    run(async {
        let redis = RedisSet::start(form, version);
        let mut cluster = Plan::over(&redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let eve = Client::guest(cluster.node(2), "Eve").await;
        let sent = ann.say("lobby", "to everybody").await;
        for client in [&ann, &bob, &eve] {
            assert_eq!(client.hear_text("lobby", "to everybody").await["id"], sent["id"]);
        }
        let room = ann.create("Elsewhere", "public").await;
        bob.ok("room:join", json!({"room": room})).await;
        let send = json!({"room": room, "nonce": nonce(), "text": "once"});
        let first = bob.ok("message:send", send.clone()).await;
        let other = bob.again(cluster.node(2)).await;
        assert_eq!(other.ok("message:send", send).await, first, "on another node");
        ann.hear_text(&room, "once").await;
        assert_eq!(ann.heard_in("message:new", &room).len(), 1);

        cluster.node_mut(1).kill();
        ann.say("lobby", "without a node").await;
        eve.hear_text("lobby", "without a node").await;
        let back = bob.again(cluster.node(0)).await;
        let history = back.ok("history:get", json!({"room": "lobby"})).await;
        assert_eq!(history["messages"].as_array().expect("messages").len(), 2, "{history}");
    });
}

#[test]
fn a_redis_7_with_tls_is_a_chat() {
    is_a_chat(Form::Standalone, Version::Machine);
}

#[test]
fn redis_7_behind_sentinels_is_a_chat() {
    is_a_chat(Form::Sentinel, Version::Machine);
}

#[test]
fn a_cluster_of_redis_7_is_a_chat() {
    is_a_chat(Form::Cluster, Version::Machine);
}

/// Says something until it is stored.
async fn say_at_last(client: &Client, text: &str) {
    let nonce = nonce();
    until("the message is stored", || async {
        let sent = client.request("message:send", json!({"room": "lobby", "nonce": nonce, "text": text})).await;
        sent["ok"].as_bool().filter(|ok| *ok)
    })
    .await;
}

#[test]
fn a_chat_goes_on_when_its_primary_dies_behind_sentinels() {
    run(async {
        let mut redis = RedisSet::start(Form::Sentinel, Version::Machine);
        let cluster = Plan::over(&redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        ann.say("lobby", "before").await;
        bob.hear_text("lobby", "before").await;
        redis.tell("kill a");
        say_at_last(&ann, "after").await;
        bob.hear_text("lobby", "after").await;
        say_at_last(&bob, "and back").await;
        ann.hear_text("lobby", "and back").await;
    });
}

#[test]
fn a_chat_goes_on_when_slots_move_and_a_shard_dies() {
    run(async {
        let mut redis = RedisSet::start(Form::Cluster, Version::Machine);
        let cluster = Plan::over(&redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let slot: u16 = redis.tell("cli a cluster keyslot 'chat:{room:lobby}'")[0].parse().expect("a slot");
        let (home, other) = match slot {
            0..=5461 => ("a", "b"),
            5462..=10922 => ("b", "c"),
            _ => ("c", "a"),
        };
        for (number, (from, to)) in [(home, other), (other, home)].into_iter().enumerate() {
            redis.tell(&format!("move {slot} {from} {to}"));
            let text = format!("moved {number}");
            say_at_last(&ann, &text).await;
            bob.hear_text("lobby", &text).await;
        }
        redis.tell(&format!("kill {home}"));
        say_at_last(&bob, "after").await;
        ann.hear_text("lobby", "after").await;
        // The node was never taken for deaf, nor out of service.
        let ready = reqwest::get(cluster.node(0).admin_url("/readyz")).await.expect("an answer");
        assert!(ready.status().is_success());
        let heard: Vec<_> = ann.heard_in("message:new", "lobby");
        assert_eq!(heard.len(), 3, "each once: {heard:?}");
    });
}
