//! The thundering herd: a node dies with most people on it, and all of them come back at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::harness::chat::{Chat, FORWARDED};
use crate::harness::control_plane::run_within;
use crate::harness::herd::{Member, Plan, Said};
use crate::harness::{Client, Connect, Node, Spread, is_full, until};

/// The full size is asked for by this variable.
const FULL: &str = "HERD_FULL";
/// Of either size.
const PATIENCE: Duration = Duration::from_secs(600);
const NODES: usize = 5;
/// On each other node is so much of the herd.
const SHARE: usize = 5;
/// Addresses that are tried; some forty of them lead to each node.
const ADDRESSES: usize = 200;
const SENDERS: usize = 4;
/// Messages that everybody hears before the node dies, and after all are back.
const HEARD: u64 = 8;
/// People who come at a time: how they come at first is not what is looked at.
const AT_A_TIME: usize = 50;

/// How many are on the node that dies, and how often each sender says something.
fn size() -> (usize, Duration) {
    if is_full(FULL) { (2_000, Duration::from_secs(1)) } else { (200, Duration::from_millis(250)) }
}

/// Every member is two files of nginx and one of this process.
fn raise_the_limit_of_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("as many files as are allowed");
}

/// Addresses by the node that they lead to.
async fn addresses(front: &Node) -> BTreeMap<String, Vec<String>> {
    let tried = stream::iter(0..ADDRESSES).map(async |number| {
        let address = format!("10.3.{number}.1");
        let scout = Connect::guest("Scout").header(FORWARDED, &address).to(front).await;
        let node = scout.session["node"].as_str().expect("a node").to_owned();
        scout.close().await;
        (node, address)
    });
    let tried: Vec<(String, String)> = tried.buffer_unordered(8).collect().await;
    let mut addresses = BTreeMap::<String, Vec<String>>::new();
    for (node, address) in tried {
        addresses.entry(node).or_default().push(address);
    }
    addresses
}

/// Sessions that are in the room. They come and go before anybody listens, or each would hear of all that follow.
async fn enrol(front: &Node, room: &str, count: usize) -> Vec<String> {
    let enrolled = stream::iter(0..count).map(async |number| {
        let client = Connect::guest(&format!("Member {number}")).to(front).await;
        client.ok("room:join", json!({"room": room, "limit": 1})).await;
        let resume = client.resume().to_owned();
        client.close().await;
        resume
    });
    enrolled.buffer_unordered(16).collect().await
}

/// Says numbered messages at a steady pace until it is told to stop; all of them, each of which was acked.
async fn talk(number: usize, sender: &Client, room: &str, every: Duration, stop: &AtomicBool) -> Vec<Said> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let text = format!("{number}: {}", said.len());
        let ack = sender.say(room, &text).await;
        said.push(Said { offset: ack["position"]["offset"].as_u64().expect("an offset"), text });
    }
    said
}

/// Starts members with these sessions, in turn with these addresses, and waits until they are in the room.
async fn come(front: &Node, room: &str, addresses: &[String], sessions: Vec<String>) -> Vec<Member> {
    let at = front.authority().parse().expect("an address");
    let mut members: Vec<Member> = Vec::new();
    for (number, resume) in sessions.into_iter().enumerate() {
        let address = addresses[number % addresses.len()].clone();
        let seed = number as u64;
        members.push(Member::start(Plan { at, address, room: room.to_owned(), resume, seed }));
        if (number + 1) % AT_A_TIME == 0 {
            all_are_there(&members).await;
        }
    }
    all_are_there(&members).await;
    members
}

async fn all_are_there(members: &[Member]) {
    until("all members are in the room", async || members.iter().all(|member| member.account().is_there).then_some(()))
        .await;
}

/// Waits until everybody has heard so many more messages than now anybody has.
async fn all_hear_more(members: &[Member], more: u64) {
    let heard = members.iter().map(|member| member.account().offset()).max().expect("members");
    all_have_heard(members, heard + more).await;
}

async fn all_have_heard(members: &[Member], offset: u64) {
    until(&format!("all members have heard offset {offset}"), async || {
        members.iter().all(|member| member.account().offset() >= offset).then_some(())
    })
    .await;
}

/// The most of these times that lie within one second.
fn most_in_a_second(mut times: Vec<Instant>) -> usize {
    times.sort();
    let within = |(first, start): (usize, &Instant)| {
        times[first..].partition_point(|time| time.duration_since(*start) < Duration::from_secs(1))
    };
    times.iter().enumerate().map(within).max().unwrap_or_default()
}

