//! One's own sessions: what they are, how one ends, and what becomes of tokens.

use serde_json::{Value, json};

use crate::harness::{Bus, Client, Cluster, Connect, Node, Plan, stock};

/// How long a token is still accepted after a newer one was used.
const GRACE_MS: u64 = 60_000;

/// The code with which a token is refused, whatever else is said.
async fn is_refused(node: &Node, resume: &str) {
    for auth in [
        json!({"resume": resume}),
        json!({"resume": resume, "name": "Somebody"}),
        json!({"resume": resume, "name": "Somebody", "rotate": true}),
    ] {
        let refusal = Connect::with(&auth).try_to(node).await.err().expect("a refusal");
        assert_eq!(refusal.code(), "unauthenticated", "{auth}");
    }
}

/// Hears why its session ends, and then the end.
async fn is_signed_out(socket: &Client, session: &Value, reason: &str) {
    let told = socket.hear("session:revoked", |_| true).await;
    assert_eq!((&told["session"], &told["reason"]), (session, &json!(reason)));
    socket.ended().await;
}

on_both! {
    /// All sockets of one `resume` are one session.
    async fn a_person_sees_the_own_session(bus) {
        let cluster = Plan::on(bus).start().await;
        let auth = json!({"name": "Ann", "client": "a phone"});
        let ann = Connect::with(&auth).to(cluster.node(0)).await;
        let ann_too = ann.again(cluster.node(1)).await;
        assert_eq!(ann.session["session"], ann_too.session["session"]);
        for socket in [&ann, &ann_too] {
            let listed = socket.ok("session:list", json!({})).await;
            let [session] = &listed["sessions"].as_array().expect("sessions")[..] else { panic!("{listed}") };
            assert_eq!(session["session"], ann.session["session"]);
            assert_eq!((&session["client"], &session["current"]), (&json!("a phone"), &json!(true)));
            let [since, seen] = ["since", "lastSeen"].map(|field| session[field].as_u64().expect("a time"));
            assert!(since > 1_600_000_000_000 && seen >= since, "{session}");
        }
        let bob = Client::guest(cluster.node(1), "Bob").await;
        bob.refused("session:revoke", json!({"session": ann.session["session"]}), "not_found").await;
        bob.refused("session:revoke", json!({"session": "no-such-session"}), "not_found").await;
        ann.fence("lobby", &[&ann_too, &bob]).await;
    }
}

on_both! {
    async fn who_signs_out_is_signed_out_on_all_nodes_and_nobody_comes_back_by_the_token(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let elsewhere = ann.again(cluster.node(1)).await;
        let beside = ann.again(cluster.node(0)).await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = ann.create("Secret", "private").await;
        ann.ok("room:invite", json!({"room": room, "user": bob.id()})).await;
        let session = ann.session["session"].clone();

        // The one that asks is answered before it is closed.
        ann.ok("session:revoke", json!({"session": session})).await;
        for socket in [&ann, &elsewhere, &beside] {
            is_signed_out(socket, &session, "requested").await;
        }
        for node in [cluster.node(0), cluster.node(1)] {
            is_refused(node, ann.resume()).await;
        }
        bob.hear("presence", |presence| presence["user"]["id"] == ann.id() && presence["status"] == "offline").await;
        bob.fence("lobby", &[]).await;
        // A name alone is another guest.
        assert_ne!(Client::guest(cluster.node(0), "Ann").await.id(), ann.id());
    }
}

on_both! {
    /// What was asked for before, and waits, is not done.
    async fn a_flood_of_requests_does_not_delay_the_end(bus) {
        const FLOOD: usize = 1_000;
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let busy = ann.again(cluster.node(1)).await;
        for number in 0..FLOOD {
            drop(busy.ask("message:send", &json!({"room": "lobby", "nonce": format!("n{number}"), "text": "x"})));
        }
        ann.ok("session:revoke", json!({"session": ann.session["session"]})).await;
        busy.hear("session:revoked", |_| true).await;
        busy.ended().await;
        is_refused(cluster.node(0), ann.resume()).await;
    }
}

scenario! {
    /// The node does not hear the notice, and finds out.
    async fn a_node_that_hears_nothing_closes_the_sockets_of_a_revoked_session() {
        let cluster = Plan::on(Bus::Redis).with_bus_proxy().start().await;
        let ann = Client::guest(cluster.node(1), "Ann").await;
        let deaf = ann.again(cluster.node(0)).await;
        cluster.bus_proxy().wedge_present();
        ann.ok("session:revoke", json!({"session": ann.session["session"]})).await;
        is_signed_out(&deaf, &ann.session["session"], "requested").await;
        is_refused(cluster.node(0), ann.resume()).await;
    }
}

