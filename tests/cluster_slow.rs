//! Readers that sleep in a busy room: they are kept, at a price that is bounded, and miss nothing; nobody else notices.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::harness::client::{Pending, nonce};
use crate::harness::reader::{Reader, Reading};
use crate::harness::{Bus, Client, INTERVAL, Node, Plan, Spread, is_full, run_within, until};

/// The full size is asked for by this variable.
const FULL: &str = "SLOW_FULL";
/// Of either size.
const PATIENCE: Duration = Duration::from_secs(600);
/// Messages a second.
const RATE: u32 = 40;
/// Of which so many may wait for their answers.
const WAITING: usize = 32;
/// What the kernel of one who will sleep keeps for it.
const RECEIVE_BUFFER: u32 = 16 * 1024;
/// What one who sleeps may cost the server: what may wait for it, and as much before it is known to sleep.
const EACH: f64 = 2.0 * 128.0 * 1024.0;
/// What all of them may cost: the entries of the room that are kept, and what the allocator does not give back.
const TOGETHER: f64 = (1.0 + 8.0) * MIB;
const MIB: f64 = 1024.0 * 1024.0;

struct Size {
    members: usize,
    /// Who stops reading for a while that is allowed.
    sleepers: usize,
    asleep: Duration,
    /// Who stops for longer than that.
    lost: usize,
    lost_for: Duration,
    /// How long it goes on before anybody sleeps.
    before: Duration,
    text_bytes: usize,
}

/// A sleeper misses `asleep` x 40 x `text_bytes` and more. The server keeps at most some 1.7 MB of it (kernel 512 KiB,
/// queue 128 KiB, room 1 MiB), so that one gap is due.
const SMALL: Size = Size {
    members: 60,
    sleepers: 8,
    asleep: Duration::from_secs(12),
    lost: 0,
    lost_for: Duration::ZERO,
    before: Duration::from_secs(4),
    text_bytes: 12_000,
};
const LARGE: Size = Size {
    members: 500,
    sleepers: 50,
    asleep: Duration::from_secs(30),
    lost: 10,
    lost_for: Duration::from_secs(120),
    before: Duration::from_secs(20),
    text_bytes: 3_000,
};

/// Says something 40 times a second until it is told to stop; the offset of the last.
async fn talk(host: &Client, reading: &Reading, bytes: usize, stop: &Cell<bool>) -> u64 {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = VecDeque::new();
    let mut top = 0;
    while !stop.get() {
        ticks.tick().await;
        // The server takes only so much from one who does not wait for its answers.
        if asked.len() >= WAITING {
            top = acked(asked.pop_front()).await.unwrap_or(top);
        }
        let sent = reading.since.elapsed().as_micros();
        let text = format!("{sent} {:x<bytes$}", "");
        asked.push_back(host.ask("message:send", &json!({"room": reading.room, "nonce": nonce(), "text": text})));
    }
    while let Some(offset) = acked(asked.pop_front()).await {
        top = offset;
    }
    top
}

/// The offset of what was asked to be stored.
async fn acked(asked: Option<Pending<'_>>) -> Option<u64> {
    let ack = asked?.answer().await;
    assert_eq!(ack["ok"], true, "{ack}");
    Some(ack["position"]["offset"].as_u64().expect("an offset"))
}

async fn memory(node: &Node) -> f64 {
    node.metric("process_resident_memory_bytes").await
}

/// Looks at the server's memory for so long; the most there was.
async fn watch_memory(node: &Node, length: Duration) -> f64 {
    let end = Instant::now() + length;
    let mut most = memory(node).await;
    while Instant::now() < end {
        sleep(Duration::from_millis(500).min(end.saturating_duration_since(Instant::now()))).await;
        most = most.max(memory(node).await);
    }
    most
}

fn latencies<'a>(readers: impl Iterator<Item = &'a Reader>) -> Spread {
    Spread::of(readers.flat_map(|reader| std::mem::take(&mut reader.ledger().latencies)).collect::<Vec<_>>())
}

/// Waits until all of them have come to where the last of the others is now.
async fn catch_up(who: &str, sleepers: &[Reader], others: &[Reader]) {
    let top = others.iter().map(|reader| reader.ledger().complete()).max().expect("others");
    until(&format!("the {who} have all up to {top}"), async || {
        sleepers.iter().all(|reader| reader.ledger().complete() >= top).then_some(())
    })
    .await;
}

