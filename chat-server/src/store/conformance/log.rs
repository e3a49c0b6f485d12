//! The log: order, nonces, retention, ranges.

use super::*;

on_all!(
    offsets_rise_by_one_under_many_writers,
    an_entry_is_returned_as_it_was_committed,
    a_nonce_is_stored_once,
    a_nonce_is_removed_with_its_entry,
    a_log_keeps_at_most_max_entries,
    a_long_log_keeps_almost_max_entries,
    entries_past_their_maximum_age_are_not_returned,
    an_entry_past_its_maximum_age_frees_its_nonce,
    a_range_is_bounded_at_both_ends,
    counted_entries_are_found_among_many_others,
    counted_entries_after_an_offset_are_found_among_many_others,
    heads_tell_where_logs_end,
    logs_are_independent,
    the_last_positions_of_many_logs_are_returned,
);

async fn offsets_rise_by_one_under_many_writers(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    let writers = (0..8).map(|writer| {
        let (store, topic) = (node.store.clone(), topic.clone());
        tokio::spawn(async move {
            for i in 0..200 {
                let commit = nonced(&format!("u{writer}"), &i.to_string(), &format!("n{i}"));
                store.commit(&topic, commit).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let slice = node.all(&topic).await;
    assert_eq!(offsets(&slice), (1..=1_600).collect::<Vec<_>>());
    assert!(slice.entries.windows(2).all(|pair| pair[0].at <= pair[1].at));
    for writer in 0..8 {
        let own = slice.entries.iter().filter(|entry| entry.by == user(&format!("u{writer}")));
        assert!(own.map(|entry| entry.payload.as_str().to_owned()).eq((0..200).map(|i| i.to_string())));
    }
    for entry in slice.entries {
        assert_eq!(node.receive().await, BusEvent::Entry(topic.clone(), entry, None));
    }
}

async fn an_entry_is_returned_as_it_was_committed(stage: Stage) {
    let (mut node, topic) = (stage.node().await, Topic::User(user("u")));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    let append = Append {
        event: "a:b",
        by: user("u"),
        payload: Members::stored(String::new()),
        nonce: None,
        counted: false,
        trace: None,
    };
    let commit = Commit { append: Some(append), ..Commit::default() };
    let Committed::Done { entry: Some((position, at)) } = node.store.commit(&topic, commit).await.unwrap() else {
        panic!("not done");
    };
    let entry = Entry {
        epoch: position.epoch,
        offset: position.offset,
        at,
        event: "a:b".into(),
        by: user("u"),
        payload: Members::stored(String::new()),
    };
    assert_eq!(node.receive().await, BusEvent::Entry(topic.clone(), entry.clone(), None));
    assert_eq!(node.all(&topic).await.entries, [entry]);
}

async fn a_nonce_is_stored_once(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    node.append(&topic, message("u", "0")).await;
    node.append(&topic, nonced("u", "1", "n")).await;
    let stored = node.all(&topic).await.entries.pop().unwrap();

    // An expectation that does not hold comes second, and nothing is set.
    let mut again = nonced("u", "2", "n");
    again.expect = pairs(&[("x", Some("1"))]);
    again.set = pairs(&[("y", Some("1"))]);
    assert_eq!(node.store.commit(&topic, again).await.unwrap(), Committed::Repeated(stored.clone()));
    assert_eq!(node.store.count(&topic, "").await.unwrap(), 0);
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n").await.unwrap(), Some(stored));
    for (by, nonce) in [("v", "n"), ("u", "N"), ("u", "")] {
        assert_eq!(node.store.find_nonce(&topic, &user(by), nonce).await.unwrap(), None);
    }
    // Pairs that could be taken for each other, were they only put together.
    for (i, (by, nonce)) in [("v", "n"), ("u", "n2"), ("u-n", "x"), ("u", "-nx"), ("u", "=n")].into_iter().enumerate() {
        assert_eq!(node.append(&topic, nonced(by, "3", nonce)).await.0, i as u64 + 3);
    }
    for offset in 1..=7 {
        assert_eq!(node.receive_entry().await.offset, offset);
    }
    node.receives_nothing().await;
}

async fn a_nonce_is_removed_with_its_entry(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 3, max_age_ms: 0 }).await;
    let topic = room("a");
    for i in 1..=4 {
        node.append(&topic, nonced("u", &i.to_string(), &format!("n{i}"))).await;
    }
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n1").await.unwrap(), None);
    assert_eq!(node.append(&topic, nonced("u", "again", "n1")).await.0, 5);
    // The entry that has the name now is not the one that goes.
    for i in 6..=7 {
        node.append(&topic, message("u", &i.to_string())).await;
    }
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n1").await.unwrap().unwrap().offset, 5);
    node.append(&topic, message("u", "8")).await;
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n1").await.unwrap(), None);
    if let Stage::Redis(server) = &stage {
        assert_eq!(server.ask("EXISTS chat:{room:a}:n"), ":0");
    }
}

async fn a_log_keeps_at_most_max_entries(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 5, max_age_ms: 0 }).await;
    let topic = room("a");
    for i in 1..=5 {
        node.append(&topic, message("u", "")).await;
        let slice = node.all(&topic).await;
        assert_eq!((slice.first, slice.top, slice.entries.len() as u64), (1, i, i));
    }
    for i in 6..=40 {
        node.append(&topic, message("u", "")).await;
        let slice = node.all(&topic).await;
        assert_eq!((slice.first, slice.top), (i - 4, i));
        assert_eq!(offsets(&slice), (i - 4..=i).collect::<Vec<_>>());
    }
}

async fn a_long_log_keeps_almost_max_entries(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 300, max_age_ms: 0 }).await;
    let topic = room("a");
    for i in 1..=400 {
        node.append(&topic, nonced("u", "", &format!("n{i}"))).await;
        let Slice { first, top, .. } = node.read(&topic, 0, None, 0, Keep::Oldest).await;
        let kept = top + 1 - first;
        assert!(kept <= 300 && kept >= i.min(297), "{kept} of {i}");
        for (offset, known) in [(first - 1, false), (first, true)] {
            let found = node.store.find_nonce(&topic, &user("u"), &format!("n{offset}")).await.unwrap();
            assert_eq!(found.is_some(), known, "{offset} of {first} to {top}");
        }
    }
}

