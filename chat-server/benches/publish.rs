//! What a stored publish costs Redis: `cargo bench -p chat-server --bench publish`, with a `redis-server` of its own.
//!
//! Counted is the CPU time of its process, so that it matters little what else the machine does; and of it what the
//! kernel takes for the connections, which nothing shares one at a time, and many do where 64 are under way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "whoever measures wants to see what went wrong")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
use chat_server::service::rooms::access::Access;
use chat_server::store::redis::{RedisConfig, RedisStore};
use chat_server::store::{Bus, BusEvent, Retention, Stores, Topic};
use server::Server;
use tokio::sync::mpsc::Receiver;

#[path = "../src/store/conformance/server.rs"]
#[allow(dead_code, reason = "shared with the tests, which need more of it")]
mod server;

/// How often each case is measured; the median is printed.
const ROUNDS: usize = 3;
/// Publishes that are measured at a time.
const PUBLISHES: usize = 20_000;
/// Whose messages they are: each has one under way.
const PEOPLE: usize = 64;
/// What is kept of a room that is full: enough for its log to be trimmed 16 entries at a time.
const FULL: u64 = 1_600;
/// What is in a room before anything is measured, where it is not full.
const BEGUN: usize = 100;
/// What a server keeps unless it is told otherwise.
const AS_SHIPPED: Retention = Retention { max_age_ms: 2_592_000_000, max_entries: 100_000 };

/// What is measured.
#[derive(Clone, Copy)]
struct Case {
    rooms: usize,
    retention: Retention,
    /// How many people wait for an answer at a time.
    under_way: usize,
    /// How many nodes subscribe.
    nodes: usize,
    append_only: bool,
}

/// What was found, for one publish.
#[derive(Clone, Copy)]
struct Cost {
    /// µs of CPU of Redis.
    all: f64,
    /// µs of them in the kernel.
    kernel: f64,
}

fn main() {
    // `cargo test --all-targets` runs it as well, and measures nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("| rooms | log | under way | nodes | append-only file | µs of Redis | of them in the kernel |");
    println!("|---|---|---|---|---|---|---|");
    for case in cases() {
        let mut costs: Vec<Cost> = (0..ROUNDS).map(|_| round(case)).collect();
        costs.sort_by(|a, b| a.all.total_cmp(&b.all));
        let Case { rooms, under_way, nodes, .. } = case;
        let log = if case.retention == AS_SHIPPED { "grows" } else { "full" };
        let file = if case.append_only { "yes" } else { "no" };
        let Cost { all, kernel } = costs[ROUNDS / 2];
        println!(
            "| {rooms} | {log} | {under_way} | {nodes} | {file} | {all:.1} ({:.1}-{:.1}) | {kernel:.1} |",
            costs[0].all,
            costs[ROUNDS - 1].all,
        );
    }
}

fn cases() -> Vec<Case> {
    let full = Retention { max_entries: FULL, ..AS_SHIPPED };
    let usual = Case { rooms: 1, retention: AS_SHIPPED, under_way: 1, nodes: 1, append_only: false };
    let mut cases = Vec::new();
    for rooms in [1, 100] {
        for retention in [AS_SHIPPED, full] {
            cases.extend([1, PEOPLE].map(|under_way| Case { rooms, retention, under_way, ..usual }));
        }
    }
    let busy = Case { under_way: PEOPLE, ..usual };
    cases.extend([0, 3].map(|nodes| Case { nodes, ..busy }));
    cases.extend([Case { append_only: true, ..usual }, Case { append_only: true, ..busy }]);
    cases
}

/// One round, of which nothing goes on afterwards.
fn round(case: Case) -> Cost {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(measured(case))
}

/// Publishes as a node does, with a Redis of its own.
async fn measured(case: Case) -> Cost {
    let server = Server::start();
    server.ask(&format!("CONFIG SET appendonly {}", if case.append_only { "yes" } else { "no" }));
    let (store, _received) = connect(&server, case.retention).await;
    let people: Vec<Actor> = (0..PEOPLE).map(user).collect();
    let (rooms, messages) = services(&Stores::new(Arc::new(store)));
    let mut ids = Vec::new();
    for number in 0..case.rooms {
        let name = Name::parse(&format!("Room {number}")).unwrap();
        let draft = NewRoom { name, kind: Kind::Public, topic: String::new() };
        let (id, _) = rooms.create(&people[number % PEOPLE], draft).await.unwrap();
        for person in &people {
            rooms.join(person, &id).await.unwrap();
        }
        ids.push(id);
    }
    let topics: Vec<Topic> = ids.iter().cloned().map(Topic::Room).collect();
    for _ in 0..case.nodes {
        let (node, mut received) = connect(&server, case.retention).await;
        node.subscribe(&topics).await.unwrap();
        tokio::spawn(async move {
            let _node = node;
            while received.recv().await.is_some() {}
        });
    }
    let ids: Arc<[RoomId]> = ids.into();
    let fill = case.rooms * if case.retention == AS_SHIPPED { BEGUN } else { FULL as usize };
    publish(&messages, &people, &ids, PEOPLE, 0..fill).await;
    let before = cpu_seconds(&server);
    publish(&messages, &people, &ids, case.under_way, fill..fill + PUBLISHES).await;
    let after = cpu_seconds(&server);
    let [user, kernel] = [0, 1].map(|part| after[part] - before[part]);
    let microseconds = |seconds: f64| seconds * 1e6 / PUBLISHES as f64;
    Cost { all: microseconds(user + kernel), kernel: microseconds(kernel) }
}

async fn connect(server: &Server, retention: Retention) -> (RedisStore, Receiver<BusEvent>) {
    let config = RedisConfig { retention, ..RedisConfig::new(&server.url()) };
    RedisStore::connect(config).await.unwrap()
}

/// Messages and rooms as a node makes them.
fn services(stores: &Stores) -> (Rooms, Messages) {
    let rooms = Rooms::new(stores);
    let analytics = Analytics::new(stores, NodeId::parse("bench").unwrap());
    (rooms.clone(), Messages::new(stores, rooms, analytics, Metrics::new().unwrap(), 4096))
}

fn user(number: usize) -> Actor {
    let id = UserId::parse(&format!("u{number:010}")).unwrap();
    Actor::unlimited(User { id, name: Name::parse(&format!("Person {number}")).unwrap(), guest: false })
}

/// Sends the messages of these numbers, so many at a time, each to the next room.
async fn publish(messages: &Messages, people: &[Actor], ids: &Arc<[RoomId]>, under_way: usize, numbers: Range<usize>) {
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let tasks: Vec<_> = people[..under_way]
        .iter()
        .map(|person| {
            let (messages, person, ids, next) = (messages.clone(), person.clone(), ids.clone(), next.clone());
            tokio::spawn(async move {
                let mut rights: Vec<Option<Access>> = vec![None; ids.len()];
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        break;
                    }
                    let room = number % ids.len();
                    let nonce = Nonce::parse(&format!("f3b0c9d2-77a1-{number:08}")).unwrap();
                    let text = format!("{number:0100}");
                    let draft = Draft { room: ids[room].clone(), nonce, content: Content::Text(text), reply_to: None };
                    messages.send(&person, &draft, &mut rights[room], None).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Of all threads of Redis, for itself and in the kernel.
fn cpu_seconds(server: &Server) -> [f64; 2] {
    let pid = server.info("server", "process_id");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name, which may hold anything, in parentheses.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    // Linux counts in hundredths for programs, whatever it counts in itself.
    [11, 12].map(|field: usize| fields[field].parse::<f64>().unwrap() / 100.0)
}
