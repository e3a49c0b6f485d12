//! How much one may say, and how often; and that nobody else notices who tries more.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::{Client, Connect, Plan, Refusal, until};

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
            assert_eq!(error["temporary"], false, "{error}");
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
        for (event, payload, burst) in [
            ("room:leave", json!({"room": "lobby"}), 60),
            ("history:get", json!({"room": "lobby"}), 50),
        ] {
            let refused = until("the burst is used up", async || {
                let answer = ann.request(event, payload.clone()).await;
                (answer["error"]["code"] == "rate_limited").then(|| answer["error"].clone())
            })
            .await;
            assert!(refused["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{event} after {burst}: {refused}");
        }
        ann.say("lobby", "all the same").await;
    }
}

on_both! {
    /// The rooms that others add a person to are counted apart from those that the person enters.
    async fn nobody_uses_up_the_rooms_of_another(bus) {
        const MOST: usize = 500;
        let cluster = Plan::on(bus).nodes(1).start().await;
        let victim = Client::guest(cluster.node(0), "Victim").await;
        let eve = Client::guest(cluster.node(0), "Eve").await;
        // Eve has a bound, too, so that it takes two.
        let mallory = Client::guest(cluster.node(0), "Mallory").await;
        let mut refused = None;
        for number in 0..=MOST {
            let host = if number < MOST - 1 { &eve } else { &mallory };
            let room = host.create(&format!("r{number}"), "private").await;
            let answer = host.request("room:invite", json!({"room": room, "user": victim.id()})).await;
            if answer["ok"] != true {
                refused = Some((number, answer["error"].clone()));
                break;
            }
        }
        let (number, error) = refused.expect("there is an end to it");
        assert_eq!((number, &error["code"]), (MOST, &json!("forbidden")), "{error}");
        let own = victim.create("my own", "private").await;
        victim.say(&own, "still here").await;
        let friend = Client::guest(cluster.node(0), "Friend").await;
        let theirs = friend.create("theirs", "public").await;
        victim.ok("room:join", json!({"room": theirs})).await;
        victim.ok("dm:open", json!({"user": friend.id()})).await;
        // All of them are there after a reconnect.
        let again = victim.again(cluster.node(0)).await;
        assert_eq!(again.session["rooms"].as_array().map(Vec::len), Some(MOST + 4), "500, three of its own, the lobby");
    }
}
