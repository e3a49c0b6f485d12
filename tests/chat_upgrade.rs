//! From long-polling to a WebSocket, step by step: a session polls until its client has said that it polls no more.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::connect::Stream;
use crate::harness::polling::{Polling, next, probe};
use crate::harness::{Bus, Client, DEADLINE, Node, Plan};

/// How long a poll that has nothing to say is looked at.
const QUIET: Duration = Duration::from_millis(500);
/// Polls that may be answered with what was said before.
const MOST_LEFT: usize = 5;

/// A session that polls and has fetched all, and someone to talk with.
async fn polly(node: &Node) -> (Polling, Client) {
    let polly = Polling::guest(node, "Polly").await;
    polly.poll_until(|name, _| name == "session").await;
    let bob = Client::guest(node, "Bob").await;
    bob.say("lobby", "first").await;
    polly.poll_until(|_, event| event["text"] == "first").await;
    (polly, bob)
}

/// Polly is reached and reaches others; polls that have nothing to say are not answered.
async fn converses(polly: &Polling, bob: &Client, word: &str) {
    let mut waits = None;
    for _ in 0..MOST_LEFT {
        let mut poll = Box::pin(polly.poll());
        let Ok(packets) = timeout(QUIET, &mut poll).await else {
            waits = Some(poll);
            break;
        };
        assert_ne!(packets, ["6"], "a poll was answered though there was nothing to say");
        if packets.iter().any(|packet| packet == "2") {
            polly.post("3").await;
        }
    }
    let waits = waits.expect("a poll that is not answered");
    bob.say("lobby", word).await;
    let packets = waits.await;
    assert!(packets.iter().any(|packet| packet.contains(word)), "{packets:?}");
    let send = json!(["message:send", {"room": "lobby", "nonce": word, "text": format!("{word} too")}]);
    polly.post(&format!("427{send}")).await;
    assert_eq!(polly.poll_ack(7).await["ok"], true);
}

/// The node closed it.
async fn closed(mut stream: Stream) {
    let end = async { while let Some(Ok(_)) = stream.next().await {} };
    timeout(DEADLINE, end).await.expect("the node leaves a WebSocket open");
}

scenario! {
    async fn a_session_polls_on_while_its_upgrade_hangs_and_after_it_broke_off() {
        let cluster = Plan::on(Bus::Embedded).nodes(1).start().await;
        let node = cluster.node(0);
        let (polly, bob) = polly(node).await;
        let silent = polly.websocket(node).await;
        converses(&polly, &bob, "hanging").await;
        drop(silent);
        converses(&polly, &bob, "cut").await;

        let mut other = polly.websocket(node).await;
        other.send(Message::text("2probes")).await.expect("to send");
        closed(other).await;
        converses(&polly, &bob, "wrong").await;

        // A newer attempt is the one.
        let older = polly.websocket(node).await;
        let mut stream = polly.upgrade(node).await;
        closed(older).await;
        bob.say("lobby", "upgraded").await;
        while !next(&mut stream).await.contains("upgraded") {}
    }
}

scenario! {
    async fn a_probe_has_the_poll_that_waits_answered() {
        let cluster = Plan::on(Bus::Embedded).nodes(1).start().await;
        let node = cluster.node(0);
        let (polly, bob) = polly(node).await;
        let mut stream = polly.websocket(node).await;
        let (packets, ()) = tokio::join!(polly.poll(), probe(&mut stream));
        assert_eq!(packets, ["6"]);
        // A client that hears the answer late has begun another poll, so that one more is answered from time to time.
        bob.say("lobby", "probed").await;
        polly.poll_until(|_, event| event["text"] == "probed").await;
        drop(stream);
        converses(&polly, &bob, "cut").await;
    }
}

scenario! {
    async fn an_upgrade_that_says_nothing_times_out() {
        let cluster = Plan::on(Bus::Embedded).nodes(1).start().await;
        let node = cluster.node(0);
        let (polly, bob) = polly(node).await;
        closed(polly.websocket(node).await).await;
        let mut probed = polly.websocket(node).await;
        probe(&mut probed).await;
        closed(probed).await;
        converses(&polly, &bob, "late").await;
    }
}

scenario! {
    /// More than fits into an answer to a poll: the transport keeps what is over for the next one.
    async fn what_waits_for_the_next_poll_comes_over_the_web_socket_first() {
        const SAID: usize = 40;
        let cluster = Plan::on(Bus::Embedded).nodes(1).start().await;
        let node = cluster.node(0);
        let (polly, bob) = polly(node).await;
        let text = |number: usize| format!("{number} {}", "x".repeat(3_000));
        bob.say_all("lobby", (0..SAID).map(text)).await;
        let witness = Client::guest(node, "Witness").await;
        witness.fence("lobby", &[&bob]).await;
        let polled = polly.poll().await;
        assert!(polled.len() < SAID, "{} packets in one answer", polled.len());
        let mut stream = polly.upgrade(node).await;
        bob.say("lobby", "last").await;
        let mut packets = polled;
        while !packets.last().is_some_and(|packet| packet.contains("\"last\"")) {
            packets.push(next(&mut stream).await);
        }
        let texts: Vec<String> = packets
            .iter()
            .filter_map(|packet| serde_json::from_str::<Value>(packet.strip_prefix("42")?).ok())
            .filter_map(|event| Some(event[1]["text"].as_str()?.split(' ').next()?.to_owned()))
            .filter(|text| text != "last" && text.chars().all(|c| c.is_ascii_digit()))
            .collect();
        assert_eq!(texts, (0..SAID).map(|number| number.to_string()).collect::<Vec<_>>(), "each once, in order");
    }
}

scenario! {
    /// As of a proxy that takes out what asks for a WebSocket.
    async fn a_request_that_asks_for_no_web_socket_is_refused_and_the_session_polls_on() {
        let cluster = Plan::on(Bus::Embedded).nodes(1).start().await;
        let node = cluster.node(0);
        let (polly, bob) = polly(node).await;
        for sid in [String::new(), format!("&sid={}", polly.sid())] {
            let url = format!("{}/socket.io/?EIO=4&transport=websocket{sid}", node.url());
            let request = reqwest::Client::new().get(url).header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            assert_eq!(request.send().await.expect("an answer").status(), 400);
        }
        converses(&polly, &bob, "stripped").await;
    }
}
