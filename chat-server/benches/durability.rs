//! What it costs that a message survives more: `cargo bench -p chat-server --bench durability`, with servers of its own,
//! whose files are where TMPDIR is: that disk is measured as well.
#![allow(clippy::unwrap_used, clippy::panic, reason = "whoever measures wants to see what went wrong")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_server::domain::content::Content;
use chat_server::domain::id::{Name, NodeId, Nonce, RoomId, UserId};
use chat_server::domain::message::Draft;
use chat_server::domain::room::{Draft as NewRoom, Kind};
use chat_server::domain::user::User;
use chat_server::observability::metrics::Metrics;
use chat_server::service::actor::Actor;
use chat_server::service::analytics::Analytics;
use chat_server::service::messages::Messages;
use chat_server::service::rooms::Rooms;
use chat_server::store::Stores;
use chat_server::store::redis::{Durability, RedisConfig, RedisStore};
use server::Server;

#[path = "../src/store/conformance/server.rs"]
#[allow(dead_code, reason = "shared with the tests, which need more of it")]
mod server;

/// For how long messages are sent of which nothing is told, and then for how long of which it is.
const FOR: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];
/// Whose messages they are: each has one under way.
const PEOPLE: usize = 64;
/// How many rooms they are in, each in one.
const ROOMS: usize = 16;

/// What is measured.
#[derive(Clone, Copy)]
struct Case {
    eight: bool,
    fsync: &'static str,
    /// How many replicas there are, and how many of them are waited for.
    replicas: (usize, u32),
    durability: Durability,
}

fn main() {
    // `cargo test --all-targets` runs it as well, and measures nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!(
        "| --durability | Redis | appendfsync | replicas | under way | µs of Redis | of each replica | ms, p50 | p99 | a second |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for case in cases() {
        for under_way in [1, PEOPLE] {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            println!("{}", runtime.block_on(measured(case, under_way)));
        }
    }
}

fn cases() -> Vec<Case> {
    let usual = Case { eight: false, fsync: "everysec", replicas: (0, 1), durability: Durability::Memory };
    let aof = |eight, fsync| Case { eight, fsync, durability: Durability::Aof, ..usual };
    let replicas = |replicas| Case { replicas, durability: Durability::Replica, ..usual };
    vec![
        usual,
        Case { fsync: "always", ..usual },
        aof(false, "always"),
        Case { eight: true, ..usual },
        aof(true, "everysec"),
        aof(true, "always"),
        Case { replicas: (2, 1), ..usual },
        replicas((1, 1)),
        replicas((2, 1)),
        replicas((2, 2)),
    ]
}

/// One row.
async fn measured(case: Case, under_way: usize) -> String {
    let program = if case.eight { newer() } else { "redis-server".to_owned() };
    let start = || {
        let server = Server::of(&program);
        assert_eq!(server.ask(&format!("CONFIG SET appendfsync {}", case.fsync)), "+OK");
        server
    };
    let (primary, replicas): (_, Vec<_>) = (start(), (0..case.replicas.0).map(|_| start()).collect());
    assert_eq!(primary.ask("CONFIG SET repl-diskless-sync-delay 0"), "+OK");
    for replica in &replicas {
        assert_eq!(replica.ask(&primary.replicaof()), "+OK");
    }
    while primary.info("replication", "connected_slaves") < replicas.len() as f64
        || replicas.iter().any(|replica| replica.info("replication", "master_last_io_seconds_ago") < 0.0)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let config = RedisConfig::new(&primary.url());
    // Who joins need not wait for what is measured.
    let (store, _received) = RedisStore::connect(config.clone()).await.unwrap();
    let (rooms, _) = services(&Stores::new(Arc::new(store)));
    let mut talks = Vec::new();
    let mut ids = Vec::new();
    for number in 0..under_way {
        let id = UserId::parse(&format!("u{number:010}")).unwrap();
        let person =
            Actor::unlimited(User { id, name: Name::parse(&format!("Person {number}")).unwrap(), guest: false });
        if number < ROOMS {
            let name = Name::parse(&format!("Room {number}")).unwrap();
            let draft = NewRoom { name, kind: Kind::Public, topic: String::new() };
            ids.push(rooms.create(&person, draft).await.unwrap().0);
        }
        let room = ids[number % ROOMS].clone();
        rooms.join(&person, &room).await.unwrap();
        talks.push((person, room));
    }
    let config = RedisConfig { durability: case.durability, durability_replicas: case.replicas.1, ..config };
    let (store, _received) = RedisStore::connect(config).await.unwrap();
    let (_, messages) = services(&Stores::new(Arc::new(store)));
    talk(&messages, &talks, FOR[0], "w").await;
    let cpu = || -> Vec<f64> { std::iter::once(&primary).chain(&replicas).map(cpu_seconds).collect() };
    let (before, begun) = (cpu(), Instant::now());
    let mut took = talk(&messages, &talks, FOR[1], "m").await;
    let (after, seconds) = (cpu(), begun.elapsed().as_secs_f64());
    took.sort_unstable();
    let each: Vec<f64> =
        before.iter().zip(&after).map(|(before, after)| (after - before) * 1e6 / took.len() as f64).collect();
    let of_replicas = each[1..].iter().sum::<f64>() / replicas.len().max(1) as f64;
    let percentile = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    format!(
        "| {} | {} | {} | {} | {under_way} | {:.0} | {} | {:.2} | {:.2} | {:.0} |",
        match case.durability {
            Durability::Memory => "memory".to_owned(),
            Durability::Aof => "aof".to_owned(),
            Durability::Replica => format!("replica, {}", case.replicas.1),
        },
        if case.eight { "8" } else { "7.0" },
        case.fsync,
        case.replicas.0,
        each[0],
        if replicas.is_empty() { String::new() } else { format!("{of_replicas:.0}") },
        percentile(0.5),
        percentile(0.99),
        took.len() as f64 / seconds,
    )
}

/// Messages and rooms as a node makes them.
fn services(stores: &Stores) -> (Rooms, Messages) {
    let rooms = Rooms::new(stores);
    let analytics = Analytics::new(stores, NodeId::parse("bench").unwrap());
    (rooms.clone(), Messages::new(stores, rooms, analytics, Metrics::new().unwrap(), 4096))
}

/// Each sends to its room, one message after the other, for so long; how long each took.
async fn talk(messages: &Messages, talks: &[(Actor, RoomId)], at_most: Duration, nonce: &'static str) -> Vec<Duration> {
    let end = Instant::now() + at_most;
    let tasks = talks.iter().cloned().map(|(person, room)| {
        let messages = messages.clone();
        tokio::spawn(async move {
            let (mut rights, mut took) = (None, Vec::new());
            while Instant::now() < end {
                let number = took.len();
                let nonce = Nonce::parse(&format!("f3b0c9d2-77a1-{nonce}{number:08}")).unwrap();
                let draft = Draft {
                    room: room.clone(),
                    nonce,
                    content: Content::Text(format!("{number:060}")),
                    reply_to: None,
                };
                let begun = Instant::now();
                messages.send(&person, &draft, &mut rights, None).await.unwrap();
                took.push(begun.elapsed());
            }
            took
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

/// The redis-server of Debian 13.
fn newer() -> String {
    let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/setup/debian-13");
    let found = Command::new(setup).arg("redis-server").output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}

/// Of all threads of Redis: as it counts itself, finer than the kernel tells others.
fn cpu_seconds(server: &Server) -> f64 {
    ["used_cpu_user", "used_cpu_sys"].map(|part| server.info("cpu", part)).iter().sum()
}
