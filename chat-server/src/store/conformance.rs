//! The conformance suite: tests the guarantees of [`super`] on both implementations; and on Redis what only Redis can do:
//! be shared, fail, and come back.
#![allow(clippy::unwrap_used, clippy::panic)] // A test that fails by panicking says enough.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use self::deployment::{Deployment, Topology, Version};
use self::server::Server;
use super::memory::MemoryStore;
use super::redis::{RedisConfig, RedisStore};
use super::{
    Append, BusEvent, Commit, Committed, Entry, FieldBound, Keep, Marked, Range, Retention, Seen, Slice, Store, Topic,
    TtlWhileEmpty,
};
use crate::domain::id::{NodeId, RoomId, SessionId, UserId};
use crate::domain::json::Members;
use crate::domain::position::{Millis, Offset, Position};

mod activity;
mod batching;
mod bus;
mod cluster;
mod coalescing;
mod deployment;
mod durability;
mod fields;
mod log;
mod log_head;
mod outage;
mod presence;
mod retention;
mod server;
mod speed;
mod topologies;
mod unread;

/// Runs each test on both implementations, and on Redis in all topologies.
macro_rules! on_all {
    (@ [$how:meta] $stage:ident = $start:expr; $($test:ident),*) => {
        mod $stage {
            use crate::store::conformance::{Stage, deployment::{Topology, Version}};
            $(#[$how]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($start).await;
            })*
        }
    };
    (@ by hand $stage:ident = $start:expr; $($test:ident),*) => {
        on_all!(@ [ignore = "the same as redis_8, by another program"] $stage = $start; $($test),*);
    };
    (@ $stage:ident = $start:expr; $($test:ident),*) => {
        on_all!(@ [cfg(test)] $stage = $start; $($test),*);
    };
    ($($test:ident),* $(,)?) => {
        on_all!(@ memory = { let _ = (Topology::Standalone, Version::Seven); Stage::Memory }; $($test),*);
        on_all!(@ redis = { let _ = (Topology::Standalone, Version::Seven); Stage::redis() }; $($test),*);
        on_all!(@ redis_7_tls = Stage::deployment(Topology::Standalone, Version::Seven); $($test),*);
        on_all!(@ redis_7_sentinel = Stage::deployment(Topology::Sentinel, Version::Seven); $($test),*);
        on_all!(@ redis_7_cluster = Stage::deployment(Topology::Cluster, Version::Seven); $($test),*);
        // Not of `make test` but of `make test-all`: see tests/platform.rs.
        mod platform {
            use super::{$($test),*};
            use crate::store::conformance::on_all;

            on_all!(@ redis_8_tls = Stage::deployment(Topology::Standalone, Version::Eight); $($test),*);
            on_all!(@ redis_8_sentinel = Stage::deployment(Topology::Sentinel, Version::Eight); $($test),*);
            on_all!(@ redis_8_cluster = Stage::deployment(Topology::Cluster, Version::Eight); $($test),*);
            on_all!(@ valkey_8_tls = Stage::deployment(Topology::Standalone, Version::Valkey); $($test),*);
            on_all!(@ by hand valkey_8_sentinel = Stage::deployment(Topology::Sentinel, Version::Valkey); $($test),*);
            on_all!(@ by hand valkey_8_cluster = Stage::deployment(Topology::Cluster, Version::Valkey); $($test),*);
        }
    };
}
use on_all;

/// The store of a test.
enum Stage {
    Memory,
    Redis(Server),
    /// Servers that other tests use, too, under a prefix of the test's own.
    Deployment(Box<RedisConfig>),
}

/// A store, and the events that its node receives.
struct Node {
    store: Arc<dyn Store>,
    received: Receiver<BusEvent>,
}

impl Stage {
    fn redis() -> Self {
        Self::Redis(Server::start())
    }

    fn deployment(topology: Topology, version: Version) -> Self {
        Self::Deployment(Box::new(Deployment::shared(topology, version).config()))
    }

    async fn node(&self) -> Node {
        self.node_with(Retention::default()).await
    }

    async fn node_with(&self, retention: Retention) -> Node {
        match self {
            Self::Memory => {
                let (store, received) = MemoryStore::new(retention);
                Node { store: Arc::new(store), received }
            }
            Self::Redis(server) => server.node_with(retention).await,
            Self::Deployment(config) => Node::on(RedisConfig { retention, ..*config.clone() }).await,
        }
    }
}

impl Server {
    async fn node(&self) -> Node {
        self.node_with(Retention::default()).await
    }

    async fn node_with(&self, retention: Retention) -> Node {
        Node::on(RedisConfig { retention, ..RedisConfig::new(&self.url()) }).await
    }
}

impl Node {
    async fn on(config: RedisConfig) -> Self {
        let (store, received) = RedisStore::connect(config).await.unwrap();
        Self { store: Arc::new(store), received }
    }

    async fn receive(&mut self) -> BusEvent {
        tokio::time::timeout(Duration::from_secs(10), self.received.recv()).await.expect("nothing is received").unwrap()
    }

    /// The next entry, whatever is received before it.
    async fn receive_entry(&mut self) -> Entry {
        loop {
            if let BusEvent::Entry(_, entry, _) = self.receive().await {
                return entry;
            }
        }
    }

    /// What is unread in each topic.
    async fn unread(&self, topics: &[Topic], by: &str) -> Vec<u64> {
        let seen = self.store.seen(topics, &user(by), &[]).await.unwrap();
        seen.into_iter().map(|seen| seen.unread).collect()
    }

    async fn receives_nothing(&mut self) {
        let received = tokio::time::timeout(Duration::from_millis(150), self.received.recv()).await;
        assert!(received.is_err(), "{received:?}");
    }

    /// Commits and answers the offset and time.
    async fn append(&self, topic: &Topic, commit: Commit) -> (Offset, Millis) {
        match self.store.commit(topic, commit).await.unwrap() {
            Committed::Done { entry: Some((position, at)) } => (position.offset, at),
            other => panic!("{other:?}"),
        }
    }

    async fn read(&self, topic: &Topic, after: Offset, before: Option<Offset>, limit: usize, keep: Keep) -> Slice {
        self.store.read(topic, Range { after, before, limit, keep }).await.unwrap()
    }

    /// What the log holds.
    async fn all(&self, topic: &Topic) -> Slice {
        self.read(topic, 0, None, 10_000, Keep::Oldest).await
    }
}

fn room(id: &str) -> Topic {
    Topic::Room(RoomId::parse(id).unwrap())
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn node(id: &str) -> NodeId {
    NodeId::parse(id).unwrap()
}

/// A counted message.
fn message(by: &str, text: &str) -> Commit {
    let append = Append {
        event: "message:new",
        by: user(by),
        payload: Members::stored(text.to_owned()),
        nonce: None,
        counted: true,
        trace: None,
    };
    Commit { append: Some(append), ..Commit::default() }
}

/// A message under a nonce.
fn nonced(by: &str, text: &str, nonce: &str) -> Commit {
    let mut commit = message(by, text);
    commit.append.as_mut().unwrap().nonce = Some(nonce.to_owned());
    commit
}

/// Fields that become so.
fn setting(set: &[(&str, Option<&str>)]) -> Commit {
    Commit { set: pairs(set), ..Commit::default() }
}

fn pairs(list: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
}

fn offsets(slice: &Slice) -> Vec<Offset> {
    slice.entries.iter().map(|entry| entry.offset).collect()
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
