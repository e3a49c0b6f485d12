//! What is acknowledged only once it is safe, is safe.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::forms::unfit;
use super::outage::until_available;
use super::*;
use crate::store::StoreError;
use crate::store::redis::Durability;

fn durable(durability: Durability, config: RedisConfig) -> RedisConfig {
    RedisConfig { durability, ..config }
}

fn unsafe_yet(done: Result<Committed, StoreError>) -> bool {
    matches!(done, Err(StoreError::Unavailable(why)) if why.contains("too few replicas have it yet"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_counts_once_a_replica_has_it_and_asked_again_as_well() {
    let (primary, replica) = (Server::start(), Server::start());
    let node = Node::on(durable(Durability::Replica, RedisConfig::new(&primary.url()))).await;
    let topic = room("a");
    assert!(unsafe_yet(node.broker.commit(&topic, nonced("u", "1", "n1")).await), "there is no replica");

    assert_eq!(replica.ask(&primary.replicaof()), "+OK");
    // It begins with a copy of all.
    let again = loop {
        match node.broker.commit(&topic, nonced("u", "1", "n1")).await {
            Ok(done) => break done,
            Err(error) => assert!(unsafe_yet(Err(error))),
        }
    };
    assert!(matches!(again, Committed::Repeated(Entry { offset: 1, .. })), "{again:?}");
    let rooms: Vec<_> = (0..100).map(|i| room(&format!("r{i}"))).collect();
    let many = join_all(rooms.iter().map(|room| node.broker.commit(room, message("u", "1")))).await;
    assert!(many.iter().all(Result::is_ok));

    replica.send("STOP");
    assert!(unsafe_yet(node.broker.commit(&topic, nonced("u", "2", "n2")).await));
    // It is stored; but neither who sends it again nor who asks for it is told so before it is safe.
    assert!(unsafe_yet(node.broker.commit(&topic, nonced("u", "2", "n2")).await));
    assert!(node.broker.find_nonce(&topic, &user("u"), "n2").await.is_err());
    assert_eq!(offsets(&node.all(&topic).await), [1, 2]);
    replica.send("CONT");
    let found = node.broker.find_nonce(&topic, &user("u"), "n2").await.unwrap();
    assert_eq!(found.map(|entry| entry.offset), Some(2));
    assert!(matches!(node.broker.commit(&topic, nonced("u", "2", "n2")).await, Ok(Committed::Repeated(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_cannot_say_what_is_on_the_disk_has_to_write_at_once() {
    let server = Server::start();
    let config = durable(Durability::Aof, RedisConfig::new(&server.url()));
    let refused = RedisStore::connect(config.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("its appendfsync is everysec; set it to always"), "{refused}");
    assert_eq!(server.ask("CONFIG SET appendfsync always"), "+OK");
    let node = Node::on(config.clone()).await;
    assert_eq!(node.say(&room("a"), message("u", "1")).await.0, 1);
    assert_eq!(server.ask("CONFIG SET appendonly no"), "+OK");
    let refused = RedisStore::connect(config).await.err().unwrap().to_string();
    assert!(refused.contains("set appendonly to yes"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_there_later_is_not_fit_before_it_can_keep_messages() {
    let mut server = Server::absent();
    let node = Node::on(durable(Durability::Aof, RedisConfig::new(&server.url()))).await;
    assert!(server.run());
    until_available(&node, true).await;
    let what = unfit(&node).await;
    assert!(what.starts_with("Redis can't keep messages as --durability asks for: "), "{what}");
    assert!(what.contains("its appendfsync is everysec"), "{what}");
    server.ask("CONFIG SET appendfsync always");
    node.broker.check().await.unwrap();
    server.ask("CONFIG SET no-appendfsync-on-rewrite yes");
    assert!(unfit(&node).await.contains("set no-appendfsync-on-rewrite to no"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_may_not_wait_is_told_and_so_is_a_file_that_is_never_on_the_disk() {
    let set = Set::start(Form::Standalone, Version::Eight);
    let nodes = [(Durability::Aof, "waitaof"), (Durability::Replica, "wait")];
    for (durability, command) in nodes {
        let node = Node::on(durable(durability, set.config())).await;
        node.broker.check().await.unwrap();
        set.tell(&format!("cli a acl setuser chat -{command}"));
        let what = unfit(&node).await;
        assert!(what.contains(&format!("needed: {command};")), "{what}");
        set.tell(&format!("cli a acl setuser chat +{command}"));
    }
    let node = Node::on(durable(Durability::Aof, set.config())).await;
    set.tell("cli a config set appendfsync no");
    assert!(unfit(&node).await.contains("its appendfsync is no"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_redis_is_asked_what_is_on_the_disk() {
    let set = Set::shared(Form::Standalone, Version::Eight);
    let node = Node::on(durable(Durability::Aof, set.config())).await;
    assert_eq!(node.say(&room("a"), message("u", "1")).await.0, 1);
    let asked = set.tell("cli a info commandstats");
    assert!(asked.iter().any(|line| line.starts_with("cmdstat_waitaof:")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_nothing_that_two_of_three_have() {
    let set = Set::start(Form::Sentinel, Version::Eight);
    for name in ["a", "b", "c"] {
        set.tell(&format!("cli {name} config set min-replicas-to-write 1 min-replicas-max-lag 2"));
    }
    let node = Node::on(durable(Durability::Replica, set.config())).await;
    let topic = room("a");
    let mut acked = BTreeSet::new();
    for round in 0..30 {
        if round == 10 {
            set.tell("kill a");
        }
        let said = (0..20).map(|i| format!("{round} {i}"));
        let said: Vec<_> = said.map(|text| (nonced("u", &text, &text.replace(' ', "-")), text)).collect();
        let sent = said.iter().map(|(commit, text)| async {
            while node.broker.commit(&topic, commit.clone()).await.is_err() {
                pause(50).await;
            }
            text.clone()
        });
        acked.extend(join_all(sent).await);
    }
    until_available(&node, true).await;
    let slice = node.all(&topic).await;
    let kept: Vec<_> = slice.entries.iter().map(|entry| entry.payload.as_str().to_owned()).collect();
    assert_eq!(kept.len(), kept.iter().collect::<BTreeSet<_>>().len(), "each once");
    let lost: Vec<_> = acked.difference(&kept.into_iter().collect()).cloned().collect();
    assert_eq!((acked.len(), lost), (600, Vec::new()));
}
