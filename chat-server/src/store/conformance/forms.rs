//! Redis as people run it: what goes wrong with TLS, and what a failover does.

use crate::store::{Health, LogStore};
use std::path::PathBuf;

use super::outage::{until_available, until_heard};
use super::*;
use crate::store::StoreError;

/// A node that could not connect, and the words for why.
async fn trouble(config: RedisConfig) -> &'static str {
    let (broker, _heard) = RedisStore::connect(config).await.unwrap();
    broker.trouble().expect("it is connected")
}

fn file(of: &RedisConfig, name: &str) -> PathBuf {
    of.tls.ca.as_ref().unwrap().with_file_name(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_whose_certificate_is_of_another_ca_is_not_trusted() {
    let mut config = Set::shared(Form::Standalone, Version::Seven).config();
    // It is no CA, and signed nothing.
    config.tls.ca = Some(file(&config, "client.crt"));
    assert_eq!(trouble(config).await, "Redis shows a certificate that can't be trusted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_client_certificate_is_told() {
    let mut config = Set::shared(Form::Standalone, Version::Seven).config();
    config.tls.client = None;
    assert_eq!(trouble(config).await, "Redis breaks TLS off: it may want another client certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_behind_sentinels_too_and_so_are_sentinels_without_a_primary() {
    let config = Set::shared(Form::Sentinel, Version::Seven).config();
    let wrong = RedisConfig { password: Some("wrong".to_owned()), ..config.clone() };
    assert_eq!(trouble(wrong).await, "Redis refuses the user or the password");
    let other = RedisConfig { sentinel_master: Some("other".to_owned()), ..config };
    assert_eq!(trouble(other).await, "no sentinel leads to a primary of Redis that can be reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_none_is_told_and_so_is_one_that_is_taken_for_a_single_redis() {
    let mut config = Set::shared(Form::Standalone, Version::Seven).config();
    config.url = config.url.replace("rediss:", "rediss-cluster:");
    assert!(trouble(config).await.starts_with("Redis does not say who has which slots"));

    let mut config = Set::shared(Form::Cluster, Version::Seven).config();
    config.url = config.url.replace("rediss-cluster:", "rediss:").split(',').next().unwrap().to_owned();
    let (broker, _heard) = RedisStore::connect(config).await.unwrap();
    let rooms: Vec<_> = (0..50).map(|number| room(&format!("r{number}"))).collect();
    let mut refused = Vec::new();
    for room in &rooms {
        refused.extend(broker.commit(room, message("u", "1")).await.err());
    }
    assert!(refused.iter().all(|error| error.to_string().starts_with("this Redis belongs to a Redis Cluster")));
    assert!((1..50).contains(&refused.len()), "some are this server's own: {}", refused.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_without_a_restart() {
    let set = Set::start(Form::Standalone, Version::Seven);
    let mut config = set.config();
    let own = tempfile::tempdir().unwrap();
    let ca = own.path().join("ca.crt");
    std::fs::copy(file(&config, "ca.crt"), &ca).unwrap();
    let (old, new) = (file(&config, "client.crt"), file(&config, "ca.crt"));
    config.tls.ca = Some(ca.clone());
    let node = Node::on(config).await;
    assert!(node.broker.is_available());
    std::fs::copy(old, &ca).unwrap();
    set.tell("cli a client kill type normal");
    until_available(&node, false).await;
    std::fs::copy(new, &ca).unwrap();
    until_available(&node, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_the_new_primary_is_used_and_the_old_one_left() {
    let set = Set::start(Form::Sentinel, Version::Seven);
    let (mut node, topic) = (Node::on(set.config()).await, room("a"));
    node.broker.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    node.say(&topic, message("u", "1")).await;
    assert_eq!(node.hear_entry().await.payload.as_str(), "1");
    set.tell("kill a");
    until_available(&node, false).await;
    until_available(&node, true).await;
    until_heard(&mut node, &topic, "2").await;
    // The old one comes back, and is told that it is a replica now.
    set.tell("start a");
    node.say(&topic, message("u", "3")).await;
    while node.hear_entry().await.payload.as_str() != "3" {}
    let texts: Vec<_> = node.all(&topic).await.entries.into_iter().map(|entry| entry.payload.into_string()).collect();
    assert_eq!((texts.first().map(String::as_str), texts.last().map(String::as_str)), (Some("1"), Some("3")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_set_up_as_documented_will_do() {
    let forms = [Form::Standalone, Form::Sentinel, Form::Cluster];
    let all = forms.map(|form| [(form, Version::Seven), (form, Version::Eight)]);
    for (form, version) in all.into_iter().flatten().chain([(Form::Standalone, Version::Valkey)]) {
        let node = Node::on(Set::shared(form, version).config()).await;
        node.broker.check().await.unwrap();
    }
}

/// What is wrong with the Redis of a node.
pub(super) async fn unfit(node: &Node) -> String {
    match node.broker.check().await {
        Err(StoreError::Misconfigured(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_may_not_do_is_named() {
    let set = Set::start(Form::Standalone, Version::Seven);
    let node = Node::on(set.config()).await;
    for (taken, given, named) in [
        ("-xadd", "+xadd", "needed: xadd;"),
        ("-zadd -ssubscribe -subscribe", "+zadd +ssubscribe +subscribe", "needed: zadd, subscribe;"),
        ("resetkeys '~other:*'", "resetkeys '~chat:*'", "its keys (such as chat:"),
        ("resetchannels", "'&chat:*'", "its channels (such as chat:"),
        ("-info", "+info", "needed: info;"),
        ("-evalsha", "+evalsha", "'evalsha' command"),
        ("-script", "'+script|load'", "'script|load' command"),
    ] {
        set.tell(&format!("cli a acl setuser chat {taken}"));
        if taken == "-script" {
            set.tell("cli a script flush");
        }
        // Redis ends connections whose channels were taken away.
        until_available(&node, true).await;
        let what = unfit(&node).await;
        assert!(what.starts_with("the user of Redis may not") && what.contains(named), "{what}");
        set.tell(&format!("cli a acl setuser chat {given}"));
    }
    node.broker.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_throws_messages_away_is_refused() {
    let server = Server::start();
    let node = server.node().await;
    for (policy, limit, fits) in
        [("allkeys-lru", "0", true), ("allkeys-lru", "100mb", false), ("noeviction", "100mb", true)]
    {
        server.ask(&format!("CONFIG SET maxmemory {limit}"));
        server.ask(&format!("CONFIG SET maxmemory-policy {policy}"));
        if fits {
            node.broker.check().await.unwrap();
        } else {
            assert_eq!(
                unfit(&node).await,
                "Redis throws messages away when it is full (maxmemory-policy allkeys-lru): set maxmemory-policy noeviction"
            );
        }
    }
}
