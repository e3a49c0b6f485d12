//! What dies, and what must not be lost with it.

use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::{Bus, Client, Connect, Node, Plan, Refusal, until};

/// Sends until it is stored; every refusal on the way must be one that passes.
async fn send_until_stored(client: &Client, payload: &Value) -> Value {
    until("the send is stored", async || {
        let answer = client.request("message:send", payload.clone()).await;
        if answer["ok"] == true {
            return Some(answer);
        }
        assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
        assert_eq!(answer["error"]["temporary"], true, "{answer}");
        None
    })
    .await
}

async fn guest_when_possible(node: &Node, name: &str) -> Client {
    until(&format!("{} takes a guest", node.id()), async || Connect::guest(name).try_to(node).await.ok()).await
}

/// Stock clients go on trying after a 503, over both transports.
async fn refused_for_now(node: &Node) {
    until(&format!("{} refuses handshakes", node.id()), async || match Connect::guest("Eve").try_to(node).await {
        Err(Refusal::Http(503, Some(wait))) => {
            assert!(wait.parse::<u32>().is_ok(), "Retry-After: {wait}");
            Some(())
        }
        Err(Refusal::Http(status, wait)) => panic!("status {status}, Retry-After {wait:?}"),
        Err(Refusal::Connect(error)) => panic!("a CONNECT_ERROR stops a stock client for good: {error}"),
        Err(Refusal::Transport(_)) | Ok(_) => None,
    })
    .await;
    let url = format!("{}/socket.io/?EIO=4&transport=polling", node.url());
    let answer = reqwest::get(url).await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"), "{:?}", answer.headers());
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["text"].as_str().expect("a text")).collect()
}

async fn history(client: &Client) -> Vec<Value> {
    let answer = client.ok("history:get", json!({"room": "lobby", "limit": 100})).await;
    answer["messages"].as_array().expect("messages").clone()
}

scenario! {
    async fn nodes_wait_for_a_redis_that_is_absent_at_the_start() {
        let mut cluster = Plan::on(Bus::Redis).start_without_redis().await;
        for number in 0..cluster.len() {
            let node = cluster.node(number);
            refused_for_now(node).await;
            let live = reqwest::get(node.admin_url("/livez")).await.expect("an answer");
            assert_eq!(live.status(), 200, "it lives, and waits");
        }
        cluster.redis().start().await;
        let ann = guest_when_possible(cluster.node(0), "Ann").await;
        let bob = guest_when_possible(cluster.node(1), "Bob").await;
        ann.fence("lobby", &[&bob]).await;
        bob.fence("lobby", &[&ann]).await;
        for number in 0..cluster.len() {
            let ready = reqwest::get(cluster.node(number).admin_url("/readyz")).await.expect("an answer");
            assert_eq!(ready.status(), 200);
        }
    }
}

