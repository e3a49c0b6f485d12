//! What a message costs a node where nothing is waited for: `cargo bench -p chat-server --bench pure`.

use std::hint::black_box;

use chat_server::delivery::Event;
use chat_server::domain::id::{RoomId, UserId};
use chat_server::domain::json::Members;
use chat_server::domain::position::{Epoch, Lineage, Offset, Position};
use chat_server::store::redis::parsers::{committed, frames};
use chat_server::store::{Entry, Slice};
use chat_server::transport::socketio::encode;
use chat_server::transport::socketio::parsers::message;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

/// Lengths of a message's text: what people write, and what they paste.
const LENGTHS: [usize; 2] = [200, 4_000];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for length in LENGTHS {
        one_message(&mut criterion, length);
    }
    answers(&mut criterion);
    epochs(&mut criterion);
    criterion.final_summary();
}

/// A text with what JSON has to escape now and then.
fn text(length: usize) -> String {
    r#"It's \"only\" words, and words are all there is. "#.chars().cycle().take(length).collect()
}

fn entry(length: usize) -> Entry {
    let payload = format!(
        r#""by":{{"id":"u7Wq0aXb2Lk","name":"Grace","guest":true}},"text":"{}","nonce":"f3b0c9d2-77a1","reactions":[]"#,
        text(length)
    );
    Entry {
        epoch: Epoch::new("q8Jz0aXb"),
        offset: 123_456,
        at: 1_790_000_000_000,
        event: "message:new".into(),
        by: UserId::parse("u7Wq0aXb2Lk").expect("an id"),
        payload: Members::stored(payload),
    }
}

/// Each step of a message's way through a node.
fn one_message(criterion: &mut Criterion, length: usize) {
    let room = RoomId::parse("rQm2Zk81xYt").expect("an id");
    let entry = entry(length);
    let Entry { epoch, offset, at, event, by, payload } = &entry;
    let request = format!(r#"["message:send",{{"room":"{room}","nonce":"f3b0c9d2-77a1","text":"{}"}}]"#, text(length));
    let published = format!("e{epoch}\n{offset}\n{at}\n{by}\n{event}\n{}", payload.as_str());
    let rendered = entry.to_json(&room).expect("JSON");
    assert!(message(&request) && frames(&published).is_some(), "what is measured is read");

    let mut group = criterion.benchmark_group("message");
    group.throughput(Throughput::Bytes(length as u64));
    let id = |step| BenchmarkId::new(step, length);
    group.bench_function(id("a request is read"), |bench| bench.iter(|| message(black_box(&request))));
    group.bench_function(id("a frame of the bus is read"), |bench| bench.iter(|| frames(black_box(&published))));
    group.bench_function(id("an entry is rendered"), |bench| bench.iter(|| black_box(&entry).to_json(&room)));
    group.bench_function(id("an event becomes a frame"), |bench| {
        let input = || (event.clone(), rendered.clone());
        bench.iter_batched(input, |(event, payload)| Event::new(event, payload, encode), BatchSize::SmallInput);
    });
    group.finish();
}

/// What the script that commits answers.
fn answers(criterion: &mut Criterion) {
    let Entry { epoch, offset, at, event, by, payload } = entry(LENGTHS[0]);
    let list = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let (epoch, offset, at) = (epoch.to_string(), offset.to_string(), at.to_string());
    let (info, member) = (r#"1{"name":"Tea","kind":"public"}"#, r#"1{"role":"member"}"#);
    let mut group = criterion.benchmark_group("answer");
    for (name, answer) in [
        ("done", list(&["done", &epoch, &offset, &at])),
        ("repeated", list(&["repeated", &epoch, &offset, &at, &event, by.as_str(), payload.as_str()])),
        ("refused", list(&["refused", info, member])),
    ] {
        assert!(committed(answer.clone()).is_ok(), "what is measured is read");
        group.bench_function(name, |bench| {
            bench.iter_batched(|| answer.clone(), committed, BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// A log with so many earlier epochs, each of which ended 100 entries after the one before.
fn lineage(earlier: u32) -> Lineage {
    let epoch = |number: u32| Epoch::new(&format!("epoch{number:04}"));
    let end = |number| Position { epoch: epoch(number), offset: Offset::from(number + 1) * 100 };
    Lineage { epoch: epoch(earlier), ended: (0..earlier).map(end).collect() }
}

/// A log whose epoch has changed: whether it covers a position, and up to where it agrees with another view of it.
fn epochs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("epochs");
    for earlier in [0, 1, 32] {
        let now = lineage(earlier);
        let top = Offset::from(earlier + 1) * 100;
        let slice = Slice { lineage: now.clone(), top, first: 1, entries: Vec::new(), more: false };
        // The end of the first epoch: all later ones have to be examined.
        let oldest = Position { epoch: Epoch::new("epoch0000"), offset: 100 };
        // The view of another node, in an epoch that was lost.
        let other = Lineage { epoch: Epoch::new("lost"), ended: lineage(earlier.max(1) - 1).ended };
        assert!(slice.covers(&oldest), "what is measured is found");
        group.bench_function(BenchmarkId::new("a position is covered", earlier), |bench| {
            bench.iter(|| black_box(&slice).covers(black_box(&oldest)));
        });
        group.bench_function(BenchmarkId::new("two logs are compared", earlier), |bench| {
            bench.iter(|| black_box(&now).shared_with_log(black_box(&other)));
        });
    }
    group.finish();
}