#[test]
fn sleeping_readers_are_kept_miss_nothing_and_cost_little() {
    let size = if is_full(FULL) { LARGE } else { SMALL };
    run_within(PATIENCE, async move {
        let cluster = Plan::on(Bus::Redis).nodes(1).start().await;
        let node = cluster.node(0);
        let host = Client::guest(node, "Host").await;
        let room = host.create("slow", "public").await;
        let reading = Reading { room, since: Instant::now() };
        let mut readers = Vec::new();
        for number in 0..size.members {
            let buffer = (number < size.sleepers + size.lost).then_some(RECEIVE_BUFFER);
            readers.push(Reader::join(node, &format!("Reader {number}"), &reading, buffer).await);
        }
        let others = readers.split_off(size.sleepers + size.lost);
        let lost = readers.split_off(size.sleepers);
        let stop = Cell::new(false);
        let scene = Scene { node, size: &size, sleepers: readers, lost, others };
        let (top, scene) = tokio::join!(talk(&host, &reading, size.text_bytes, &stop), async {
            let scene = scene.play().await;
            stop.set(true);
            scene
        });
        scene.judge(top).await;
    });
}

struct Scene<'a> {
    node: &'a Node,
    size: &'a Size,
    sleepers: Vec<Reader>,
    lost: Vec<Reader>,
    others: Vec<Reader>,
}

impl Scene<'_> {
    async fn play(mut self) -> Self {
        let Size { sleepers, asleep, lost, before, members, text_bytes, .. } = *self.size;
        println!("{members} members, {RATE} messages a second of {text_bytes} bytes");
        let awake = watch_memory(self.node, before).await;
        println!("all awake: {:.1} MiB; delivery to the others {}", awake / MIB, latencies(self.others.iter()));

        let stopped = Instant::now();
        for reader in self.sleepers.iter().chain(&self.lost) {
            reader.set_awake(false);
        }
        let during = watch_memory(self.node, asleep).await;
        println!(
            "{sleepers} asleep for {asleep:?} and {lost} for longer: {:.1} MiB; delivery to the others {}",
            during / MIB,
            latencies(self.others.iter())
        );
        for reader in &self.sleepers {
            reader.set_awake(true);
        }
        let woken = Instant::now();
        catch_up("sleepers", &self.sleepers, &self.others).await;
        println!("they have caught up after {:.1?}; {:.1} MiB", woken.elapsed(), memory(self.node).await / MIB);
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let allowed = EACH * (sleepers + lost) as f64 + TOGETHER;
        assert!(
            during - awake <= allowed,
            "those who sleep cost {:.1} MiB, of {:.1} allowed",
            (during - awake) / MIB,
            allowed / MIB
        );

        if lost > 0 {
            self.lose(stopped, awake).await;
        }
        self
    }

    /// Those who sleep for too long are closed, and come back when they wake.
    async fn lose(&mut self, stopped: Instant, awake: f64) {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let kept = (self.sleepers.len() + self.others.len() + 1) as f64;
        let mut last = kept + self.lost.len() as f64;
        while last > kept {
            let open = self.node.metric("chat_connections").await;
            if open < last {
                println!("{} of the lost closed after {:.1?}", kept + self.lost.len() as f64 - open, stopped.elapsed());
                last = open;
            }
            assert!(stopped.elapsed() < self.size.lost_for, "{} of the lost are still open", last - kept);
            sleep(INTERVAL).await;
        }
        let away = watch_memory(self.node, self.size.lost_for.saturating_sub(stopped.elapsed())).await;
        println!("while they were away: at most {:.1} MiB", away / MIB);
        // On a machine that is short of time all members may be behind now and then.
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let allowed = EACH * self.size.members as f64 + TOGETHER;
        assert!(away - awake <= allowed, "{:.1} MiB more, of {:.1} allowed", (away - awake) / MIB, allowed / MIB);
        for reader in &mut self.lost {
            reader.set_awake(true);
            until("one who was lost sees it", async || reader.ledger().closed.is_some().then_some(())).await;
            reader.come_back(self.node).await;
        }
        let woken = Instant::now();
        catch_up("lost", &self.lost, &self.others).await;
        println!("the lost have caught up after {:.1?}", woken.elapsed());
    }

    /// All have everything, once, in order.
    async fn judge(self, top: u64) {
        let everybody = || self.sleepers.iter().chain(&self.lost).chain(&self.others);
        until(&format!("all have heard {top}"), async || {
            everybody().all(|reader| reader.ledger().complete() >= top).then_some(())
        })
        .await;
        for reader in everybody() {
            let ledger = reader.ledger();
            assert!(ledger.violations.is_empty(), "{:#?}", ledger.violations);
            assert_eq!(ledger.complete(), top);
            assert_eq!(ledger.closed, None, "nobody is closed");
        }
        let paged: Vec<u64> = self.sleepers.iter().map(|reader| reader.ledger().paged).collect();
        println!("the log ends at {top}; entries that the sleepers paged: {paged:?}");
        for reader in &self.sleepers {
            assert_eq!(reader.ledger().gaps, 1, "one gap for the whole sleep");
        }
        for reader in &self.others {
            assert_eq!(reader.ledger().gaps, 0, "whoever reads needs no gap");
        }
        println!("at the end: {:.1} MiB", memory(self.node).await / MIB);
    }
}
