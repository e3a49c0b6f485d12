//! Concurrent messages to one topic, which are coalesced into one call.

use futures_util::future::join_all;

use super::*;
use crate::domain::trace::Traceparent;

on_all!(
    each_concurrent_message_is_stored_and_published_once,
    a_refused_message_affects_no_other,
    retention_is_the_same_as_for_single_messages,
    a_caller_that_gives_up_delays_no_other,
    each_message_is_published_with_its_own_trace,
);

fn from(by: usize, nonce: usize) -> Commit {
    nonced(&format!("u{by}"), &format!("\"{by}\nsays {nonce}\""), &format!("n{nonce}"))
}

async fn each_concurrent_message_is_stored_and_published_once(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    for round in 0..5 {
        let commits = (0..100).map(|i| node.store.commit(&topic, from(i % 7, round * 100 + i)));
        for (i, done) in join_all(commits).await.into_iter().enumerate() {
            let Committed::Done { entry: Some((position, at)) } = done.unwrap() else { panic!("not stored") };
            let (by, nonce) = (user(&format!("u{}", i % 7)), format!("n{}", round * 100 + i));
            let found = node.store.find_nonce(&topic, &by, &nonce).await.unwrap().unwrap();
            assert_eq!((found.offset, found.at, &found.epoch), (position.offset, at, &position.epoch));
            assert_eq!(found.payload.as_str(), format!("\"{}\nsays {}\"", i % 7, round * 100 + i));
        }
    }
    let slice = node.all(&topic).await;
    assert_eq!(offsets(&slice), (1..=500).collect::<Vec<_>>());
    assert!(slice.entries.windows(2).all(|pair| pair[0].at <= pair[1].at));
    for entry in &slice.entries {
        assert_eq!(node.receive().await, BusEvent::Entry(topic.clone(), entry.clone(), None));
    }
    assert_eq!(offsets(&node.read(&topic, 0, None, 3, Keep::NewestCounted).await), [498, 499, 500]);
    let unread = slice.entries[1..].iter().filter(|entry| entry.by != user("u1")).count() as u64;
    assert_eq!(node.store.mark_read(&topic, &user("u1"), 1).await.unwrap().unread, unread);
}

async fn a_refused_message_affects_no_other(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    node.store.commit(&topic, setting(&[("x", Some("1"))])).await.unwrap();
    let known = node.append(&topic, from(0, 0)).await.0;
    for round in 1..=4 {
        let commits = (0..40).map(|i| {
            let mut commit = match i {
                // Said before, and twice at once.
                7 => from(0, 0),
                9 => from(8, round * 100 + 8),
                _ => from(i, round * 100 + i),
            };
            commit.expect = pairs(&[("x", Some(if i == 11 { "2" } else { "1" })), ("y", None)]);
            // An expectation that does not hold, of what no other asks for.
            if i == 13 && round % 2 == 0 {
                commit.expect.extend(pairs(&[("z", Some("1"))]));
            }
            node.store.commit(&topic, commit)
        });
        let done = join_all(commits).await;
        let mut stored = Vec::new();
        for (i, done) in done.into_iter().enumerate() {
            match (i, done.unwrap()) {
                (7, Committed::Repeated(entry)) => assert_eq!(entry.offset, known),
                (9, Committed::Repeated(entry)) => assert!(stored.contains(&entry.offset)),
                (11, Committed::Refused(values)) => assert_eq!(values, [Some("1".to_owned()), None]),
                (13, Committed::Refused(values)) => assert_eq!((values.len(), round % 2), (3, 0)),
                (_, Committed::Done { entry: Some((position, _)) }) => stored.push(position.offset),
                (_, other) => panic!("{i}: {other:?}"),
            }
        }
        stored.sort_unstable();
        stored.dedup();
        assert_eq!(stored.len(), if round % 2 == 0 { 36 } else { 37 });
    }
    let slice = node.all(&topic).await;
    assert_eq!(offsets(&slice), (1..=1 + 2 * 36 + 2 * 37).collect::<Vec<_>>());
}

async fn retention_is_the_same_as_for_single_messages(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 50, max_age_ms: 0 }).await;
    let topic = room("a");
    for round in 0..6 {
        join_all((0..70).map(|i| node.append(&topic, from(i, round * 100 + i)))).await;
        let slice = node.all(&topic).await;
        assert_eq!(offsets(&slice), ((round as Offset + 1) * 70 - 49..=(round as Offset + 1) * 70).collect::<Vec<_>>());
        let (first, last) = (&slice.entries[0], &slice.entries[49]);
        for entry in [first, last] {
            let nonce = entry.payload.as_str().rsplit(' ').next().unwrap().trim_end_matches('"');
            let found = node.store.find_nonce(&topic, &entry.by, &format!("n{nonce}")).await.unwrap();
            assert_eq!(found.as_ref(), Some(entry));
        }
    }
    if let Stage::Redis(server) = &stage {
        assert_eq!(server.ask("HLEN chat:{room:a}:n"), ":50", "nonces go with their entries");
    }
}

async fn a_caller_that_gives_up_delays_no_other(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    for round in 0..20 {
        let tasks: Vec<_> = (0..20)
            .map(|i| {
                let (store, topic, commit) = (node.store.clone(), topic.clone(), from(i, round * 100 + i));
                tokio::spawn(async move { store.commit(&topic, commit).await })
            })
            .collect();
        // At whatever point they are.
        for task in tasks.iter().step_by(3) {
            tokio::task::yield_now().await;
            task.abort();
        }
        for (i, task) in tasks.into_iter().enumerate() {
            let done = task.await;
            // Whoever went along with one that gave up may have to ask again.
            if i % 3 != 0 && done.unwrap().is_err() {
                node.store.commit(&topic, from(i, round * 100 + i)).await.unwrap();
            }
        }
    }
    let slice = node.all(&topic).await;
    assert_eq!(offsets(&slice), (1..=slice.top).collect::<Vec<_>>());
    let mut said: Vec<_> = slice.entries.iter().map(|entry| entry.payload.as_str().to_owned()).collect();
    said.sort_unstable();
    said.dedup();
    assert_eq!(said.len(), slice.entries.len(), "each once");
    assert!(said.len() >= 20 * 13);
}

async fn each_message_is_published_with_its_own_trace(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    let trace = |number: usize| {
        let text = format!("00-{:032x}-{:016x}-01", number + 1, number + 1);
        Traceparent::parse(&text).filter(|_| number.is_multiple_of(3))
    };
    for round in 0..3 {
        let commits = (0..90).map(|i| {
            let mut commit = from(i, round * 90 + i);
            commit.append.as_mut().unwrap().trace = trace(round * 90 + i);
            node.store.commit(&topic, commit)
        });
        assert!(join_all(commits).await.iter().all(Result::is_ok));
    }
    for _ in 0..3 * 90 {
        let BusEvent::Entry(_, entry, received) = node.receive().await else { panic!("no entry") };
        let number = entry.payload.as_str().rsplit(' ').next().unwrap().trim_end_matches('"');
        assert_eq!(received, trace(number.parse().unwrap()), "{number}");
    }
}
