//! What only a Redis Cluster can do: move slots, lose a shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;
use crate::store::StoreError;

/// A cluster of a test's own, and a prefix.
struct Stand {
    set: Set,
    config: RedisConfig,
}

impl Stand {
    fn start(version: Version) -> Self {
        let set = Set::start(Form::Cluster, version);
        let config = set.config();
        Self { set, config }
    }

    async fn node(&self) -> Node {
        Node::on(self.config.clone()).await
    }

    fn slot(&self, room: &str) -> u16 {
        let key = format!("{}{{room:{room}}}", self.config.key_prefix);
        self.set.tell(&format!("cli a cluster keyslot '{key}'"))[0].parse().unwrap()
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
async fn say_at_last(node: &Node, topic: &Topic, text: &str) {
    let begun = Instant::now();
    while let Err(error) = node.broker.commit(topic, nonced("u", text, text)).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        pause(20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed_by_those_who_write_and_those_who_only_listen() {
    for version in [Version::Seven, Version::Eight] {
        let stand = Stand::start(version);
        let (writer, mut listener) = (stand.node().await, stand.node().await);
        let id = stand.room_on("a");
        let topic = room(&id);
        listener.broker.subscribe(std::slice::from_ref(&topic)).await.unwrap();
        writer.say(&topic, message("u", "before")).await;
        let before = writer.all(&topic).await.lineage.epoch;
        assert_eq!(listener.hear_entry().await.payload.as_str(), "before");

        let goes_on = Arc::new(AtomicBool::new(true));
        let writing = {
            let (broker, topic, goes_on) = (writer.broker.clone(), topic.clone(), goes_on.clone());
            tokio::spawn(async move {
                let mut stored = Vec::new();
                for text in (0..).map(|number: u32| number.to_string()) {
                    if !goes_on.load(Ordering::Relaxed) {
                        break;
                    }
                    if broker.commit(&topic, nonced("u", &text, &text)).await.is_ok() {
                        stored.push(text);
                    }
                }
                stored
            })
        };
        pause(50).await;
        stand.set.tell(&format!("move {} a b", stand.slot(&id)));
        while !matches!(listener.hear().await, BusEvent::Interrupted) {}
        goes_on.store(false, Ordering::Relaxed);
        let stored = writing.await.unwrap();
        writer.say(&topic, message("u", "after")).await;
        while listener.hear_entry().await.payload.as_str() != "after" {}

        let slice = listener.all(&topic).await;
        assert!(slice.lineage.shared_with(&before) >= Some(1), "what was received before is still true");
        let found: Vec<_> = slice.entries.iter().map(|entry| entry.payload.as_str().to_owned()).collect();
        assert_eq!(offsets(&slice), (1..=found.len() as u64).collect::<Vec<_>>());
        for text in stored {
            assert_eq!(found.iter().filter(|found| **found == text).count(), 1, "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_whose_slot_moves_while_it_is_quiet_is_heard_again() {
    let stand = Stand::start(Version::Seven);
    let (writer, mut listener) = (stand.node().await, stand.node().await);
    let id = stand.room_on("c");
    listener.broker.subscribe(&[room(&id), room(&stand.room_on("b"))]).await.unwrap();
    for (from, to) in [("c", "a"), ("a", "b"), ("b", "c")] {
        stand.set.tell(&format!("move {} {from} {to}", stand.slot(&id)));
        while !matches!(listener.hear().await, BusEvent::Interrupted) {}
        writer.say(&room(&id), message("u", to)).await;
        while listener.hear_entry().await.payload.as_str() != to {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_whose_primary_dies_holds_up_none_of_the_others_and_is_found_again() {
    let stand = Stand::start(Version::Seven);
    let mut node = stand.node().await;
    let (dying, living) = (room(&stand.room_on("a")), room(&stand.room_on("b")));
    node.broker.subscribe(&[dying.clone(), living.clone()]).await.unwrap();
    node.say(&dying, message("u", "before")).await;
    assert_eq!(node.hear_entry().await.payload.as_str(), "before");
    stand.set.tell("kill a");
    let mut down = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        node.say(&living, message("u", "meanwhile")).await;
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
        assert_eq!(node.hear_entry().await.payload.as_str(), "meanwhile");
        let tops = node.broker.tops(&[dying.clone(), living.clone()]).await.unwrap();
        assert!(tops[1].is_some(), "one that is away keeps no other from being compared");
        down += usize::from(tops[0].is_none());
        pause(20).await;
    }
    assert!(down > 0);
    assert!(node.broker.is_available(), "most of it answers");
    assert_eq!(node.broker.trouble(), Some("a shard of the Redis Cluster can't be reached"));
    while !matches!(node.hear().await, BusEvent::Interrupted) {}
    say_at_last(&node, &dying, "after").await;
    while node.hear_entry().await.payload.as_str() != "after" {}
    assert_eq!(node.broker.trouble(), None);
    // What was the primary comes back as a replica.
    stand.set.tell("start a");
    pause(1_500).await;
    say_at_last(&node, &dying, "at the end").await;
    while node.hear_entry().await.payload.as_str() != "at the end" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shard_is_proved_by_itself() {
    let stage = Set::shared(Form::Cluster, Version::Seven).config();
    let mut node = Node::on(stage).await;
    let probes = node.broker.probes(&super::node("n"));
    assert_eq!(probes.len(), 3);
    for probe in probes {
        node.broker.subscribe(std::slice::from_ref(&probe)).await.unwrap();
        node.broker.signal(&probe, "heard".to_owned()).await.unwrap();
        assert_eq!(node.hear().await, BusEvent::Signal(probe.clone(), "heard".to_owned()));
        node.broker.renew_bus(&probe).await;
        while node.hear().await != BusEvent::Interrupted {}
        node.broker.unsubscribe(&[probe]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letting_go_of_a_room_that_has_just_moved_breaks_nothing() {
    let stand = Stand::start(Version::Seven);
    let mut node = stand.node().await;
    let (id, other) = (stand.room_on("a"), room(&stand.room_on("a").replace('r', "s")));
    node.broker.subscribe(&[room(&id), other.clone()]).await.unwrap();
    stand.set.tell(&format!("move {} a b", stand.slot(&id)));
    node.broker.unsubscribe(&[room(&id)]).await.unwrap();
    node.broker.subscribe(&[room("t1"), room("t2")]).await.unwrap();
    for topic in [other, room("t1"), room("t2")] {
        say_at_last(&node, &topic, "heard").await;
        let begun = Instant::now();
        while node.hear_entry().await.payload.as_str() != "heard" {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
    }
}
