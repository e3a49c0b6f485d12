//! Clients behind proxies that let a WebSocket's handshake through and nothing else, or other things that are not what
//! they seem.

use std::time::Duration;

use serde_json::Value;

use crate::harness::browser::play;
use crate::harness::faulty_proxy::{Fault, FaultyProxy, Target};
use crate::harness::{Bus, Node, Plan, is_full, stock};

/// How many messages each says, and how often: for longer than an attempt to upgrade takes to time out.
const MESSAGES: u64 = 50;
const EVERY_MS: u64 = 450;
/// Requests that a conversation over polling may take: a POST for each message, an answer to a poll for each ack and
/// each event, and some at the start and around an upgrade.
const MOST_REQUESTS: u64 = 4 * MESSAGES + 50;

/// How long a slow proxy holds what it carries.
fn delay() -> Fault {
    Fault::Delay(Duration::from_secs(if is_full("IMPAIRED") { 5 } else { 1 }))
}

/// All that may be wrong.
fn all() -> impl Iterator<Item = (Fault, Target)> {
    let targets = [Target::Upgrades, Target::FramesUp, Target::FramesDown, Target::Polls, Target::Posts];
    let faults = [Fault::Cut, Fault::Hold, Fault::Swallow, delay()];
    targets.into_iter().flat_map(move |target| faults.map(|fault| (fault, target)))
}

/// Whether polling works.
fn can_poll((fault, target): &(Fault, Target)) -> bool {
    matches!(fault, Fault::Delay(_)) || !matches!(target, Target::Polls | Target::Posts)
}

/// A proxy before a node for each of what is wrong.
async fn proxies(node: &Node, wrong: impl Iterator<Item = (Fault, Target)>) -> Vec<(Fault, Target, FaultyProxy)> {
    let address = node.authority().parse().expect("an address");
    let mut proxies = Vec::new();
    for (fault, target) in wrong {
        proxies.push((fault, target, FaultyProxy::start(address, fault, target).await));
    }
    proxies
}

scenario! {
    async fn a_session_lives_on_polling_whatever_becomes_of_its_upgrade() {
        let cluster = Plan::on(Bus::Embedded).nodes(1).start().await;
        let node = cluster.node(0);
        let proxies = proxies(node, all().filter(can_poll)).await;
        let mut arguments = vec![node.url(), MESSAGES.to_string(), EVERY_MS.to_string()];
        arguments.extend(proxies.iter().map(|(.., proxy)| proxy.url()));
        let printed = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            stock::node("clients/js", "impaired.cjs", &arguments)
        })
        .await
        .expect("the conversations");
        let seen: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(seen.len(), proxies.len(), "{printed}");
        let said: Vec<u64> = (0..MESSAGES).collect();
        for ((fault, target, proxy), seen) in proxies.iter().zip(&seen) {
            let (what, requests) = (format!("{fault:?} of {target:?}: {seen}"), proxy.requests());
            println!("{fault:?} of {target:?}: {requests} requests, then {}", seen["transport"]);
            assert_eq!(seen["sessions"], 1, "{what}");
            assert_eq!(seen["heard"]["up"], serde_json::json!(said), "{what}");
            assert_eq!(seen["heard"]["down"], serde_json::json!(said), "{what}");
            assert!(requests <= MOST_REQUESTS, "{requests} requests; {what}");
            // What is only slow is no reason to stay.
            let expected = if matches!(fault, Fault::Delay(_)) { "websocket" } else { "polling" };
            assert_eq!(seen["transport"], expected, "{what}");
        }
    }
}

scenario! {
    async fn the_page_gets_in_whatever_is_wrong() {
        let cluster = Plan::on(Bus::Embedded).nodes(1).start().await;
        let node = cluster.node(0);
        let proxies = proxies(node, all()).await;
        let mut arguments = vec![node.url()];
        arguments.extend(proxies.iter().map(|(fault, target, proxy)| {
            let what = format!("{fault:?} of {target:?}").replace(|c: char| !c.is_alphanumeric(), " ");
            format!("{}={}", what.trim(), proxy.url())
        }));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        play("impaired.mjs", &arguments, async |what, _| panic!("@{what}?")).await;
    }
}
