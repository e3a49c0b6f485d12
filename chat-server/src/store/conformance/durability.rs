//! Durable commits: `WAIT`, `WAITAOF`, `appendfsync always`.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::outage::until_available;
use super::topologies::misconfiguration;
use super::*;
use crate::store::StoreError;
use crate::store::redis::Durability;

fn durable(durability: Durability, config: RedisConfig) -> RedisConfig {
    RedisConfig { durability, ..config }
}

fn unsafe_yet(done: Result<Committed, StoreError>) -> bool {
    // Shown where the test fails.
    println!("{done:?}");
    matches!(done, Err(StoreError::Unavailable(why)) if why.contains("too few replicas have it yet"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_and_its_repetition_wait_for_a_replica() {
    let (primary, replica) = (Server::start(), Server::start());
    let node = Node::on(durable(Durability::Replica, RedisConfig::new(&primary.url()))).await;
    let topic = room("a");
    assert!(unsafe_yet(node.store.commit(&topic, nonced("u", "1", "n1")).await), "there is no replica");

    assert_eq!(replica.ask(&primary.replicaof()), "+OK");
    // It begins with a copy of all.
    let again = loop {
        match node.store.commit(&topic, nonced("u", "1", "n1")).await {
            Ok(done) => break done,
            Err(error) => assert!(unsafe_yet(Err(error))),
        }
    };
    assert!(matches!(again, Committed::Repeated(Entry { offset: 1, .. })), "{again:?}");
    let rooms: Vec<_> = (0..100).map(|i| room(&format!("r{i}"))).collect();
    let many = join_all(rooms.iter().map(|room| node.store.commit(room, message("u", "1")))).await;
    assert!(many.iter().all(Result::is_ok));

    replica.send("STOP");
    assert!(unsafe_yet(node.store.commit(&topic, nonced("u", "2", "n2")).await));
    // It is stored; but a repetition and a look-up of the nonce return it only once it is durable.
    assert!(unsafe_yet(node.store.commit(&topic, nonced("u", "2", "n2")).await));
    assert!(node.store.find_nonce(&topic, &user("u"), "n2").await.is_err());
    assert_eq!(offsets(&node.all(&topic).await), [1, 2]);
    replica.send("CONT");
    let found = node.store.find_nonce(&topic, &user("u"), "n2").await.unwrap();
    assert_eq!(found.map(|entry| entry.offset), Some(2));
    assert!(matches!(node.store.commit(&topic, nonced("u", "2", "n2")).await, Ok(Committed::Repeated(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_waitaof_needs_appendfsync_always() {
    let server = Server::start();
    let config = durable(Durability::Aof, RedisConfig::new(&server.url()));
    let refused = RedisStore::connect(config.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("its appendfsync is everysec; set it to always"), "{refused}");
    assert_eq!(server.ask("CONFIG SET appendfsync always"), "+OK");
    let node = Node::on(config.clone()).await;
    assert_eq!(node.append(&room("a"), message("u", "1")).await.0, 1);
    assert_eq!(server.ask("CONFIG SET appendonly no"), "+OK");
    let refused = RedisStore::connect(config).await.err().unwrap().to_string();
    assert!(refused.contains("set appendonly to yes"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_may_not_read_settings_is_told_what_needs_it() {
    let deployment = Deployment::start(Topology::Standalone, Version::Seven);
    let (aof, replica) = [Durability::Aof, Durability::Replica].map(|way| durable(way, deployment.config())).into();
    let refused = RedisStore::connect(aof.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("its appendfsync is not told (allow the user CONFIG GET)"), "{refused}");
    Node::on(replica).await.store.check().await.unwrap();
    deployment.tell("cli a acl setuser chat '+config|get'");
    let refused = RedisStore::connect(aof.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("its appendfsync is everysec"), "{refused}");
    deployment.tell("cli a config set appendfsync always");
    Node::on(aof).await.store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_later_is_checked_for_durability() {
    let mut server = Server::absent();
    let node = Node::on(durable(Durability::Aof, RedisConfig::new(&server.url()))).await;
    assert!(server.run());
    until_available(&node, true).await;
    let what = misconfiguration(&node).await;
    assert!(what.starts_with("Redis can't keep messages as --durability asks for: "), "{what}");
    assert!(what.contains("its appendfsync is everysec"), "{what}");
    server.ask("CONFIG SET appendfsync always");
    node.store.check().await.unwrap();
    server.ask("CONFIG SET no-appendfsync-on-rewrite yes");
    assert!(misconfiguration(&node).await.contains("set no-appendfsync-on-rewrite to no"));
}

mod platform {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_user_without_waitaof_and_appendfsync_no_are_reported() {
        let deployment = Deployment::start(Topology::Standalone, Version::Eight);
        let nodes = [(Durability::Aof, "waitaof"), (Durability::Replica, "wait")];
        for (durability, command) in nodes {
            let node = Node::on(durable(durability, deployment.config())).await;
            node.store.check().await.unwrap();
            deployment.tell(&format!("cli a acl setuser chat -{command}"));
            let what = misconfiguration(&node).await;
            assert!(what.contains(&format!("needed: {command};")), "{what}");
            deployment.tell(&format!("cli a acl setuser chat +{command}"));
        }
        let node = Node::on(durable(Durability::Aof, deployment.config())).await;
        // Only a user that may read it is warned of it.
        deployment.tell("cli a acl setuser chat '+config|get'");
        deployment.tell("cli a config set appendfsync no");
        assert!(misconfiguration(&node).await.contains("its appendfsync is no"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_newer_redis_confirms_by_waitaof() {
        let deployment = Deployment::shared(Topology::Standalone, Version::Eight);
        let node = Node::on(durable(Durability::Aof, deployment.config())).await;
        assert_eq!(node.append(&room("a"), message("u", "1")).await.0, 1);
        let asked = deployment.tell("cli a info commandstats");
        assert!(asked.iter().any(|line| line.starts_with("cmdstat_waitaof:")), "{asked:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_failover_loses_nothing_that_two_of_three_servers_confirmed() {
        let deployment = Deployment::start(Topology::Sentinel, Version::Eight);
        for name in ["a", "b", "c"] {
            deployment.tell(&format!("cli {name} config set min-replicas-to-write 1 min-replicas-max-lag 2"));
        }
        let node = Node::on(durable(Durability::Replica, deployment.config())).await;
        let topic = room("a");
        let mut acked = BTreeSet::new();
        for round in 0..30 {
            if round == 10 {
                deployment.tell("kill a");
            }
            let said = (0..20).map(|i| format!("{round} {i}"));
            let said: Vec<_> = said.map(|text| (nonced("u", &text, &text.replace(' ', "-")), text)).collect();
            let sent = said.iter().map(|(commit, text)| async {
                while node.store.commit(&topic, commit.clone()).await.is_err() {
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
}
