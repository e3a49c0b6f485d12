//! Whatever the bus loses, doubles or swaps, and whatever outlets stall: each gets every offset once, in order, or a gap
//! that says which it did not get.
#![allow(clippy::unwrap_used, clippy::panic)] // A test that fails by panicking says enough.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::backlog::MAX_ENTRIES;
use super::listeners::MAX_HELD_SIGNALS;
use super::*;
use crate::delivery::batching::Batching;
use crate::delivery::event::Event;
use crate::delivery::mailbox::{Attached, Attachment, IfAttached};
use crate::delivery::outlet::{NotQueued, Outlet};
use crate::domain::id::{ConnectionId, UserId};
use crate::domain::json::Members;
use crate::observability::metrics::Metrics;
use crate::observability::store_clock::StoreClock;
use crate::store::memory::MemoryStore;
use crate::store::{Append, Bus, BusEvent, Commit, Entry, LogStore, Retention, Signal};

/// An outlet that has room for so many events, and checks what it gets.
struct Checker {
    id: ConnectionId,
    user: UserId,
    room: AtomicUsize,
    at: Mutex<Offset>,
    missed: Mutex<u64>,
    signals: AtomicUsize,
}

impl Checker {
    fn new() -> Arc<Self> {
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let id = ConnectionId::parse(&format!("{:016}", CREATED.fetch_add(1, Ordering::Relaxed))).unwrap();
        let user = UserId::parse("u1").unwrap();
        let (room, at, missed) = (AtomicUsize::new(0), Mutex::new(0), Mutex::new(0));
        Arc::new(Self { id, user, room, at, missed, signals: AtomicUsize::new(0) })
    }
}

impl Outlet for Checker {
    fn id(&self) -> ConnectionId {
        self.id
    }

    fn user(&self) -> &UserId {
        &self.user
    }

    fn attached_to(&self, _: &RoomId) {}

    fn emit(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
        for (sent, event) in events.iter().enumerate() {
            if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1)).is_err() {
                return (sent, Some(NotQueued::Full));
            }
            self.check(event);
        }
        (events.len(), None)
    }

    fn emit_signal(&self, _: &Signal, _: &Event) {
        self.signals.fetch_add(1, Ordering::Relaxed);
    }
}

impl Checker {
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
    /// An outlet comes in, takes that many events, and stalls. Or it comes from another node, and has
    /// all that is stored, whether or not the bus brought it here.
    Come(usize, bool),
    /// An outlet comes back that has all but the last so many, takes that many events, and stalls.
    Return(usize, Offset),
    /// An outlet has room for that many more.
    Read(usize, usize),
    /// Outlets that catch up are tried again.
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
    entries: Vec<Entry>,
    outlets: Vec<Arc<Checker>>,
}

impl Stage {
    async fn new() -> Self {
        let (store, bus) = MemoryStore::new(Retention::default());
        let store = Arc::new(store);
        let shared = Shared {
            log: store.clone(),
            bus: store.clone(),
            metrics: Metrics::new().unwrap(),
            clock: StoreClock::default(),
            batching: Batching::default(),
            encode: |_, payload| Bytes::copy_from_slice(payload.get().as_bytes()),
        };
        let (handle, _) = FeedHandle::new();
        let mut feed = Feed::new(Arc::new(shared), Arc::default(), RoomId::lobby(), handle);
        store.subscribe(std::slice::from_ref(&feed.topic)).await.unwrap();
        feed.begin(feed.shared.log.heads(&[feed.topic.clone()]).await.unwrap().remove(0));
        Self { feed, store, bus, entries: Vec::new(), outlets: Vec::new() }
    }

    async fn attach(&mut self, outlet: &Arc<Checker>, since: Option<Position>) -> Attached {
        let (reply, answer) = oneshot::channel();
        let if_attached = IfAttached::Restart;
        let attachment = Attachment { outlet: outlet.clone(), at_least: 0, since, if_attached };
        self.feed.receive(Message::Attach(Box::new((attachment, reply)))).await;
        answer.await.unwrap().unwrap().unwrap()
    }

