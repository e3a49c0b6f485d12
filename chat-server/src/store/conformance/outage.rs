//! Redis only: shared by nodes, without its scripts or connections, unavailable, back again.

use crate::store::{FieldStore, Health};
use std::time::Instant;

use super::*;
use crate::domain::position::{Epoch, Position};
use crate::domain::trouble::Trouble;
use crate::store::StoreError;

/// Waits until the store is available, or is not.
pub(super) async fn until_available(node: &Node, available: bool) {
    let begun = Instant::now();
    while node.store.is_available() != available {
        assert!(begun.elapsed() < Duration::from_secs(15), "not {available} in 15 s");
        pause(10).await;
    }
}

/// Commits until it is received, over a bus that may still be on its way back.
pub(super) async fn until_received(node: &mut Node, topic: &Topic, text: &str) {
    while !matches!(node.receive().await, BusEvent::Interrupted) {}
    node.append(topic, message("u", text)).await;
    while node.receive_entry().await.payload.as_str() != text {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_receive_one_order() {
    let server = Server::start();
    let (mut a, mut b, topic) = (server.node().await, server.node().await, room("a"));
    for node in [&a, &b] {
        node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    }
    let writers = [&a, &b].into_iter().flat_map(|node| (0..4).map(|_| node.store.clone())).map(|store| {
        let topic = topic.clone();
        tokio::spawn(async move {
            for i in 0..200 {
                store.commit(&topic, message("u", &i.to_string())).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let log = a.all(&topic).await.entries;
    assert_eq!(log.len(), 1_600);
    for (i, entry) in log.into_iter().enumerate() {
        assert_eq!(entry.offset, i as u64 + 1);
        let received = BusEvent::Entry(topic.clone(), entry, None);
        assert_eq!(a.receive().await, received);
        assert_eq!(b.receive().await, received);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_reads_what_another_node_stored() {
    let server = Server::start();
    let (a, b, topic) = (server.node().await, server.node().await, room("a"));
    a.append(&topic, nonced("u", "1", "n")).await;
    assert!(matches!(b.store.commit(&topic, nonced("u", "2", "n")).await.unwrap(), Committed::Repeated(_)));
    assert_eq!(a.all(&topic).await, b.all(&topic).await);
    a.store.set_presence(&node("a"), &user("u"), Some("1")).await.unwrap();
    assert_eq!(b.store.set_presence(&node("b"), &user("u"), Some("1")).await.unwrap(), (true, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_redis_lost_are_loaded_again() {
    let server = Server::start();
    let (node, topic) = (server.node().await, room("a"));
    node.append(&topic, message("u", "1")).await;
    assert_eq!(server.ask("SCRIPT FLUSH"), "+OK");
    assert_eq!(node.append(&topic, message("u", "2")).await.0, 2);
    assert_eq!(node.all(&topic).await.top, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_subscription_is_reported_and_restored() {
    let server = Server::start();
    let (mut node, topic) = (server.node().await, room("a"));
    node.store.subscribe(&[topic.clone(), room("b")]).await.unwrap();
    for round in 0..3 {
        assert_eq!(server.ask("CLIENT KILL TYPE pubsub"), ":1");
        until_received(&mut node, &topic, &round.to_string()).await;
    }
    node.append(&room("b"), message("u", "b")).await;
    while node.receive_entry().await.payload.as_str() != "b" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_cannot_be_read_is_an_interruption() {
    let server = Server::start();
    let (mut node, topic) = (server.node().await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    assert_eq!(server.ask("PUBLISH chat:{room:a} nonsense"), ":1");
    assert_eq!(node.receive().await, BusEvent::Interrupted);
    node.store.signal(&topic, "1".to_owned()).await.unwrap();
    assert_eq!(node.receive().await, BusEvent::Signal(topic, "1".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_redis_is_unavailable_at_once_and_works_again_after() {
    let mut server = Server::start();
    let (mut node, topic) = (server.node().await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    node.append(&topic, nonced("u", "1", "n")).await;
    node.receive_entry().await;
    let slice = node.all(&topic).await;
    let (before, entry) = (slice.lineage.epoch, slice.entries[0].clone());

    server.stop();
    until_available(&node, false).await;
    // The other of the two connections may take a moment longer to see it.
    pause(100).await;
    let begun = Instant::now();
    let unavailable = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Unavailable(_))));
    unavailable(node.store.commit(&topic, message("u", "lost")).await.map(drop));
    unavailable(node.store.fields(&topic, &["a".to_owned()]).await.map(drop));
    unavailable(node.store.count(&topic, "").await.map(drop));
    unavailable(node.store.signal(&topic, String::new()).await);
    unavailable(node.store.subscribe(&[room("b")]).await);
    unavailable(node.store.beat(&super::node("a"), 1, false).await.map(drop));
    node.store.unsubscribe(&[room("b")]).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());

    pause(500).await;
    assert!(server.run());
    until_available(&node, true).await;
    until_received(&mut node, &topic, "2").await;
    let slice = node.all(&topic).await;
    assert_eq!(slice.lineage.shared_with(&before), Some(1), "append-only: the log goes on where it was");
    assert_eq!((slice.top, &slice.entries[0]), (2, &entry), "what was stored is as it was");
    let repeated = node.store.commit(&topic, nonced("u", "3", "n")).await.unwrap();
    assert_eq!(repeated, Committed::Repeated(entry), "and has the answer that it had");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_in_flight_when_redis_stops_end_soon() {
    let mut server = Server::start();
    let node = server.node().await;
    let writers: Vec<_> = (0..4)
        .map(|i| {
            let (store, topic) = (node.store.clone(), room(&format!("r{i}")));
            tokio::spawn(async move { while store.commit(&topic, message("u", "")).await.is_ok() {} })
        })
        .collect();
    pause(200).await;
    server.stop();
    for writer in writers {
        tokio::time::timeout(Duration::from_secs(4), writer).await.expect("a commit hangs").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stalls_is_unavailable_and_runs_nothing_twice() {
    let server = Server::start();
    let (mut node, topic) = (server.node().await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    server.send("STOP");
    let begun = Instant::now();
    let error = node.store.commit(&topic, message("u", "stalled")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)));
    assert!(begun.elapsed() < Duration::from_secs(4));
    until_available(&node, false).await;
    server.send("CONT");
    until_available(&node, true).await;
    until_received(&mut node, &topic, "after").await;
    let log = node.all(&topic).await.entries;
    assert!(log.iter().filter(|entry| entry.payload.as_str() == "stalled").count() <= 1, "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_starts_later_is_found() {
    let mut server = Server::absent();
    let begun = Instant::now();
    let mut node = server.node().await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert!(!node.store.is_available());
    assert!(node.store.subscribe(&[room("a")]).await.is_err());
    assert!(server.run());
    until_available(&node, true).await;
    node.store.subscribe(&[room("a")]).await.unwrap();
    node.append(&room("a"), message("u", "1")).await;
    assert_eq!(node.receive_entry().await.payload.as_str(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_cannot_be_used_is_refused_without_its_password() {
    for url in ["", "localhost", "http://:secret@h", "redis://:secret@h/x", "redis://:secret@h:99999"] {
        let config = RedisConfig::new(url);
        let error = RedisStore::connect(config).await.err().expect(url).to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_reported_until_it_is_right() {
    let server = Server::start();
    assert_eq!(server.ask("CONFIG SET requirepass right"), "+OK");
    let url = server.url().replace("redis://", "redis://:right@");
    let (right, _received) = RedisStore::connect(RedisConfig::new(&url)).await.unwrap();
    assert!(right.is_available());
    let url = url.replace("right", "wrong");
    let (wrong, _received) = RedisStore::connect(RedisConfig::new(&url)).await.unwrap();
    assert!(!wrong.is_available());
    let error = wrong.touch(&room("a"), 1).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("refuses the user or the password")),
        "{error}"
    );

    let separate = RedisConfig { password: Some("right".to_owned()), ..RedisConfig::new(&server.url()) };
    let (separate, _received) = RedisStore::connect(separate).await.unwrap();
    assert!(separate.is_available(), "a password beside the URL counts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_store_closes_its_connections() {
    let server = Server::start();
    for _ in 0..3 {
        server.node().await;
    }
    pause(200).await;
    assert_eq!(server.info("clients", "connected_clients"), 1.0, "only the one that asks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_in_two_databases_of_one_redis_are_independent() {
    let server = Server::start();
    let (mut first, topic) = (server.node().await, room("a"));
    let config = RedisConfig::new(&format!("{}/3", server.url()));
    let (store, received) = RedisStore::connect(config).await.unwrap();
    let mut third = Node { store: Arc::new(store), received };
    for node in [&first, &third] {
        node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    }
    first.append(&topic, message("u", "in the first")).await;
    assert_eq!(first.receive_entry().await.payload.as_str(), "in the first");
    third.receives_nothing().await;
    third.append(&topic, message("u", "in the third")).await;
    assert_eq!(third.receive_entry().await.payload.as_str(), "in the third");
    first.receives_nothing().await;
}

/// A position in the present epoch of a log.
async fn here(node: &Node, topic: &Topic, offset: Offset) -> Position {
    Position { epoch: node.all(topic).await.lineage.epoch, offset }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_redis_lost_are_not_covered() {
    let mut server = Server::start();
    let (node, topic) = (server.node().await, room("a"));
    for text in ["1", "2"] {
        node.append(&topic, message("u", text)).await;
    }
    let saved = server.saved();
    node.append(&topic, message("u", "3, to be lost")).await;
    let (kept, lost) = (here(&node, &topic, 2).await, here(&node, &topic, 3).await);
    server.stop();
    server.restore(&saved);
    assert!(server.run());
    until_available(&node, true).await;

    // Nothing was committed since: a read begins the new epoch.
    let slice = node.all(&topic).await;
    assert!(slice.covers(&kept) && !slice.covers(&lost));
    node.append(&topic, message("u", "another 3")).await;
    node.append(&topic, message("u", "4")).await;
    let slice = node.all(&topic).await;
    assert!(slice.covers(&kept) && !slice.covers(&lost), "another entry stands where the lost one was");
    assert_eq!((offsets(&slice), slice.lineage.ended.len()), (vec![1, 2, 3, 4], 1));
    assert_eq!(slice.entries[2].payload.as_str(), "another 3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_begins_a_new_epoch() {
    let (server, replica) = (Server::start(), Server::start());
    let (node, topic) = (server.node().await, room("a"));
    node.append(&topic, message("u", "1")).await;
    assert_eq!(replica.ask(&server.replicaof()), "+OK");
    let begun = Instant::now();
    while replica.info("replication", "slave_repl_offset") < 1.0 || replica.ask("EXISTS chat:{room:a}:l") != ":1" {
        assert!(begun.elapsed() < Duration::from_secs(15), "the replica does not follow");
        pause(20).await;
    }
    let kept = here(&node, &topic, 1).await;
    // Nothing gets through to the replica any more.
    assert_eq!(replica.ask("REPLICAOF NO ONE"), "+OK");
    node.append(&topic, message("u", "2, on the old primary")).await;
    let lost = here(&node, &topic, 2).await;

    let after = replica.node().await;
    after.append(&topic, message("u", "2, on the new one")).await;
    let slice = after.all(&topic).await;
    assert!(slice.covers(&kept) && !slice.covers(&lost));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_demotion_the_node_reconnects() {
    let (server, other) = (Server::start(), Server::start());
    let (node, topic) = (server.node().await, room("a"));
    node.append(&topic, message("u", "1")).await;
    let connections = || server.info("stats", "total_connections_received");
    assert_eq!(server.ask(&other.replicaof()), "+OK");
    let before = connections();
    let refused = node.store.commit(&topic, message("u", "2")).await;
    assert!(matches!(refused, Err(StoreError::Refused(Trouble::ReadOnly, _))), "{refused:?}");
    let begun = Instant::now();
    // Asking is a connection, too: the first after `before` is our own.
    let mut asked = 1.0;
    while connections() <= before + asked {
        assert!(begun.elapsed() < Duration::from_secs(15), "it stays with one that takes no writes");
        asked += 1.0;
        pause(20).await;
    }
    assert_eq!(server.ask("REPLICAOF NO ONE"), "+OK");
    while !node.store.is_available() {
        node.store.probe(&super::node("a")).await;
        assert!(begun.elapsed() < Duration::from_secs(15), "it does not count as available again");
        pause(20).await;
    }
    while node.store.commit(&topic, message("u", "3")).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(15), "it does not work again");
        pause(20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_epochs_are_forgotten_and_their_positions_refused() {
    let mut server = Server::start();
    let (node, topic) = (server.node().await, room("a"));
    node.append(&topic, message("u", "1")).await;
    let first = here(&node, &topic, 1).await;
    server.stop();
    assert!(server.run());
    until_available(&node, true).await;
    assert!(node.all(&topic).await.covers(&first));
    // What the script would have kept after very many restarts.
    let epochs = (0..32).map(|epoch| format!("e{epoch}:1,")).collect::<String>();
    assert_eq!(server.ask(&format!("HSET chat:{{room:a}}:f \"\\xffe\" {epochs}")), ":0");
    assert_eq!(server.change_head("chat:{room:a}:f", "{[10]='other'}"), ":0");
    let slice = node.all(&topic).await;
    assert_eq!(slice.lineage.ended.len(), 32);
    assert!(!slice.lineage.holds(&Position { epoch: Epoch::new("e0"), offset: 1 }), "the oldest is forgotten");
    assert!(slice.lineage.holds(&Position { epoch: Epoch::new("e1"), offset: 1 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_its_head_starts_over() {
    let server = Server::start();
    let (node, topic) = (server.node().await, room("a"));
    node.append(&topic, nonced("u", "1", "n")).await;
    assert_eq!(server.ask("DEL chat:{room:a}:f"), ":1");
    assert_eq!(node.append(&topic, nonced("u", "2", "n2")).await.0, 1);
    assert_eq!(node.all(&topic).await.entries[0].payload.as_str(), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_log_and_its_nonces_expire_with_its_last_entry() {
    let server = Server::start();
    let node = server.node_with(Retention { max_age_ms: 200, max_entries: 0 }).await;
    let topic = room("a");
    node.append(&topic, nonced("u", "1", "n")).await;
    assert_eq!(server.ask("EXISTS chat:{room:a}:l chat:{room:a}:n"), ":2");
    let begun = Instant::now();
    while server.ask("EXISTS chat:{room:a}:l chat:{room:a}:n") != ":0" {
        assert!(begun.elapsed() < Duration::from_secs(15), "nobody trims it");
        pause(50).await;
    }
    let slice = node.all(&topic).await;
    assert_eq!((slice.top, slice.first), (1, 2), "offsets go on");
    assert_eq!(node.append(&topic, nonced("u", "2", "n")).await.0, 2);
}