async fn entries_past_their_maximum_age_are_not_returned(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 0, max_age_ms: 1_600 }).await;
    let topic = room("a");
    for _ in 0..60 {
        node.append(&topic, message("u", "old")).await;
    }
    pause(1_000).await;
    for _ in 0..3 {
        node.append(&topic, message("u", "new")).await;
    }
    assert_eq!(node.all(&topic).await.entries.len(), 63);
    pause(1_000).await;
    // Nothing removed them yet.
    let slice = node.all(&topic).await;
    assert_eq!((slice.first, slice.top, offsets(&slice)), (61, 63, vec![61, 62, 63]));
    let newest = node.read(&topic, 0, None, 2, Keep::NewestCounted).await;
    assert_eq!((newest.first, offsets(&newest)), (61, vec![62, 63]));
    assert_eq!(offsets(&node.read(&topic, 10, Some(62), 9, Keep::Oldest).await), [61]);
    assert_eq!(offsets(&node.read(&topic, 10, Some(40), 9, Keep::NewestCounted).await), [0; 0]);
    pause(1_000).await;
    let slice = node.all(&topic).await;
    assert_eq!((slice.first, slice.top, slice.entries.len()), (64, 63, 0));
    assert_eq!(node.append(&topic, message("u", "")).await.0, 64);
    assert_eq!(offsets(&node.all(&topic).await), [64]);
    for _ in 0..4 {
        node.append(&topic, message("u", "")).await;
    }
    if let Stage::Redis(server) = &stage {
        assert_eq!(server.ask("XLEN chat:{room:a}:l"), ":5", "five commits remove all that is old");
    }
}

async fn an_entry_past_its_maximum_age_frees_its_nonce(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 0, max_age_ms: 500 }).await;
    let topic = room("a");
    node.append(&topic, nonced("u", "1", "n")).await;
    pause(550).await;
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n").await.unwrap(), None);
    assert_eq!(node.append(&topic, nonced("u", "2", "n")).await.0, 2);
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n").await.unwrap().unwrap().offset, 2);
}

async fn a_range_is_bounded_at_both_ends(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    for _ in 0..10 {
        node.append(&topic, message("u", "")).await;
    }
    let huge = Offset::MAX;
    for (after, before, limit, oldest, newest) in [
        (0, None, 3, vec![1, 2, 3], vec![8, 9, 10]),
        (4, None, 3, vec![5, 6, 7], vec![8, 9, 10]),
        (4, Some(7), 3, vec![5, 6], vec![5, 6]),
        (4, Some(9), 2, vec![5, 6], vec![7, 8]),
        (4, Some(5), 2, vec![], vec![]),
        (7, Some(3), 2, vec![], vec![]),
        (0, Some(0), 2, vec![], vec![]),
        (0, Some(1), 2, vec![], vec![]),
        (9, Some(huge), 9, vec![10], vec![10]),
        (10, None, 9, vec![], vec![]),
        (huge - 1, None, 9, vec![], vec![]),
        (huge, Some(huge), 9, vec![], vec![]),
        (1 << 53, Some(1 << 60), 9, vec![], vec![]),
        (0, None, 0, vec![], vec![]),
        (8, None, usize::MAX, vec![9, 10], vec![9, 10]),
    ] {
        for (keep, expected) in [(Keep::Oldest, oldest), (Keep::NewestCounted, newest)] {
            let slice = node.read(&topic, after, before, limit, keep).await;
            assert_eq!(offsets(&slice), expected, "{after} {before:?} {limit} {keep:?}");
            assert_eq!((slice.first, slice.top, slice.lineage.epoch.as_str().is_empty()), (1, 10, false));
        }
    }
}