    async fn begin(&mut self, outlet: Arc<Checker>, room: usize, position: Position) {
        *outlet.at.lock().unwrap() = position.offset;
        outlet.room.store(room, Ordering::Relaxed);
        self.outlets.push(outlet.clone());
        self.feed.receive(Message::Ready(Box::new((outlet.id, position)))).await;
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
                    self.feed.receive(Message::Entry(Box::new((entry.clone(), None)))).await;
                }
                // Some go together.
                if self.entries.len().is_multiple_of(3) {
                    self.feed.deliver().await;
                }
                self.entries.push(entry);
            }
            Step::Repeat(back) => {
                if let Some(entry) = self.entries.iter().rev().nth(back).cloned() {
                    self.feed.receive(Message::Entry(Box::new((entry, None)))).await;
                }
            }
            Step::Come(room, ahead) => {
                let outlet = Checker::new();
                let mut position = self.attach(&outlet, None).await.head;
                if let Some(last) = self.entries.last().filter(|_| ahead) {
                    position = last.position();
                }
                self.begin(outlet, room, position).await;
            }
            Step::Return(room, lacks) => {
                let offset = (self.entries.len() as Offset).saturating_sub(lacks);
                let epoch = self.entries.last().map_or_else(Epoch::default, |last| last.epoch.clone());
                let since = Position { epoch, offset };
                let known = self.feed.lineage.holds(&since) && offset <= self.feed.position.offset;
                let outlet = Checker::new();
                assert_eq!(self.attach(&outlet, Some(since.clone())).await.kept, known, "so few are kept");
                self.begin(outlet, room, since).await;
            }
            Step::Read(socket, room) => {
                if let Some(outlet) = self.outlets.get(socket) {
                    outlet.room.fetch_add(room, Ordering::Relaxed);
                }
            }
            Step::Retry => {
                self.feed.deliver().await;
                self.feed.catch_up_all();
            }
            Step::Check => self.feed.receive(Message::Backfill).await,
        }
    }
}

#[tokio::test]
async fn signals_wait_until_the_client_knows_of_the_room() {
    let mut stage = Stage::new().await;
    let signal = serde_json::json!({ "event": "typing", "payload": {} });
    let signal = || Message::Signal(Arc::new(serde_json::from_value(signal.clone()).unwrap()));
    let outlet = Checker::new();
    let head = stage.attach(&outlet, None).await.head;
    stage.feed.receive(signal()).await;
    assert_eq!(outlet.signals.load(Ordering::Relaxed), 0, "its session may not have been told yet");
    stage.attach(&outlet, None).await;
    stage.begin(outlet.clone(), 0, head).await;
    assert_eq!(outlet.signals.load(Ordering::Relaxed), 1, "what was signalled meanwhile is not lost");
    stage.feed.receive(signal()).await;
    assert_eq!(outlet.signals.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_bounded_number_of_signals_waits() {
    let mut stage = Stage::new().await;
    let signal = serde_json::json!({ "event": "typing", "payload": {} });
    let outlet = Checker::new();
    let head = stage.attach(&outlet, None).await.head;
    for _ in 0..2 * MAX_HELD_SIGNALS {
        stage.feed.receive(Message::Signal(Arc::new(serde_json::from_value(signal.clone()).unwrap()))).await;
    }
    stage.begin(outlet.clone(), 0, head).await;
    assert_eq!(outlet.signals.load(Ordering::Relaxed), MAX_HELD_SIGNALS);
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
            let top = stage.entries.len() as Offset;
            for outlet in &stage.outlets {
                outlet.room.store(usize::MAX, Ordering::Relaxed);
            }
            stage.take(Step::Check).await;
            stage.take(Step::Retry).await;
            for outlet in &stage.outlets {
                assert_eq!(*outlet.at.lock().unwrap(), top, "not all came in the end");
                assert_eq!(*outlet.missed.lock().unwrap(), 0, "so few need no gap");
            }
        });
    }

    #[test]
    fn one_gap_stands_for_more_than_is_kept(sleep in MAX_ENTRIES + 1..MAX_ENTRIES + 50, before in 0usize..10, after in 0usize..10) {
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
            let outlet = &stage.outlets[0];
            assert_eq!(*outlet.at.lock().unwrap(), (before + sleep + after) as Offset);
            assert_eq!(*outlet.missed.lock().unwrap(), sleep as u64);
        });
    }
}
