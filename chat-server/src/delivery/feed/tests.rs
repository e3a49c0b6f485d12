//! Whatever the bus loses, doubles or swaps, and whatever sockets stall: each gets every offset once,
//! in order, or a gap that says which it did not get.
#![allow(clippy::unwrap_used, clippy::panic)] // A test that fails by panicking says enough.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::delivery::Outlet;
use crate::domain::id::NodeId;
use crate::domain::id::UserId;
use crate::domain::json::Members;
use crate::domain::rate_limit::Rate;
use crate::observability::metrics::Metrics;
use crate::observability::traces::Traces;
use crate::store::memory::MemoryStore;
use crate::store::{Append, BusEvent, Commit, LogStore, Retention, Signal, Stores};

/// A socket that has room for so many events, and checks what it gets.
struct Probe {
    id: Sid,
    user: UserId,
    room: AtomicUsize,
    at: Mutex<Offset>,
    missed: Mutex<u64>,
}

impl Probe {
    fn new() -> Arc<Self> {
        let user = UserId::parse("u1").unwrap();
        let (room, at, missed) = (AtomicUsize::new(0), Mutex::new(0), Mutex::new(0));
        Arc::new(Self { id: Sid::new(), user, room, at, missed })
    }
}

impl Outlet for Probe {
    fn id(&self) -> Sid {
        self.id
    }

    fn user(&self) -> &UserId {
        &self.user
    }

    fn emit(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
        for (sent, event) in events.iter().enumerate() {
            if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1)).is_err() {
                return (sent, Some(NotQueued::Full));
            }
            self.check(event);
        }
        (events.len(), None)
    }

    fn emit_signal(&self, _: &Signal, _: &Event) {}
}

impl Probe {
    fn check(&self, event: &Event) {
        let payload: serde_json::Value = serde_json::from_str(event.payload().get()).unwrap();
        let mut at = self.at.lock().unwrap();
        if event.name() == "gap" {
            assert_eq!(payload["from"], *at + 1, "a gap begins after what was received");
            let to = payload["to"].as_u64().unwrap();
            assert!(to > *at, "an empty gap");
            *self.missed.lock().unwrap() += to - *at;
            *at = to;
        } else {
            assert_eq!(payload["offset"], *at + 1, "the next offset");
            *at += 1;
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Something is said; the bus brings it so many times (0: it is lost).
    Say(u8),
    /// The bus brings something for the second time, that many entries late.
    Repeat(usize),
    /// A socket comes in, takes that many events, and stalls. Or it comes from another node, and has
    /// all that is stored, whether or not the bus brought it here.
    Come(usize, bool),
    /// A socket comes back that has all but the last so many, takes that many events, and stalls.
    Return(usize, Offset),
    /// A socket can take that many more.
    Read(usize, usize),
    /// Those who are behind are tried again.
    Retry,
    /// The feed compares itself with the log.
    Check,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => prop_oneof![5 => Just(1u8), 1 => Just(0), 1 => Just(2)].prop_map(Step::Say),
        1 => (0usize..5).prop_map(Step::Repeat),
        1 => (0usize..20, any::<bool>()).prop_map(|(room, ahead)| Step::Come(room, ahead)),
        1 => (0usize..20, 0u64..30).prop_map(|(room, lacks)| Step::Return(room, lacks)),
        2 => (0usize..4, 0usize..10).prop_map(|(socket, room)| Step::Read(socket, room)),
        1 => Just(Step::Retry),
        1 => Just(Step::Check),
    ];
    proptest::collection::vec(step, 1..80)
}

struct Stage {
    feed: Feed,
    store: Arc<MemoryStore>,
    bus: mpsc::Receiver<BusEvent>,
    heard: Vec<Entry>,
    sockets: Vec<Arc<Probe>>,
}

impl Stage {
    async fn new() -> Self {
        let (store, bus) = MemoryStore::new(Retention::default());
        let store = Arc::new(store);
        let rate = Rate { per_second: 0, burst: 0 };
        let hub = Hub::new(
            NodeId::parse("n1").unwrap(),
            &Stores::new(store.clone()),
            Metrics::new().unwrap(),
            Traces::default(),
            rate,
        );
        let (mail, _) = mpsc::channel(1);
        let handle = Handle { mail, missed: Arc::default(), position: Arc::default() };
        let mut feed = Feed::new(hub, RoomId::lobby(), handle);
        feed.begin().await.unwrap();
        Self { feed, store, bus, heard: Vec::new(), sockets: Vec::new() }
    }

