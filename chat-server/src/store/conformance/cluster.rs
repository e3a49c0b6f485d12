//! Redis Cluster only: slots move, a shard loses its primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;
use crate::domain::trouble::Trouble;
use crate::store::StoreError;

/// A cluster of a test's own, and a prefix.
struct Stand {
    deployment: Deployment,
    config: RedisConfig,
}

impl Stand {
    fn start(version: Version) -> Self {
        let deployment = Deployment::start(Topology::Cluster, version);
        let config = deployment.config();
        Self { deployment, config }
    }

    async fn node(&self) -> Node {
        Node::on(self.config.clone()).await
    }

    fn slot(&self, room: &str) -> u16 {
        let key = format!("{}{{room:{room}}}", self.config.key_prefix);
        self.deployment.tell(&format!("cli a cluster keyslot '{key}'"))[0].parse().unwrap()
    }

    /// A room on the shard of this primary: `a`, `b` or `c`.
    fn room_on(&self, primary: &str) -> String {
        let first = match primary {
            "a" => 0,
            "b" => 5_462,
            _ => 10_923,
        };
        let rooms = (0..1_000).map(|number| format!("r{number}"));
        let mut here = rooms.filter(|room| (first..first + 5_461).contains(&self.slot(room)));
        here.next().unwrap()
    }
}

/// Commits until it is stored.
async fn append_eventually(node: &Node, topic: &Topic, text: &str) {
    let begun = Instant::now();
    while let Err(error) = node.store.commit(topic, nonced("u", text, text)).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        pause(20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_subscribers_follow_a_slot_that_moves() {
    they_follow(Version::Seven).await;
}

async fn they_follow(version: Version) {
    let stand = Stand::start(version);
    let (writer, mut listener) = (stand.node().await, stand.node().await);
    let id = stand.room_on("a");
    let topic = room(&id);
    listener.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    writer.append(&topic, message("u", "before")).await;
    let before = writer.all(&topic).await.lineage.epoch;
    assert_eq!(listener.receive_entry().await.payload.as_str(), "before");

    let goes_on = Arc::new(AtomicBool::new(true));
    let writing = {
        let (store, topic, goes_on) = (writer.store.clone(), topic.clone(), goes_on.clone());
        tokio::spawn(async move {
            let mut stored = Vec::new();
            for text in (0..).map(|number: u32| number.to_string()) {
                if !goes_on.load(Ordering::Relaxed) {
                    break;
                }
                if store.commit(&topic, nonced("u", &text, &text)).await.is_ok() {
                    stored.push(text);
                }
            }
            stored
        })
    };
    pause(50).await;
    stand.deployment.tell(&format!("move {} a b", stand.slot(&id)));
    while !matches!(listener.receive().await, BusEvent::Interrupted) {}
    goes_on.store(false, Ordering::Relaxed);
    let stored = writing.await.unwrap();
    writer.append(&topic, message("u", "after")).await;
    while listener.receive_entry().await.payload.as_str() != "after" {}

    let slice = listener.all(&topic).await;
    assert!(slice.lineage.shared_with(&before) >= Some(1), "what was received before is still true");
    let found: Vec<_> = slice.entries.iter().map(|entry| entry.payload.as_str().to_owned()).collect();
    assert_eq!(offsets(&slice), (1..=found.len() as u64).collect::<Vec<_>>());
    for text in stored {
        assert_eq!(found.iter().filter(|found| **found == text).count(), 1, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_room_is_received_again_after_its_slot_moved() {
    let stand = Stand::start(Version::Seven);
    let (writer, mut listener) = (stand.node().await, stand.node().await);
    let id = stand.room_on("c");
    listener.store.subscribe(&[room(&id), room(&stand.room_on("b"))]).await.unwrap();
    for (from, to) in [("c", "a"), ("a", "b"), ("b", "c")] {
        stand.deployment.tell(&format!("move {} {from} {to}", stand.slot(&id)));
        while !matches!(listener.receive().await, BusEvent::Interrupted) {}
        writer.append(&room(&id), message("u", to)).await;
        while listener.receive_entry().await.payload.as_str() != to {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_without_a_primary_does_not_delay_the_others() {
    let stand = Stand::start(Version::Seven);
    let mut node = stand.node().await;
    let (dying, living) = (room(&stand.room_on("a")), room(&stand.room_on("b")));
    node.store.subscribe(&[dying.clone(), living.clone()]).await.unwrap();
    node.append(&dying, message("u", "before")).await;
    assert_eq!(node.receive_entry().await.payload.as_str(), "before");
    stand.deployment.tell("kill a");
    let mut down = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        node.append(&living, message("u", "meanwhile")).await;
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
        assert_eq!(node.receive_entry().await.payload.as_str(), "meanwhile");
        let tops = node.store.tops(&[dying.clone(), living.clone()]).await.unwrap();
        assert!(tops[1].is_some(), "one that is away keeps no other from being compared");
        down += usize::from(tops[0].is_none());
        pause(20).await;
    }
    assert!(down > 0);
    assert!(node.store.is_available(), "most of it answers");
    assert_eq!(node.store.trouble(), Some(Trouble::ShardUnreachable));
    while !matches!(node.receive().await, BusEvent::Interrupted) {}
    append_eventually(&node, &dying, "after").await;
    while node.receive_entry().await.payload.as_str() != "after" {}
    assert_eq!(node.store.trouble(), None);
    // What was the primary comes back as a replica.
    stand.deployment.tell("start a");
    pause(1_500).await;
    append_eventually(&node, &dying, "at the end").await;
    while node.receive_entry().await.payload.as_str() != "at the end" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_shard_has_a_probe_of_its_own() {
    let stage = Deployment::shared(Topology::Cluster, Version::Seven).config();
    let mut node = Node::on(stage).await;
    let probes = node.store.probes(&super::node("n"));
    assert_eq!(probes.len(), 3);
    for probe in probes {
        node.store.subscribe(std::slice::from_ref(&probe)).await.unwrap();
        node.store.signal(&probe, "received".to_owned()).await.unwrap();
        assert_eq!(node.receive().await, BusEvent::Signal(probe.clone(), "received".to_owned()));
        node.store.renew_bus(&probe).await;
        while node.receive().await != BusEvent::Interrupted {}
        node.store.unsubscribe(&[probe]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsubscribe_after_the_slot_moved_breaks_nothing() {
    let stand = Stand::start(Version::Seven);
    let mut node = stand.node().await;
    let (id, other) = (stand.room_on("a"), room(&stand.room_on("a").replace('r', "s")));
    node.store.subscribe(&[room(&id), other.clone()]).await.unwrap();
    stand.deployment.tell(&format!("move {} a b", stand.slot(&id)));
    node.store.unsubscribe(&[room(&id)]).await.unwrap();
    node.store.subscribe(&[room("t1"), room("t2")]).await.unwrap();
    for topic in [other, room("t1"), room("t2")] {
        append_eventually(&node, &topic, "received").await;
        let begun = Instant::now();
        while node.receive_entry().await.payload.as_str() != "received" {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
    }
}

mod platform {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn writers_and_subscribers_follow_a_slot_of_redis_8() {
        they_follow(Version::Eight).await;
    }
}