async fn counted_entries_are_found_among_many_others(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    let mut counted = Vec::new();
    for others in [0, 300, 0, 1, 40, 0, 2, 7, 0, 0, 90] {
        for _ in 0..others {
            let mut other = message("u", "");
            other.append.as_mut().unwrap().counted = false;
            node.append(&topic, other).await;
        }
        counted.push(node.append(&topic, message("u", "")).await.0);
    }
    let top = counted[10];
    for limit in [1, 2, 3, 5, 10, 11, 12, 50] {
        for before in [None, Some(top + 1), Some(top), Some(top - 1), Some(counted[4] + 1), Some(300), Some(2)] {
            let earlier: Vec<_> = counted.iter().copied().filter(|at| *at < before.unwrap_or(Offset::MAX)).collect();
            let expected = &earlier[earlier.len().saturating_sub(limit)..];
            let slice = node.read(&topic, 0, before, limit, Keep::NewestCounted).await;
            assert_eq!(offsets(&slice), expected, "{limit} before {before:?}");
        }
    }
    let slice = node.read(&topic, counted[1], None, 50, Keep::NewestCounted).await;
    assert_eq!(offsets(&slice), counted[2..]);
}

async fn logs_are_independent(stage: Stage) {
    let node = stage.node().await;
    let topics = [
        room("same"),
        Topic::User(user("same")),
        Topic::Session(SessionId::parse("same").unwrap()),
        Topic::Directory,
        Topic::Cluster,
    ];
    for (i, topic) in topics.iter().enumerate() {
        node.store.commit(topic, setting(&[(&i.to_string(), Some("x"))])).await.unwrap();
        assert_eq!(node.append(topic, nonced("u", &i.to_string(), "n")).await.0, 1);
    }
    for (i, topic) in topics.iter().enumerate() {
        assert_eq!(node.all(topic).await.entries.first().unwrap().payload.as_str(), i.to_string());
        assert_eq!(node.store.count(topic, "").await.unwrap(), 1);
    }
}

async fn the_last_positions_of_many_logs_are_returned(stage: Stage) {
    let node = stage.node().await;
    node.append(&room("a"), message("u", "1")).await;
    node.append(&room("a"), message("u", "2")).await;
    node.append(&room("b"), message("u", "1")).await;
    let tops = node.store.tops(&[room("b"), room("none"), room("a")]).await.unwrap();
    assert_eq!(tops.iter().map(|top| top.as_ref().unwrap().offset).collect::<Vec<_>>(), [1, 0, 2]);
    assert_eq!(tops[2].as_ref().unwrap().epoch, node.all(&room("a")).await.lineage.epoch);
    assert_eq!(tops[1].as_ref().unwrap().epoch.as_str(), "");
}

async fn counted_entries_after_an_offset_are_found_among_many_others(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    let mut silent = message("u", "");
    silent.append.as_mut().unwrap().counted = false;
    let counted = [3, 4, 250, 500, 501, 502, 503, 504, 790];
    for offset in 1..=800 {
        node.append(&topic, if counted.contains(&offset) { message("u", "") } else { silent.clone() }).await;
    }
    for after in [0, 3, 4, 249, 250, 499, 504, 789, 790, 800, 900] {
        for (limit, before) in [(1, None), (3, None), (100, None), (100, Some(501)), (100, Some(791))] {
            // A page may be short, if it says so; it goes on.
            let (mut found, mut from) = (Vec::new(), after);
            loop {
                let page = node.read(&topic, from, before, limit - found.len(), Keep::OldestCounted).await;
                found.extend(offsets(&page));
                from = found.last().copied().unwrap_or(from);
                if !page.more {
                    break;
                }
                assert!(!page.entries.is_empty(), "a page that goes on holds something: {after}, {limit}");
            }
            let within = |offset: &u64| *offset > after && before.is_none_or(|before| *offset < before);
            let expected: Vec<u64> = counted.into_iter().filter(within).take(limit).collect();
            assert_eq!(found, expected, "after {after}, {limit} at most, before {before:?}");
        }
    }
    assert_eq!(node.read(&room("none"), 0, None, 10, Keep::OldestCounted).await.entries, []);
}

async fn heads_tell_where_logs_end(stage: Stage) {
    let node = stage.node().await;
    let topics: Vec<Topic> = (0..150).map(|number| room(&format!("r{number}"))).collect();
    for topic in &topics[..3] {
        node.append(topic, message("u", "")).await;
        node.append(topic, message("u", "")).await;
    }
    node.store.commit(&topics[3], setting(&[("a", Some("1"))])).await.unwrap();
    let heads = node.store.heads(&topics).await.unwrap();
    assert_eq!(heads.len(), topics.len());
    for (place, (topic, head)) in topics.iter().zip(&heads).enumerate() {
        let slice = node.all(topic).await;
        assert_eq!((&head.lineage, head.top), (&slice.lineage, slice.top), "{place}");
        assert_eq!(head.top, if place < 3 { 2 } else { 0 });
    }
    assert_eq!(node.store.heads(&[]).await.unwrap(), []);
}