    async fn attach(&mut self, probe: &Arc<Probe>, since: Option<Position>) -> Attached {
        let (reply, answer) = oneshot::channel();
        let arrival = Arrival { outlet: probe.clone(), at_least: 0, since, how: Attach::Anew };
        self.feed.receive(Mail::Attach(Box::new((arrival, reply)))).await;
        answer.await.unwrap().unwrap().unwrap()
    }

    async fn begin(&mut self, probe: Arc<Probe>, room: usize, position: Position) {
        *probe.at.lock().unwrap() = position.offset;
        probe.room.store(room, Ordering::Relaxed);
        self.sockets.push(probe.clone());
        self.feed.receive(Mail::Ready(Box::new((probe.id, position)))).await;
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Say(times) => {
                let by = UserId::parse("u2").unwrap();
                let append = Append {
                    event: "message:new",
                    by,
                    payload: Members::of(&serde_json::json!({ "text": "x" })).unwrap(),
                    nonce: None,
                    counted: true,
                    trace: None,
                };
                let commit = Commit { append: Some(append), ..Commit::default() };
                self.store.commit(&self.feed.topic, commit).await.unwrap();
                let Some(BusEvent::Entry(_, entry, _)) = self.bus.recv().await else { panic!("not heard") };
                for _ in 0..times {
                    self.feed.receive(Mail::Entry(Box::new((entry.clone(), None)))).await;
                }
                // Some go together.
                if self.heard.len().is_multiple_of(3) {
                    self.feed.deliver().await;
                }
                self.heard.push(entry);
            }
            Step::Repeat(back) => {
                if let Some(entry) = self.heard.iter().rev().nth(back).cloned() {
                    self.feed.receive(Mail::Entry(Box::new((entry, None)))).await;
                }
            }
            Step::Come(room, ahead) => {
                let probe = Probe::new();
                let mut position = self.attach(&probe, None).await.head;
                if let Some(last) = self.heard.last().filter(|_| ahead) {
                    position = last.position();
                }
                self.begin(probe, room, position).await;
            }
            Step::Return(room, lacks) => {
                let offset = (self.heard.len() as Offset).saturating_sub(lacks);
                let epoch = self.heard.last().map_or_else(Epoch::default, |last| last.epoch.clone());
                let since = Position { epoch, offset };
                let known = self.feed.lineage.holds(&since) && offset <= self.feed.position.offset;
                let probe = Probe::new();
                assert_eq!(self.attach(&probe, Some(since.clone())).await.kept, known, "so few are kept");
                self.begin(probe, room, since).await;
            }
            Step::Read(socket, room) => {
                if let Some(probe) = self.sockets.get(socket) {
                    probe.room.fetch_add(room, Ordering::Relaxed);
                }
            }
            Step::Retry => {
                self.feed.deliver().await;
                self.feed.catch_up_all();
            }
            Step::Check => self.feed.receive(Mail::Check).await,
        }
    }
}

proptest! {
    #[test]
    fn every_socket_gets_every_offset_once_and_in_order_whatever_the_bus_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stage = Stage::new().await;
            for step in steps {
                stage.take(step).await;
            }
            let top = stage.heard.len() as Offset;
            for probe in &stage.sockets {
                probe.room.store(usize::MAX, Ordering::Relaxed);
            }
            stage.take(Step::Check).await;
            stage.take(Step::Retry).await;
            for probe in &stage.sockets {
                assert_eq!(*probe.at.lock().unwrap(), top, "not all came in the end");
                assert_eq!(*probe.missed.lock().unwrap(), 0, "so few need no gap");
            }
        });
    }

    #[test]
    fn one_gap_stands_for_more_than_is_kept(sleep in KEPT + 1..KEPT + 50, before in 0usize..10, after in 0usize..10) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stage = Stage::new().await;
            stage.take(Step::Come(before, false)).await;
            for _ in 0..before + sleep {
                stage.take(Step::Say(1)).await;
            }
            stage.take(Step::Read(0, 1_000_000)).await;
            stage.take(Step::Retry).await;
            for _ in 0..after {
                stage.take(Step::Say(1)).await;
            }
            stage.feed.deliver().await;
            let probe = &stage.sockets[0];
            assert_eq!(*probe.at.lock().unwrap(), (before + sleep + after) as Offset);
            assert_eq!(*probe.missed.lock().unwrap(), sleep as u64);
        });
    }
}