scenario! {
    async fn a_redis_that_dies_and_comes_back_loses_nothing_and_doubles_nothing() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = ann.create("kept", "private").await;
        ann.ok("room:invite", json!({"room": room, "user": bob.id()})).await;
        bob.hear("room:added", |added| added["room"] == room.as_str()).await;
        ann.say("lobby", "before").await;
        bob.hear_text("lobby", "before").await;

        for round in 0..2 {
            // With `everysec` Redis holds back from its file what comes while the disk is slow, and would lose it.
            assert_eq!(cluster.redis().ask(&["CONFIG", "SET", "appendfsync", "always"]).await, ["OK"]);
            cluster.redis().kill();
            let during = [
                json!({"room": "lobby", "nonce": nonce(), "text": format!("{round}: Ann, meanwhile")}),
                json!({"room": "lobby", "nonce": nonce(), "text": format!("{round}: Bob, meanwhile")}),
            ];
            for (client, payload) in [&ann, &bob].into_iter().zip(&during) {
                let error = client.refused("message:send", payload.clone(), "unavailable").await;
                assert_eq!(error["temporary"], true, "{error}");
            }
            for number in 0..cluster.len() {
                refused_for_now(cluster.node(number)).await;
                let ready = reqwest::get(cluster.node(number).admin_url("/readyz")).await.expect("an answer");
                assert_eq!(ready.status(), 200, "an outage of Redis must not take all nodes out");
            }
            assert!(ann.is_open() && bob.is_open(), "open sockets stay");

            cluster.redis().start().await;
            for (client, payload) in [&ann, &bob].into_iter().zip(&during) {
                let stored = send_until_stored(client, payload).await;
                assert_eq!(client.ok("message:send", payload.clone()).await, stored);
                for hearer in [&ann, &bob] {
                    hearer.hear_text("lobby", payload["text"].as_str().unwrap()).await;
                }
            }
            // All works again on both, without a restart: rooms, presence, newcomers.
            ann.fence("lobby", &[&bob]).await;
            bob.fence(&room, &[&ann]).await;
            let eve = guest_when_possible(cluster.node(1), "Eve").await;
            eve.fence("lobby", &[&ann, &bob]).await;
        }
        let kept = history(&bob).await;
        let mut once = texts(&kept);
        assert_eq!(once[0], "before", "{once:?}");
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), kept.len(), "nothing is stored twice: {:?}", texts(&kept));
        assert_eq!(ann.heard_in("message:new", "lobby"), kept, "heard once, as stored");
        let resumed = ann.again(cluster.node(1)).await;
        assert_eq!(resumed.id(), ann.id(), "sessions outlive Redis");
        assert!(resumed.session_room(&room).is_some());
    }
}

scenario! {
    /// Redis does what it was asked, but its answer comes too late: only the nonce can tell.
    async fn a_send_whose_outcome_is_unknown_is_stored_once() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        ann.fence("lobby", &[&bob]).await;
        cluster.redis().pause();
        let payload = json!({"room": "lobby", "nonce": nonce(), "text": "did it get through?"});
        let error = ann.refused("message:send", payload.clone(), "unavailable").await;
        assert_eq!(error["temporary"], true, "{error}");
        cluster.redis().go_on();
        let stored = send_until_stored(&ann, &payload).await;
        for client in [&ann, &bob] {
            let heard = client.hear_text("lobby", "did it get through?").await;
            assert_eq!(heard["id"], stored["id"]);
        }
        ann.fence("lobby", &[&bob]).await;
        for client in [&ann, &bob] {
            assert_eq!(client.heard("message:new").len(), 3, "two fences and the message, once");
        }
        assert_eq!(history(&bob).await.len(), 3);
    }
}

scenario! {
    /// `kill -9` of a node: its clients resume elsewhere, miss nothing, hear nothing twice; and what they were about to
    /// say is stored once, whether the dead node got to it or not.
    async fn the_clients_of_a_killed_node_go_on_elsewhere() {
        const SAID: usize = 300;
        const SENT: usize = 200;
        let mut cluster = Plan::on(Bus::Redis).nodes(3).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let friend = Client::guest(cluster.node(2), "Friend").await;
        let room = ann.ok("dm:open", json!({"user": friend.id()})).await["room"].clone();
        friend.hear("room:added", |added| added["room"] == room).await;

        let hers: Vec<Value> = (0..SENT)
            .map(|number| json!({"room": "lobby", "nonce": format!("hers-{number}"), "text": format!("hers {number}")}))
            .collect();
        let asked: Vec<_> = hers.iter().map(|payload| ann.ask("message:send", payload)).collect();
        let his: Vec<Value> = (0..SAID)
            .map(|number| json!({"room": "lobby", "nonce": nonce(), "text": format!("his {number}")}))
            .collect();
        let talk: Vec<_> = his.iter().map(|payload| bob.ask("message:send", payload)).collect();
        ann.all_acked(20).await;
        cluster.node_mut(0).kill();
        ann.ended().await;
        drop(asked);
        let back = ann.recover(cluster.node(2), &json!({"lobby": ann.position("lobby")})).await;
        assert_eq!(back.id(), ann.id());
        assert_eq!(back.session["recovered"], true, "{}", back.session);
        for payload in &hers {
            back.ok("message:send", payload.clone()).await;
        }
        for pending in talk {
            let answer = pending.answer().await;
            assert_eq!(answer["ok"], true, "who is elsewhere does not notice: {answer}");
        }
        bob.fence("lobby", &[&back, &friend]).await;

        // What Ann heard on both nodes together is what Bob heard on one.
        let mut heard = ann.heard_in("message:new", "lobby");
        heard.extend(back.heard_in("message:new", "lobby"));
        let whole = bob.heard_in("message:new", "lobby");
        assert_eq!(texts(&heard), texts(&whole), "nothing missed, nothing twice, one order");
        assert_eq!(whole.len(), SAID + SENT + 1, "each once");
        let of = |who: &str| texts(&whole).into_iter().filter(|text| text.starts_with(who)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of("his"), (0..SAID).map(|number| format!("his {number}")).collect::<Vec<_>>());
        assert_eq!(of("hers"), (0..SENT).map(|number| format!("hers {number}")).collect::<Vec<_>>());

        // The dead node can be started again, at the same addresses.
        cluster.node_mut(0).restart().await;
        let newcomer = Client::guest(cluster.node(0), "New").await;
        newcomer.fence("lobby", &[&back, &bob]).await;
    }
}

