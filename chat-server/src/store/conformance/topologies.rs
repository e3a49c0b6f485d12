//! Redis in each topology: errors of TLS, permissions and configuration; failovers.

use crate::store::{Health, LogStore};
use std::path::PathBuf;

use super::outage::{until_available, until_received};
use super::*;
use crate::store::StoreError;

/// The trouble of a node that can't connect.
async fn trouble(config: RedisConfig) -> &'static str {
    let (store, _received) = RedisStore::connect(config).await.unwrap();
    store.trouble().expect("it is connected").sentence()
}

fn file(of: &RedisConfig, name: &str) -> PathBuf {
    of.tls.ca.as_ref().unwrap().with_file_name(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_ca_is_not_trusted() {
    let mut config = Deployment::shared(Topology::Standalone, Version::Seven).config();
    // It is no CA, and signed nothing.
    config.tls.ca = Some(file(&config, "client.crt"));
    assert_eq!(trouble(config).await, "Redis shows a certificate that can't be trusted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_client_certificate_is_reported() {
    let mut config = Deployment::shared(Topology::Standalone, Version::Seven).config();
    config.tls.client = None;
    assert_eq!(trouble(config).await, "Redis breaks TLS off: it may want another client certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_a_missing_primary_are_reported_behind_sentinels() {
    let config = Deployment::shared(Topology::Sentinel, Version::Seven).config();
    let wrong = RedisConfig { password: Some("wrong".to_owned()), ..config.clone() };
    assert_eq!(trouble(wrong).await, "Redis refuses the user or the password");
    let other = RedisConfig { sentinel_master: Some("other".to_owned()), ..config };
    assert_eq!(trouble(other).await, "no sentinel leads to a primary of Redis that can be reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_for_the_wrong_topology_is_reported() {
    let mut config = Deployment::shared(Topology::Standalone, Version::Seven).config();
    config.url = config.url.replace("rediss:", "rediss-cluster:");
    assert!(trouble(config).await.starts_with("Redis does not say who has which slots"));

    let mut config = Deployment::shared(Topology::Cluster, Version::Seven).config();
    config.url = config.url.replace("rediss-cluster:", "rediss:").split(',').next().unwrap().to_owned();
    let (store, _received) = RedisStore::connect(config).await.unwrap();
    let rooms: Vec<_> = (0..50).map(|number| room(&format!("r{number}"))).collect();
    let mut refused = Vec::new();
    for room in &rooms {
        refused.extend(store.commit(room, message("u", "1")).await.err());
    }
    assert!(refused.iter().all(|error| error.to_string().starts_with("this Redis belongs to a Redis Cluster")));
    assert!((1..50).contains(&refused.len()), "some are this server's own: {}", refused.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_without_a_restart() {
    let deployment = Deployment::start(Topology::Standalone, Version::Seven);
    let mut config = deployment.config();
    let own = tempfile::tempdir().unwrap();
    let ca = own.path().join("ca.crt");
    std::fs::copy(file(&config, "ca.crt"), &ca).unwrap();
    let (old, new) = (file(&config, "client.crt"), file(&config, "ca.crt"));
    config.tls.ca = Some(ca.clone());
    let node = Node::on(config).await;
    assert!(node.store.is_available());
    std::fs::copy(old, &ca).unwrap();
    deployment.tell("cli a client kill type normal");
    until_available(&node, false).await;
    std::fs::copy(new, &ca).unwrap();
    until_available(&node, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_the_new_primary_is_used() {
    let deployment = Deployment::start(Topology::Sentinel, Version::Seven);
    let (mut node, topic) = (Node::on(deployment.config()).await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    node.append(&topic, message("u", "1")).await;
    assert_eq!(node.receive_entry().await.payload.as_str(), "1");
    deployment.tell("kill a");
    until_available(&node, false).await;
    until_available(&node, true).await;
    until_received(&mut node, &topic, "2").await;
    // The old primary comes back as a replica.
    deployment.tell("start a");
    node.append(&topic, message("u", "3")).await;
    while node.receive_entry().await.payload.as_str() != "3" {}
    let texts: Vec<_> = node.all(&topic).await.entries.into_iter().map(|entry| entry.payload.into_string()).collect();
    assert_eq!((texts.first().map(String::as_str), texts.last().map(String::as_str)), (Some("1"), Some("3")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_set_up_as_documented_passes_the_check() {
    for topology in TOPOLOGIES {
        passes_the_check(topology, Version::Seven).await;
    }
}

const TOPOLOGIES: [Topology; 3] = [Topology::Standalone, Topology::Sentinel, Topology::Cluster];

async fn passes_the_check(topology: Topology, version: Version) {
    let node = Node::on(Deployment::shared(topology, version).config()).await;
    node.store.check().await.unwrap();
}

mod platform {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn newer_servers_set_up_as_documented_pass_the_check() {
        for topology in TOPOLOGIES {
            passes_the_check(topology, Version::Eight).await;
        }
        passes_the_check(Topology::Standalone, Version::Valkey).await;
    }
}

/// The error of a check that fails.
pub(super) async fn misconfiguration(node: &Node) -> String {
    match node.store.check().await {
        Err(StoreError::Misconfigured(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_permissions_are_named() {
    let deployment = Deployment::start(Topology::Standalone, Version::Seven);
    let node = Node::on(deployment.config()).await;
    for (taken, given, named) in [
        ("-xadd", "+xadd", "needed: xadd;"),
        ("-zadd -ssubscribe -subscribe", "+zadd +ssubscribe +subscribe", "needed: zadd, subscribe;"),
        ("resetkeys '~other:*'", "resetkeys '~chat:*'", "its keys (such as chat:"),
        ("resetchannels", "'&chat:*'", "its channels (such as chat:"),
        ("-info", "+info", "needed: info;"),
        ("-evalsha", "+evalsha", "'evalsha' command"),
        ("-script", "'+script|load'", "'script|load' command"),
    ] {
        deployment.tell(&format!("cli a acl setuser chat {taken}"));
        if taken == "-script" {
            deployment.tell("cli a script flush");
        }
        // Redis ends connections whose channels were taken away.
        until_available(&node, true).await;
        let what = misconfiguration(&node).await;
        assert!(what.starts_with("the user of Redis may not") && what.contains(named), "{what}");
        deployment.tell(&format!("cli a acl setuser chat {given}"));
    }
    node.store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_evicts_keys_is_refused() {
    let server = Server::start();
    let node = server.node().await;
    for (policy, limit, fits) in
        [("allkeys-lru", "0", true), ("allkeys-lru", "100mb", false), ("noeviction", "100mb", true)]
    {
        server.ask(&format!("CONFIG SET maxmemory {limit}"));
        server.ask(&format!("CONFIG SET maxmemory-policy {policy}"));
        if fits {
            node.store.check().await.unwrap();
        } else {
            assert_eq!(
                misconfiguration(&node).await,
                "Redis throws messages away when it is full (maxmemory-policy allkeys-lru): set maxmemory-policy noeviction"
            );
        }
    }
}
