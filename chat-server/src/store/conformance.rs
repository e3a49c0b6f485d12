//! What [`super::Store`] promises, asked of both implementations; and of Redis what only Redis
//! can do: be shared, be away, come back.
#![allow(clippy::unwrap_used, clippy::panic)] // A test that fails by panicking says enough.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use self::server::Server;
use self::set::{Form, Set, Version};
use super::memory::MemoryStore;
use super::redis::{RedisConfig, RedisStore};
use super::{Append, BusEvent, Commit, Committed, Entry, Keep, Range, Retention, Slice, Store, Topic};
use crate::domain::id::{NodeId, RoomId, SessionId, UserId};
use crate::domain::json::Members;
use crate::domain::position::{Millis, Offset};

mod activity;
mod bus;
mod cluster;
mod durable;
mod fields;
mod forms;
mod gather;
mod head;
mod log;
mod outage;
mod presence;
mod server;
mod set;
mod speed;
mod together;
mod unread;

/// Runs each test on both implementations; on that of Redis in all forms in which it is run.
macro_rules! on_all {
    (@ [$how:meta] $stage:ident = $start:expr; $($test:ident),*) => {
        mod $stage {
            use crate::store::conformance::{Stage, set::{Form, Version}};
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
        on_all!(@ memory = { let _ = (Form::Standalone, Version::Seven); Stage::Memory }; $($test),*);
        on_all!(@ redis = { let _ = (Form::Standalone, Version::Seven); Stage::redis() }; $($test),*);
        on_all!(@ redis_7_tls = Stage::set(Form::Standalone, Version::Seven); $($test),*);
        on_all!(@ redis_7_sentinel = Stage::set(Form::Sentinel, Version::Seven); $($test),*);
        on_all!(@ redis_7_cluster = Stage::set(Form::Cluster, Version::Seven); $($test),*);
        // Not of `make test` but of `make test-all`: see tests/platform.rs.
        mod platform {
            use super::{$($test),*};
            use crate::store::conformance::on_all;

            on_all!(@ redis_8_tls = Stage::set(Form::Standalone, Version::Eight); $($test),*);
            on_all!(@ redis_8_sentinel = Stage::set(Form::Sentinel, Version::Eight); $($test),*);
            on_all!(@ redis_8_cluster = Stage::set(Form::Cluster, Version::Eight); $($test),*);
            on_all!(@ valkey_8_tls = Stage::set(Form::Standalone, Version::Valkey); $($test),*);
            on_all!(@ by hand valkey_8_sentinel = Stage::set(Form::Sentinel, Version::Valkey); $($test),*);
            on_all!(@ by hand valkey_8_cluster = Stage::set(Form::Cluster, Version::Valkey); $($test),*);
        }
    };
}
use on_all;

/// Where a test takes place.
enum Stage {
    Memory,
    Redis(Server),
    /// Servers that other tests use, too, under a prefix of the test's own.
    Set(Box<RedisConfig>),
}

/// A broker, and what its node hears.
struct Node {
    broker: Arc<dyn Store>,
    heard: Receiver<BusEvent>,
}

impl Stage {
    fn redis() -> Self {
        Self::Redis(Server::start())
    }

    fn set(form: Form, version: Version) -> Self {
        Self::Set(Box::new(Set::shared(form, version).config()))
    }

    async fn node(&self) -> Node {
        self.node_with(Retention::default()).await
    }

    async fn node_with(&self, retention: Retention) -> Node {
        match self {
            Self::Memory => {
                let (broker, heard) = MemoryStore::new(retention);
                Node { broker: Arc::new(broker), heard }
            }
            Self::Redis(server) => server.node_with(retention).await,
            Self::Set(config) => Node::on(RedisConfig { retention, ..*config.clone() }).await,
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
        let (broker, heard) = RedisStore::connect(config).await.unwrap();
        Self { broker: Arc::new(broker), heard }
    }

    async fn hear(&mut self) -> BusEvent {
        tokio::time::timeout(Duration::from_secs(10), self.heard.recv()).await.expect("nothing is heard").unwrap()
    }

    /// The next entry, whatever is heard before it.
    async fn hear_entry(&mut self) -> Entry {
        loop {
            if let BusEvent::Entry(_, entry, _) = self.hear().await {
                return entry;
            }
        }
    }

    async fn hears_nothing(&mut self) {
        let heard = tokio::time::timeout(Duration::from_millis(150), self.heard.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Commits and answers the offset and time.
    async fn say(&self, topic: &Topic, commit: Commit) -> (Offset, Millis) {
        match self.broker.commit(topic, commit).await.unwrap() {
            Committed::Done { entry: Some((position, at)) } => (position.offset, at),
            other => panic!("{other:?}"),
        }
    }

    async fn read(&self, topic: &Topic, after: Offset, before: Option<Offset>, limit: usize, keep: Keep) -> Slice {
        self.broker.read(topic, Range { after, before, limit, keep }).await.unwrap()
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