on_both! {
    /// A stock client fixes its `auth` at the start, and comes back with it for hours.
    async fn the_first_token_of_a_client_that_does_not_rotate_stays_good(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        for number in 0..5 {
            let again = ann.again(cluster.node(number % 2)).await;
            assert_eq!((again.id(), again.resume()), (ann.id(), ann.resume()));
            again.close().await;
        }
    }
}

async fn rotate(node: &Node, resume: &str) -> Client {
    Connect::with(&json!({"resume": resume, "rotate": true})).to(node).await
}

on_both! {
    async fn a_client_that_rotates_gets_a_new_token_at_each_connect(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Connect::with(&json!({"name": "Ann", "rotate": true})).to(cluster.node(0)).await;
        let second = rotate(cluster.node(1), ann.resume()).await;
        assert_eq!(second.id(), ann.id());
        assert_ne!(second.resume(), ann.resume());
        // The answer may be lost, and other tabs may have the same one.
        let again = rotate(cluster.node(0), ann.resume()).await;
        assert_ne!(again.resume(), second.resume());
        for resume in [second.resume(), again.resume(), ann.resume()] {
            assert_eq!(rotate(cluster.node(1), resume).await.id(), ann.id());
        }
    }
}

/// Makes the session look as if so much time had passed since its newest token was used.
async fn pass(cluster: &mut Cluster, client: &Client, millis: u64) {
    let key = format!("chat:{{user:{}}}:f", client.id());
    let field = format!("s:{}", client.session["session"].as_str().expect("an id"));
    let stored = cluster.redis().ask(&["HGET", &key, &field]).await;
    let mut record: Value = serde_json::from_str(&stored[0]).expect("a record");
    let at = record["rotation"]["at"].as_u64().expect("a session that rotates");
    record["rotation"]["at"] = json!(at - millis);
    cluster.redis().ask(&["HSET", &key, &field, &record.to_string()]).await;
}

scenario! {
    /// A thief who copied a token, and the one it was stolen from: whoever comes second with an old one ends it for both.
    async fn an_old_token_that_is_used_again_ends_the_session_on_all_nodes() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Connect::with(&json!({"name": "Ann", "rotate": true})).to(cluster.node(0)).await;
        // From here on it is stored, and what becomes of its tokens is noticed.
        ann.say("lobby", "hello").await;
        pass(&mut cluster, &ann, GRACE_MS).await;
        let newer = rotate(cluster.node(1), ann.resume()).await;
        pass(&mut cluster, &ann, GRACE_MS).await;
        let newest = rotate(cluster.node(0), newer.resume()).await;
        // In time it is another tab.
        let tab = rotate(cluster.node(1), ann.resume()).await;
        pass(&mut cluster, &ann, GRACE_MS).await;
        // Later it is not, whatever it says of itself.
        is_refused(cluster.node(1), ann.resume()).await;
        for socket in [&ann, &newer, &newest, &tab] {
            is_signed_out(socket, &ann.session["session"], "token_reused").await;
        }
        for socket in [&ann, &newer, &newest, &tab] {
            is_refused(cluster.node(0), socket.resume()).await;
        }
    }
}

scenario! {
    /// It is in the store, not with the nodes that were told.
    async fn what_is_revoked_stays_so_for_nodes_that_start_later() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        ann.ok("session:revoke", json!({"session": ann.session["session"]})).await;
        cluster.node_mut(1).kill();
        cluster.node_mut(1).restart().await;
        is_refused(cluster.node(1), ann.resume()).await;
        let key = format!("chat:{{user:{}}}:f", ann.id());
        let left = cluster.redis().ask(&["PTTL", &key]).await[0].parse::<u64>().expect("a time to live");
        let month = 30 * 24 * 3_600_000;
        assert!(left <= month && left > month - 600_000, "the mark lives as long as a token could: {left} ms");
    }
}

async fn javascript(transport: &'static str) {
    let cluster = Plan::on(Bus::Redis).start().await;
    let urls = [cluster.node(0).url(), cluster.node(1).url()];
    let printed = tokio::task::spawn_blocking(move || {
        stock::node("clients/js", "sessions.cjs", &[&urls[0], &urls[1], transport])
    });
    let printed = printed.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
    println!("{printed}");
    assert!(printed.lines().any(|line| line == "done"), "{printed}");
}

scenario! {
    async fn a_stock_client_stays_with_its_first_token_and_away_once_it_is_revoked_over_web_socket() {
        javascript("websocket").await;
    }
}

scenario! {
    async fn a_stock_client_stays_with_its_first_token_and_away_once_it_is_revoked_over_polling() {
        javascript("polling").await;
    }
}