scenario! {
    /// A dead node says goodbye for nobody: its users are offline when what it said of them runs out.
    async fn the_users_of_a_killed_node_are_offline_after_a_while() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = bob.ok("dm:open", json!({"user": ann.id()})).await["room"].clone();
        ann.hear("room:added", |added| added["room"] == room).await;
        cluster.node_mut(0).kill();
        let gone = bob.hear("presence", |presence| presence["status"] == "offline").await;
        assert_eq!(gone["user"], ann.session["user"], "{gone}");
        let members = bob.ok("room:members", json!({"room": room})).await;
        let members = members["members"].as_array().expect("members");
        let hers = members.iter().find(|member| member["user"]["id"] == ann.id()).expect("Ann");
        assert_eq!(hers["status"], "offline", "{hers}");
        let lobby = bob.ok("room:members", json!({"room": "lobby"})).await;
        assert_eq!(lobby["members"].as_array().map(Vec::len), Some(1), "{lobby}");
    }
}

on_both! {
    /// SIGTERM: clients are told when to come back, what they asked for is answered, and the exit is clean.
    async fn a_node_that_is_asked_to_end_says_so_and_ends_cleanly(bus) {
        const SENT: usize = 50;
        let mut cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let asked: Vec<_> = (0..SENT)
            .map(|number| {
                let payload = json!({"room": "lobby", "nonce": nonce(), "text": number.to_string()});
                ann.ask("message:send", &payload)
            })
            .collect();
        ann.all_acked(1).await;
        cluster.node(0).terminate();
        for client in [&ann, &bob] {
            let draining = client.hear("server:draining", |_| true).await;
            assert!(draining["reconnectAfterMs"].is_u64(), "{draining}");
        }
        // They were on their way before it: stored and acked.
        for pending in asked {
            let answer = pending.answer_if_any().await;
            let answer = answer.expect("in-flight sends are acked before the exit");
            assert!(answer["ok"] == true || answer["error"]["code"] == "draining", "{answer}");
        }
        ann.ended().await;
        bob.ended().await;
        let status = cluster.node_mut(0).ended().await;
        assert!(status.success(), "the exit status is {status}");
        cluster.node_mut(0).restart().await;
        Client::guest(cluster.node(0), "New").await.fence("lobby", &[]).await;
    }
}

scenario! {
    /// Its clients find the same chat on another node, with all that was said since.
    async fn the_clients_of_a_node_that_ended_go_on_elsewhere() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        ann.fence("lobby", &[&bob]).await;
        cluster.node(0).terminate();
        ann.ended().await;
        bob.say("lobby", "missed").await;
        let back = ann.recover(cluster.node(1), &json!({"lobby": ann.position("lobby")})).await;
        assert_eq!(back.session["recovered"], true, "{}", back.session);
        back.hear_text("lobby", "missed").await;
        assert!(cluster.node_mut(0).ended().await.success());
        back.fence("lobby", &[&bob]).await;
    }
}
