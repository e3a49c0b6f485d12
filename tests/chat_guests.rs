//! Guests of whom nothing is stored: they read, are seen, and come back; and leave nothing behind.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::nonce;
use crate::harness::connect::Stream;
use crate::harness::{Bus, Client, Cluster, Connect, Node, Plan, is_full, until};

/// 5,000 guests, as the documents count them.
const FULL: &str = "GUESTS_FULL";
/// As long as a guest is remembered, in milliseconds.
const MONTH: i64 = 30 * 24 * 3_600_000;

/// A guest who connects and says nothing. Keeps no more than its socket.
async fn silent(node: &Node, number: usize) -> Stream {
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", node.authority());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("a socket");
    let connect = format!("40{{\"name\":\"Guest {number}\",\"rotate\":true}}");
    socket.send(Message::text(connect)).await.expect("to be sent");
    while !socket.next().await.expect("an event").expect("a message").to_string().contains("\"session\"") {}
    socket
}

async fn silent_crowd(node: &Node) -> Vec<Stream> {
    const AT_ONCE: usize = 50;
    let many = if is_full(FULL) { 5_000 } else { 1_000 };
    let mut crowd = Vec::with_capacity(many);
    for first in (0..many).step_by(AT_ONCE) {
        crowd.extend(join_all((first..first + AT_ONCE).map(|number| silent(node, number))).await);
    }
    crowd
}

