//! How much one may say, and how often; and that nobody else notices who tries more.

use std::time::Duration;

use chat_server::domain::limits::{ALL, Answer};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::nonce;
use crate::harness::{Bus, Client, Connect, Plan, Refusal, until};

on_both! {
    /// `maxMessageBytes` of UTF-8, inclusive.
    async fn a_text_is_too_large_from_the_first_byte_over_the_limit(bus) {
        let cluster = Plan::on(bus).nodes(1).flag("--max-message-bytes", "1000").start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let fits = ["x".repeat(1_000), "é".repeat(500), "😀".repeat(250), "\u{1}".repeat(1_000), "\"".repeat(1_000)];
        for text in &fits {
            ann.say("lobby", text).await;
            bob.hear_text("lobby", text).await;
        }
        for text in fits {
            let payload = json!({"room": "lobby", "nonce": nonce(), "text": format!("{text}x")});
            let error = ann.refused("message:send", payload, "too_large").await;
            assert_eq!((&error["temporary"], &error["limit"]), (&json!(false), &json!("message-bytes")), "{error}");
        }
        ann.fence("lobby", &[&bob]).await;
        assert_eq!(bob.heard("message:new").len(), 6, "the five that fit, and the fence");
    }
}

on_both! {
    /// A packet over `maxPayload` closes the connection that it came over, and no other.
    async fn a_packet_that_is_too_large_closes_its_connection_only(bus) {
        let cluster = Plan::on(bus).nodes(1).flag("--max-message-bytes", "1000").start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let again = ann.again(cluster.node(0)).await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let limit = usize::try_from(ann.session["limits"]["maxPayload"].as_u64().unwrap()).unwrap();
        // A packet of that very size is taken, whatever it says.
        let about = json!({"room": "lobby", "nonce": nonce(), "text": ""}).to_string().len() + 50;
        let payload = json!({"room": "lobby", "nonce": nonce(), "text": "x".repeat(limit - about)});
        ann.refused("message:send", payload, "too_large").await;
        let payload = json!({"room": "lobby", "nonce": nonce(), "text": "x".repeat(limit)});
        ann.ask("message:send", &payload);
        ann.ended().await;
        bob.fence("lobby", &[&again]).await;
        let back = ann.again(cluster.node(0)).await;
        back.fence("lobby", &[&bob, &again]).await;
    }
}