/// Says how the herd came back since the node died.
fn report(herd: &[Member], victim: &str, died: Instant) {
    let (mut back, mut arrivals, mut tries) = (Vec::new(), Vec::new(), Vec::new());
    let mut nodes = BTreeMap::<String, usize>::new();
    for member in herd {
        let account = member.account();
        tries.extend(account.tries.iter().filter(|time| **time > died));
        let since: Vec<&(Instant, String)> = account.arrivals.iter().filter(|(time, _)| *time > died).collect();
        arrivals.extend(since.iter().map(|(time, _)| *time));
        let (time, node) = since.last().expect("it came back");
        back.push(time.duration_since(died).as_secs_f64() * 1_000.0);
        *nodes.entry(node.clone()).or_default() += 1;
    }
    let restarted = nodes.remove(victim).unwrap_or_default();
    eprintln!("{} were on the node that died; back in session and room: {}", herd.len(), Spread::of(back));
    eprintln!(
        "  {} connects, at most {} in a second; at most {} arrivals in a second",
        tries.len(),
        most_in_a_second(tries.clone()),
        most_in_a_second(arrivals)
    );
    let spread: Vec<usize> = nodes.into_values().collect();
    eprintln!("  on the other nodes: {spread:?}; on the one that died, begun anew: {restarted}");
}

#[test]
fn clients_of_a_killed_node_reconnect_and_miss_nothing() {
    raise_the_limit_of_files();
    run_within(PATIENCE, async move |cluster| {
        let (herd, every) = size();
        let limits = "limits: {messagesPerSecondPerUser: 0, burst: 1000000, changesPerSecondPerUser: 0, queriesPerSecondPerUser: 0, handshakesPerSecondPerAddress: 0, newGuestsPerSecondPerAddress: 0}";
        let chat = Chat::start(&cluster, "herd", NODES, limits).await;
        chat.found(NODES).await;
        let front = chat.front();
        let mut addresses = addresses(&front).await;
        assert_eq!(addresses.len(), NODES, "addresses lead to all nodes");
        let (victim, of_herd) = addresses.pop_last().expect("a node");

        let host = Client::guest(&front, "Host").await;
        let room = host.create("herd", "public").await;
        host.close().await;
        let of_others: Vec<String> = addresses.values().map(|addresses| addresses[0].clone()).collect();
        let senders = join_all(of_others.iter().cycle().take(SENDERS).map(async |address| {
            let sender = Connect::guest("Sender").header(FORWARDED, address).to(&front).await;
            sender.ok("room:join", json!({"room": room, "limit": 1})).await;
            sender
        }))
        .await;
        let share = herd / SHARE;
        let mut sessions = enrol(&front, &room, herd + share * addresses.len()).await;
        let mut others = Vec::new();
        for addresses in addresses.values() {
            let sessions = sessions.split_off(sessions.len() - share);
            others.extend(come(&front, &room, addresses, sessions).await);
        }
        let herd = come(&front, &room, &of_herd, sessions).await;
        let astray = herd.iter().filter(|member| member.account().arrivals[0].1 != victim).count();
        assert_eq!(astray, 0, "all of the herd are on {victim}");

        let stop = AtomicBool::new(false);
        let talks = senders.iter().enumerate().map(|(number, sender)| talk(number, sender, &room, every, &stop));
        let (said, died) = tokio::join!(join_all(talks), async {
            all_hear_more(&herd, HEARD).await;
            let died = Instant::now();
            chat.kill(&victim);
            until("the herd is back", async || herd.iter().all(|member| came_back(member, died)).then_some(())).await;
            all_hear_more(&herd, HEARD).await;
            stop.store(true, Ordering::Relaxed);
            died
        });
        let mut said: Vec<Said> = said.into_iter().flatten().collect();
        said.sort();
        let top = said.last().expect("messages").offset;
        all_have_heard(&herd, top).await;
        all_have_heard(&others, top).await;
        report(&herd, &victim, died);
        for member in herd.iter().chain(&others) {
            let account = member.account();
            assert!(account.violations.is_empty(), "{:#?}", account.violations);
            assert_eq!(account.heard, said, "all that was acked, once and in order");
        }
        let moved = others.iter().filter(|member| member.account().arrivals.len() > 1).count();
        assert_eq!(moved, 0, "those on other nodes stay there");
        eprintln!("  {} messages acked, each heard once and in order by {}", said.len(), herd.len() + others.len());
    });
}

/// Whether a member has come to its room after this time, and is in it.
fn came_back(member: &Member, since: Instant) -> bool {
    let account = member.account();
    account.is_there && account.arrivals.last().is_some_and(|(time, _)| *time > since)
}