/// The crowd goes, as it came: the node knows of none of it any more.
async fn goes(node: &Node, crowd: Vec<Stream>) {
    drop(crowd);
    let ann = Client::guest(node, "Ann").await;
    until("those who went are not there", async || {
        let members = ann.ok("room:members", json!({"room": "lobby", "limit": 100})).await;
        (members["members"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    ann.close().await;
}

/// Fields of all hashes, as a number; how many keys there are; and the bytes of it.
async fn redis(cluster: &mut Cluster) -> (i64, i64, u64) {
    let fields = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*')) do \
        if redis.call('TYPE', key).ok == 'hash' then n = n + redis.call('HLEN', key) end end return n";
    let number = |answer: Vec<String>| answer[0].parse().expect("a number");
    let info = cluster.redis().ask(&["INFO", "memory"]).await;
    let used = info.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix("used_memory:"));
    let used = used.and_then(|bytes| bytes.trim().parse().ok()).expect("used_memory");
    (number(cluster.redis().ask(&["DBSIZE"]).await), number(cluster.redis().ask(&["EVAL", fields, "0"]).await), used)
}

scenario! {
    /// Whoever only comes and goes costs Redis nothing that stays.
    async fn silent_guests_leave_nothing_in_redis() {
        let mut cluster = Plan::on(Bus::Redis).nodes(1).start().await;
        // What a first guest brings is there: the scripts, and the keys of presence and analytics.
        let first = silent(cluster.node(0), 0).await;
        goes(cluster.node(0), vec![first]).await;
        let before = redis(&mut cluster).await;
        let crowd = silent_crowd(cluster.node(0)).await;
        let (many, during) = (crowd.len(), redis(&mut cluster).await);
        goes(cluster.node(0), crowd).await;
        let after = redis(&mut cluster).await;
        println!("{many} silent guests: keys, fields and bytes {before:?} before, {during:?} with them, {after:?} after");
        let (keys, fields) = (after.0 - before.0, after.1 - before.1);
        // Analytics count users and sockets by the hour, whose end may lie in between.
        assert!(keys < 10 && fields < 20, "{keys} keys and {fields} fields more");
    }
}

/// The keys in Redis that name a guest or its session, and how long each lives.
async fn kept(cluster: &mut Cluster, client: &Client) -> Vec<(String, i64)> {
    let session = client.session["session"].as_str().expect("an id").to_owned();
    let mut kept = Vec::new();
    for pattern in [format!("chat:{{user:{}}}*", client.id()), format!("chat:{{session:{session}}}*")] {
        for key in cluster.redis().ask(&["KEYS", &pattern]).await {
            let left = cluster.redis().ask(&["PTTL", &key]).await[0].parse().expect("a time to live");
            kept.push((key, left));
        }
    }
    kept
}

/// Whether the lobby keeps something of a guest: its mark, or how much it wrote.
async fn is_in_lobby(cluster: &mut Cluster, user: &str) -> bool {
    let script = "local field = string.char(255) local key = 'chat:{room:lobby}:f' \
        return redis.call('HEXISTS', key, field .. 'm:' .. ARGV[1]) + redis.call('HEXISTS', key, field .. 'a:' .. ARGV[1])";
    cluster.redis().ask(&["EVAL", script, "0", user]).await[0] != "0"
}

scenario! {
    /// Every request of a guest that changes nothing leaves it as it is, and every other one stores it, to be forgotten as
    /// a whole.
    async fn a_guest_is_stored_when_it_first_says_or_changes_something() {
        let mut cluster = Plan::on(Bus::Redis).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let room = ann.create("Kitchen", "public").await;
        let said = ann.say("lobby", "hello").await;
        let epoch = said["position"]["epoch"].clone();
        for (event, payload, stores) in [
            ("history:get", json!({"room": "lobby"}), false),
            ("log:get", json!({"room": "lobby", "epoch": epoch, "after": 0}), false),
            ("room:members", json!({"room": "lobby"}), false),
            ("room:list", json!({}), false),
            ("session:list", json!({}), false),
            ("typing:set", json!({"room": "lobby", "on": true}), false),
            ("message:send", json!({"room": "lobby", "nonce": nonce(), "text": "hi"}), true),
            ("read:mark", json!({"room": "lobby", "offset": 1}), true),
            ("room:create", json!({"name": "Own", "kind": "private"}), true),
            ("room:join", json!({"room": room}), true),
            ("dm:open", json!({"user": ann.id()}), true),
            ("profile:set", json!({"invites": "none"}), true),
            ("user:block", json!({"user": ann.id(), "on": true}), true),
        ] {
            let guest = Client::guest(cluster.node(0), "Guest").await;
            guest.ok(event, payload).await;
            let kept = kept(&mut cluster, &guest).await;
            let times: BTreeSet<bool> = kept.iter().map(|(_, left)| (MONTH - 600_000..=MONTH).contains(left)).collect();
            assert_eq!(times, if stores { [true].into() } else { [].into() }, "{event}: {kept:?}");
            assert_eq!(is_in_lobby(&mut cluster, guest.id()).await, stores, "{event}");
            let again = guest.again(cluster.node(0)).await;
            assert_eq!((again.id(), &again.session["recovered"]), (guest.id(), &json!(true)), "{event}");
            guest.close().await;
            again.close().await;
        }
    }
}

on_both! {
    /// What somebody does to a guest is kept for it, though it said nothing itself; on another node, too.
    async fn others_see_and_reach_a_guest_who_is_not_stored(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        for node in [cluster.node(0), cluster.node(1)] {
            let reader = Client::guest(node, "Reader").await;
            let members = reader.ok("room:members", json!({"room": "lobby"})).await;
            let is_bob = |member: &&Value| member["user"]["id"] == bob.id();
            let found = members["members"].as_array().expect("members").iter().find(is_bob).expect("Bob");
            assert_eq!((&found["user"]["name"], &found["status"]), (&json!("Bob"), &json!("online")));
            reader.close().await;
        }
        let dm = ann.ok("dm:open", json!({"user": bob.id()})).await["room"].clone();
        let dm = dm.as_str().expect("a room");
        bob.hear("room:added", |added| added["room"] == dm).await;
        let room = ann.create("Kitchen", "private").await;
        assert_eq!(ann.ok("room:invite", json!({"room": room, "user": bob.id()})).await["added"], true);
        bob.hear("room:added", |added| added["room"] == room).await;
        ann.ok("user:block", json!({"user": eve.id(), "on": true})).await;
        eve.refused("dm:open", json!({"user": ann.id()}), "forbidden").await;
        ann.refused("dm:open", json!({"user": "nobody"}), "not_found").await;

        ann.say(dm, "are you there?").await;
        bob.hear_text(dm, "are you there?").await;
        let again = bob.again(cluster.node(0)).await;
        assert_eq!(again.id(), bob.id());
        for room in [dm, &room] {
            assert!(again.session_room(room).is_some(), "{room}: {}", again.session);
        }
        bob.close().await;
        again.close().await;
        let heard = ann.hear("presence", |presence| presence["user"]["id"] == bob.id() && presence["status"] == "offline");
        assert_eq!(heard.await["user"]["name"], "Bob");
        // It is there still, for whoever writes to it.
        ann.say(dm, "later, then").await;
        let back = bob.again(cluster.node(1)).await;
        assert_eq!(back.session_room(dm).expect("the direct message")["unread"], 2);
    }
}

on_both! {
    /// A guest who only reads goes on where it was, and is told what it missed.
    async fn a_guest_who_is_not_stored_comes_back_to_its_positions(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        for rotate in [false, true] {
            let bob = Connect::with(&json!({"name": "Bob", "rotate": rotate})).to(cluster.node(0)).await;
            ann.say("lobby", "before").await;
            bob.hear_text("lobby", "before").await;
            let positions = json!({"lobby": bob.position("lobby")});
            bob.close().await;
            ann.say("lobby", "meanwhile").await;
            let auth = json!({"resume": bob.resume(), "positions": positions, "rotate": rotate});
            let back = Connect::with(&auth).to(cluster.node(1)).await;
            assert_eq!((back.id(), &back.session["user"]["name"]), (bob.id(), &json!("Bob")));
            assert_eq!(back.session["recovered"], true, "{}", back.session);
            back.hear_text("lobby", "meanwhile").await;
            assert_eq!(back.resume() == bob.resume(), !rotate);
            back.say("lobby", "stored now").await;
            assert_eq!(back.again(cluster.node(0)).await.id(), bob.id());
        }
    }
}

scenario! {
    async fn a_guest_who_is_not_stored_survives_the_death_of_its_node() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        cluster.node_mut(0).kill();
        let back = bob.again(cluster.node(1)).await;
        assert_eq!((back.id(), &back.session["recovered"]), (bob.id(), &json!(true)));
        let ann = Client::guest(cluster.node(1), "Ann").await;
        ann.ok("dm:open", json!({"user": bob.id()})).await;
        back.hear("room:added", |_| true).await;
    }
}

on_both! {
    /// What is there before a guest says something is not unread; what comes later is.
    async fn a_new_guest_has_read_the_lobby_up_to_where_it_came(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        for _ in 0..3 {
            ann.say("lobby", "long ago").await;
        }
        let bob = Client::guest(cluster.node(1), "Bob").await;
        for text in ["one", "two"] {
            ann.say("lobby", text).await;
            bob.hear_text("lobby", text).await;
        }
        let unread = async |client: &Client| client.again(cluster.node(0)).await.session_room("lobby").expect("it")["unread"].clone();
        assert_eq!(unread(&bob).await, 0, "nothing is known of a guest who is not stored");
        let marked = bob.ok("read:mark", json!({"room": "lobby", "offset": bob.position("lobby")["offset"].as_u64().expect("it") - 1})).await;
        assert_eq!(marked["unread"], 1);
        assert_eq!(unread(&bob).await, 1);
    }
}

scenario! {
    /// The day after a guest is gone for good, nothing in the lobby tells of it but what it said.
    async fn what_a_guest_left_in_the_lobby_goes_with_it() {
        let mut cluster = Plan::on(Bus::Redis).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        for client in [&ann, &bob] {
            client.say("lobby", "hello").await;
        }
        bob.close().await;
        for (key, _) in kept(&mut cluster, &bob).await {
            cluster.redis().ask(&["DEL", &key]).await;
        }
        assert!(is_in_lobby(&mut cluster, bob.id()).await);
        // A day later.
        cluster.redis().ask(&["HSET", "chat:{cluster}:f", "lobby-readers", "0"]).await;
        cluster.node_mut(0).kill();
        cluster.node_mut(0).restart().await;
        for _ in 0..1_000 {
            if !is_in_lobby(&mut cluster, bob.id()).await {
                break;
            }
            tokio::time::sleep(crate::harness::INTERVAL).await;
        }
        assert!(!is_in_lobby(&mut cluster, bob.id()).await);
        assert!(is_in_lobby(&mut cluster, ann.id()).await);
        let history = ann.again(cluster.node(0)).await.ok("history:get", json!({"room": "lobby"})).await;
        assert_eq!(history["messages"].as_array().map(Vec::len), Some(2));
    }
}