on_both! {
    /// The burst passes, then `rate_limited` says how long to wait, and waiting that long is enough.
    async fn who_talks_too_fast_is_told_when_to_go_on(bus) {
        let cluster =
            Plan::on(bus).nodes(1).flag("--messages-per-second", "1").flag("--message-burst", "3").start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let again = ann.again(cluster.node(0)).await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        assert_eq!(ann.session["limits"]["messagesPerSecond"], 1);
        assert_eq!(ann.session["limits"]["messageBurst"], 3);

        // The limit is the user's, not the socket's.
        let sends: Vec<Value> = (0..60)
            .map(|number| json!({"room": "lobby", "nonce": format!("n{number}"), "text": number.to_string()}))
            .collect();
        let asked: Vec<_> = sends
            .iter()
            .enumerate()
            .map(|(number, payload)| if number % 2 == 0 { &ann } else { &again }.ask("message:send", payload))
            .collect();
        let mut stored = Vec::new();
        let mut refused = Vec::new();
        for (pending, payload) in asked.into_iter().zip(&sends) {
            let answer = pending.answer().await;
            if answer["ok"] == true {
                stored.push((payload.clone(), answer));
                continue;
            }
            assert_eq!(answer["error"]["code"], "rate_limited", "{answer}");
            assert_eq!(answer["error"]["temporary"], true, "{answer}");
            assert!(answer["error"]["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{answer}");
            assert_eq!(answer["error"]["limit"], "messages", "{answer}");
            refused.push(payload.clone());
        }
        assert!(stored.len() >= 3, "the burst passes: {stored:?}");
        assert!(!refused.is_empty(), "60 messages at once are more than 3 and 1 a second");

        // Someone else is not concerned; reading is not counted; and to repeat what is stored costs nothing.
        bob.say("lobby", "not concerned").await;
        for _ in 0..20 {
            ann.ok("history:get", json!({"room": "lobby", "limit": 1})).await;
            let (payload, answer) = &stored[0];
            assert_eq!(&ann.ok("message:send", payload.clone()).await, answer);
        }

        // What was refused is not remembered: its nonce may carry another text.
        let mut payload = refused[0].clone();
        payload["text"] = json!("another text");
        let sent = until("the rate allows one more", async || {
            let answer = ann.request("message:send", payload.clone()).await;
            if answer["ok"] == true {
                return Some(answer);
            }
            let wait = answer["error"]["retryAfterMs"].as_u64().unwrap_or_else(|| panic!("{answer}"));
            tokio::time::sleep(Duration::from_millis(wait)).await;
            None
        })
        .await;
        let message = bob.hear_text("lobby", "another text").await;
        assert_eq!(message["id"], sent["id"]);
        let heard = bob.heard_in("message:new", "lobby").len();
        assert_eq!(heard, stored.len() + 2, "what was acked, nothing else");
    }
}

on_both! {
    /// 2,000 requests at once: an answer for each, and nobody else notices.
    async fn every_request_of_a_flood_is_answered(bus) {
        const FLOOD: usize = 2_000;
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let asked: Vec<_> = (0..FLOOD)
            .map(|number| match number % 4 {
                0 => ann.ask("room:list", &json!({"limit": 1})),
                1 => ann.ask("message:send", &json!({"room": "lobby", "nonce": 3, "text": "malformed"})),
                2 => ann.ask("no:such", &json!({})),
                _ => ann.ask("typing:set", &json!({"room": "lobby", "on": true})),
            })
            .collect();
        bob.say("lobby", "meanwhile").await;
        let mut limited = 0;
        for (number, pending) in asked.into_iter().enumerate() {
            let answer = pending.answer().await;
            let code = answer["error"]["code"].as_str().unwrap_or("ok");
            if code == "rate_limited" {
                limited += 1;
                assert!(answer["error"]["retryAfterMs"].is_u64(), "{answer}");
                assert_eq!(answer["error"]["limit"], "queued-requests", "{answer}");
                continue;
            }
            let expected = ["ok", "bad_request", "unsupported", "ok"][number % 4];
            assert_eq!(code, expected, "request {number} was answered {answer}");
        }
        println!("of {FLOOD} requests at once {limited} were rate_limited");
        assert!(ann.is_open());
        ann.fence("lobby", &[&bob]).await;
    }
}

on_both! {
    /// A full node says so at the handshake, where proxies and stock clients try again.
    async fn a_full_node_refuses_the_handshake(bus) {
        let cluster = Plan::on(bus).nodes(1).flag("--max-connections", "2").start().await;
        let node = cluster.node(0);
        let ann = Client::guest(node, "Ann").await;
        let bob = Client::guest(node, "Bob").await;
        match Connect::guest("Eve").try_to(node).await {
            Err(Refusal::Http(503, Some(wait))) => assert!(wait.parse::<u32>().is_ok(), "Retry-After: {wait}"),
            other => panic!("expected 503 with Retry-After, got {:?}", other.err()),
        }
        // A proxy that sends clients by their address asks this node first for those of others, too.
        let poll = format!("{}/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", node.url());
        let elsewhere = reqwest::get(&poll).await.expect("an answer");
        assert_eq!(elsewhere.status(), 503, "the proxy is to ask the next node");
        bob.close().await;
        let eve = until("there is room again", async || Connect::guest("Eve").try_to(node).await.ok()).await;
        ann.fence("lobby", &[&eve]).await;
        eve.close().await;
        until("a session that is nowhere is refused for good", async || {
            let answer = reqwest::get(&poll).await.ok()?;
            (answer.status() == 400).then_some(())
        })
        .await;
    }
}

on_both! {
    /// What changes rooms has a rate of its own, and so has what asks; messages go on beside both.
    async fn changes_and_questions_have_rates_of_their_own(bus) {
        let cluster = Plan::on(bus)
            .nodes(1)
            .flag("--changes-per-second", "1")
            .flag("--queries-per-second", "5")
            .start()
            .await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        for (event, payload, limit) in [
            ("room:leave", json!({"room": "lobby"}), "changes"),
            ("history:get", json!({"room": "lobby"}), "queries"),
        ] {
            let refused = until("the burst is used up", async || {
                let answer = ann.request(event, payload.clone()).await;
                (answer["error"]["code"] == "rate_limited").then(|| answer["error"].clone())
            })
            .await;
            assert!(refused["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{event}: {refused}");
            assert_eq!(refused["limit"], limit);
        }
        ann.say("lobby", "all the same").await;
    }
}

on_both! {
    /// Many who each keep their own rate do not do more to a person than one could.
    async fn what_all_others_do_to_a_person_has_a_rate(bus) {
        let cluster = Plan::on(bus).nodes(1).flag("--changes-per-second", "1").start().await;
        let victim = Client::guest(cluster.node(0), "Victim").await;
        let mut refused = Vec::new();
        let mut done = 0;
        for number in 0..4 {
            let stranger = Client::guest(cluster.node(0), &format!("s{number}")).await;
            for room in 0..20 {
                let room = stranger.create(&format!("r{room}"), "private").await;
                let answer = stranger.request("room:invite", json!({"room": room, "user": victim.id()})).await;
                done += usize::from(answer["ok"] == true);
                refused.extend((answer["ok"] != true).then(|| answer["error"].clone()));
            }
        }
        assert!(done >= 60 && !refused.is_empty(), "{done} done, {} refused", refused.len());
        for error in refused {
            assert_eq!((&error["code"], &error["limit"]), (&json!("rate_limited"), &json!("received")), "{error}");
            assert!(error["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{error}");
        }
        // What the victim does has a rate of its own.
        victim.create("my own", "private").await;
        let other = Client::guest(cluster.node(0), "Other").await;
        victim.ok("dm:open", json!({"user": other.id()})).await;
    }
}

on_both! {
    /// The rooms that others add a person to are counted apart from those that the person enters.
    async fn nobody_uses_up_the_rooms_of_another(bus) {
        const MOST: usize = 250;
        const MORE: usize = 250;
        const INVITATIONS: usize = 100;
        let cluster = Plan::on(bus).nodes(1).start().await;
        let victim = Client::guest(cluster.node(0), "Victim").await;
        let eve = Client::guest(cluster.node(0), "Eve").await;
        let mut added = 0;
        for number in 0..MOST + MORE {
            let room = eve.create(&format!("r{number}"), "private").await;
            let answer = eve.ok("room:invite", json!({"room": room, "user": victim.id()})).await;
            added += usize::from(answer["added"] == true);
        }
        assert_eq!(added, MOST, "into the others the victim is invited");
        let own = victim.create("my own", "private").await;
        victim.say(&own, "still here").await;
        let friend = Client::guest(cluster.node(0), "Friend").await;
        let theirs = friend.create("theirs", "public").await;
        victim.ok("room:join", json!({"room": theirs})).await;
        victim.ok("dm:open", json!({"user": friend.id()})).await;
        // All of them are there after a reconnect.
        let again = victim.again(cluster.node(0)).await;
        assert_eq!(again.session["rooms"].as_array().map(Vec::len), Some(MOST + 4), "250, three of its own, the lobby");
        assert_eq!(again.session["invited"].as_array().map(Vec::len), Some(INVITATIONS), "the oldest made room");
    }
}

/// 100 messages of 16 KB in the lobby.
async fn fill_lobby(client: &Client) {
    for number in 0..100 {
        client.say("lobby", &format!("{number:03}{}", "x".repeat(16_000))).await;
    }
}

on_both! {
    /// An answer has an end in bytes, too, and the pages together have all.
    async fn long_histories_come_in_pages_of_bounded_size(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        fill_lobby(&ann).await;
        for (event, rising) in [("history:get", true), ("history:get", false), ("log:get", true)] {
            let (mut found, mut pages, mut at) = (Vec::new(), 0, if rising { 0 } else { 1_000_000 });
            loop {
                let bound = if rising { "after" } else { "before" };
                let mut payload = json!({"room": "lobby", "limit": 100, bound: at});
                if event == "log:get" {
                    payload["epoch"] = ann.position("lobby")["epoch"].clone();
                }
                let answer = ann.ok(event, payload).await;
                assert!(answer.to_string().len() < 300_000, "page-bytes: {}", answer.to_string().len());
                let page = answer["messages"].as_array().or(answer["events"].as_array()).expect("a page").clone();
                let edge = if rising { page.last() } else { page.first() };
                at = edge.expect("at least one")["offset"].as_u64().expect("an offset");
                found.extend(page.iter().filter_map(|message| message["text"].as_str()?[..3].parse::<u32>().ok()));
                pages += 1;
                if answer["complete"] == true {
                    break;
                }
            }
            found.sort_unstable();
            assert_eq!(found, (0..100).collect::<Vec<_>>(), "{event}");
            assert!(pages > 5, "{event}: {pages}");
        }
    }
}

scenario! {
    /// Sockets that ask for much and read nothing.
    async fn answers_that_nobody_reads_cost_little() {
        const SOCKETS: usize = 60;
        let cluster = Plan::on(Bus::Embedded).start().await;
        let node = cluster.node(0);
        let ann = Client::guest(node, "Ann").await;
        fill_lobby(&ann).await;
        let before = node.memory();
        let mut deaf = Vec::new();
        for number in 0..SOCKETS {
            let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", node.authority());
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("a socket");
            socket.send(Message::text(format!("40{{\"name\":\"Eve {number}\"}}"))).await.expect("to be sent");
            while !socket.next().await.expect("an event").expect("a message").to_string().contains("\"session\"") {}
            for ack in 0..5 {
                let ask = format!("42{ack}[\"history:get\",{{\"room\":\"lobby\",\"limit\":100}}]");
                socket.send(Message::text(ask)).await.expect("to be sent");
            }
            deaf.push(socket);
        }
        // What it asks for comes after what they asked for.
        let last = Client::guest(node, "Last").await;
        for _ in 0..20 {
            last.ok("history:get", json!({"room": "lobby", "limit": 100})).await;
            ann.fence("lobby", &[&last]).await;
        }
        let more = node.memory().saturating_sub(before);
        println!("{SOCKETS} sockets: {more} bytes more");
        assert!(more < 100 << 20, "{more} bytes for answers that nobody reads");
        drop(deaf);
    }
}

/// Asks for the same until it is refused; answers how often it was not.
async fn until_forbidden(client: &Client, limit: &str, request: impl Fn(usize) -> (&'static str, Value)) -> usize {
    for number in 0.. {
        let (event, payload) = request(number);
        let answer = client.request(event, payload).await;
        if answer["ok"] != true {
            assert_eq!((&answer["error"]["code"], &answer["error"]["limit"]), (&json!("forbidden"), &json!(limit)));
            return number;
        }
    }
    unreachable!("there is an end to it")
}

scenario! {
    /// What one user makes for others to keep has an end.
    async fn rooms_and_invites_have_an_end() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let room = ann.create("first", "private").await;
        let create = |number| ("room:create", json!({"name": format!("r{number}"), "kind": "private"}));
        assert_eq!(until_forbidden(&ann, "rooms", create).await, 499, "with the first it is 500");
        let invite = |_| ("room:invite", json!({"room": room}));
        assert_eq!(until_forbidden(&ann, "invites", invite).await, 1_000);
    }
}

scenario! {
    /// So does the list of those whom one blocks.
    async fn blocks_have_an_end() {
        let cluster = Plan::on(Bus::Embedded).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let mut crowd = Vec::new();
        for number in 0..=500 {
            crowd.push(Client::guest(cluster.node(0), &format!("g{number}")).await);
        }
        let block = |number: usize| ("user:block", json!({"user": crowd[number].id(), "on": true}));
        assert_eq!(until_forbidden(&ann, "blocked", block).await, 500);
        ann.ok("user:block", json!({"user": crowd[7].id(), "on": true})).await;
        ann.ok("user:block", json!({"user": crowd[7].id(), "on": false})).await;
        ann.ok("user:block", json!({"user": crowd[500].id(), "on": true})).await;
        let again = ann.again(cluster.node(0)).await;
        assert_eq!(again.session["blocked"].as_array().map(Vec::len), Some(500));
    }
}

on_both! {
    /// Whoever is let in may let in a hundred more, not everybody for ever; owners may.
    async fn a_link_of_a_member_has_bounds_of_its_own(bus) {
        const WEEK: u64 = 7 * 86_400;
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        for kind in ["private", "public"] {
            let room = ann.create(&format!("a {kind} room"), kind).await;
            ann.ok("room:invite", json!({"room": room, "user": bob.id()})).await;
            for (uses, seconds, all) in [(100, WEEK, true), (101, 60, false), (1, WEEK + 1, false), (100_000, 60, false)] {
                let payload = json!({"room": room, "uses": uses, "expiresInSeconds": seconds});
                ann.ok("room:invite", payload.clone()).await;
                if all {
                    bob.ok("room:invite", payload).await;
                } else {
                    let refused = bob.refused("room:invite", payload, "forbidden").await;
                    assert_eq!(refused["limit"], "member-invites", "{refused}");
                }
            }
        }
    }
}

scenario! {
    /// Someone fills Redis as fast as the node takes it, with all rates lifted: what is said goes on.
    async fn the_last_memory_of_redis_is_for_messages() {
        const ROOM: u64 = 8 << 20;
        let mut cluster = Plan::on(Bus::Redis).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let used = |info: &[String]| -> u64 {
            let line = info.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix("used_memory:"));
            line.and_then(|bytes| bytes.trim().parse().ok()).expect("used_memory")
        };
        // They are no new guests.
        for client in [&ann, &bob] {
            client.say("lobby", "hello").await;
        }
        let most = used(&cluster.redis().ask(&["INFO", "memory"]).await) + ROOM;
        cluster.redis().ask(&["CONFIG", "SET", "maxmemory", &most.to_string()]).await;
        let eves = join_all((0..4).map(|_| Client::guest(cluster.node(0), "Eve"))).await;
        let topic = "\u{10348}".repeat(250);
        let fill = async |eve: &Client| {
            for number in 0.. {
                let name = format!("{}{number}", "\u{10348}".repeat(50));
                let made = eve.request("room:create", json!({"name": name, "kind": "private", "topic": topic})).await;
                if made["ok"] != true {
                    return made["error"].clone();
                }
                let left = eve.request("room:leave", json!({"room": made["room"]})).await;
                if left["ok"] != true {
                    return left["error"].clone();
                }
            }
            unreachable!("there is an end to it")
        };
        for refused in join_all(eves.iter().map(fill)).await {
            assert_eq!((&refused["code"], &refused["limit"]), (&json!("unavailable"), &json!("store-memory")));
            assert!(refused["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{refused}");
        }
        // They go on; and so do those who talk.
        let (spoken, _) = tokio::join!(
            async {
                for number in 0..200 {
                    ann.say("lobby", &format!("{number}")).await;
                }
                bob.hear_text("lobby", "199").await
            },
            join_all(eves.iter().map(async |eve| {
                for _ in 0..200 {
                    let made = eve.request("room:create", json!({"name": "one more", "kind": "private"})).await;
                    assert_eq!(made["ok"], false, "{made}");
                }
            })),
        );
        assert_eq!(spoken["by"]["name"], "Ann");
        let share = cluster.node(0).metric("chat_broker_memory_used_ratio").await;
        assert!((0.9..1.0).contains(&share), "{share}");
        let ready = reqwest::get(cluster.node(0).admin_url("/readyz")).await.expect("an answer");
        assert_eq!(ready.status(), 200);
        let words = ready.text().await.expect("words");
        assert!(words.contains("almost full") && words.contains("only messages"), "{words}");
        // A new guest reads what is said, and is not stored; who was here comes back.
        let dan = Client::guest(cluster.node(0), "Dan").await;
        let said = json!({"room": "lobby", "nonce": nonce(), "text": "hello"});
        assert_eq!(dan.refused("message:send", said, "unavailable").await["limit"], "store-memory");
        dan.ok("history:get", json!({"room": "lobby"})).await;
        assert!(cluster.node(0).metric(r#"chat_new_guests_total{result="full"}"#).await >= 1.0);
        ann.again(cluster.node(0)).await.say("lobby", "back again").await;
        cluster.redis().ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
        until("there is memory again", async || {
            (bob.request("room:create", json!({"name": "room", "kind": "private"})).await["ok"] == true).then_some(())
        })
        .await;
    }
}

/// A bound that nobody tries is none: each that refuses a request has its name in a scenario of this file, or in one of
/// strangers.
#[test]
fn every_limit_that_refuses_a_request_is_tried() {
    let scenarios = concat!(include_str!("chat_limits.rs"), include_str!("chat_strangers.rs"));
    let refusing = ALL.iter().filter(|bound| matches!(bound.answer, Answer::Refusal(_)));
    let untried: Vec<_> = refusing.filter(|bound| !scenarios.contains(&format!("\"{}\"", bound.name))).collect();
    assert!(untried.is_empty(), "{untried:?}");
}
