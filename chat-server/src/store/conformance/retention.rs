//! Retention by number: counted entries are kept, and the others take none of their room.

use super::unread::Dice;
use super::*;

on_all!(
    other_entries_take_no_counted_ones_place,
    a_log_of_many_others_has_an_end,
    whatever_comes_the_newest_counted_entries_are_kept,
);

/// An entry that is not counted.
fn other(by: &str) -> Commit {
    let mut commit = message(by, r#""user":{"id":"u0123456789012345678901","name":"Somebody","guest":true}"#);
    commit.append.as_mut().unwrap().counted = false;
    commit
}

async fn counted(node: &Node, topic: &Topic) -> Vec<Offset> {
    offsets(&node.read(topic, 0, None, 10_000, Keep::NewestCounted).await)
}

async fn other_entries_take_no_counted_ones_place(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 50, max_age_ms: 0 }).await;
    let topic = room("a");
    for i in 1..=50 {
        node.append(&topic, nonced("u", "", &format!("n{i}"))).await;
    }
    for i in 0..300 {
        node.append(&topic, other(&format!("v{i}"))).await;
    }
    let all = (1..=50).collect::<Vec<_>>();
    assert_eq!(counted(&node, &topic).await, all);
    assert_eq!(offsets(&node.read(&topic, 10, Some(21), 100, Keep::NewestCounted).await), all[10..20]);
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n1").await.unwrap().unwrap().offset, 1);
    assert!(matches!(node.store.commit(&topic, nonced("u", "", "n1")).await.unwrap(), Committed::Repeated(_)));
    // Those that were removed are holes, and the log says where it has none.
    let slice = node.all(&topic).await;
    assert_eq!((slice.top, slice.first), (350, 301));
    assert_eq!(offsets(&slice), all.iter().copied().chain(301..=350).collect::<Vec<_>>());
    let covers = |offset| slice.covers(&Position { epoch: slice.lineage.epoch.clone(), offset });
    assert!(covers(300) && !covers(299) && !covers(20));
    // Only counted entries take the place of counted ones.
    node.append(&topic, nonced("u", "", "n51")).await;
    assert_eq!(counted(&node, &topic).await, (2..=50).chain([351]).collect::<Vec<_>>());
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n1").await.unwrap(), None);
}

async fn a_log_of_many_others_has_an_end(stage: Stage) {
    let most = 200;
    let node = stage.node_with(Retention { max_entries: most, max_age_ms: 0 }).await;
    let topic = room("a");
    for i in 0..1_500 {
        // At first one of each seven is counted, later none.
        let commit = if i % 7 == 0 && i < 1_000 { message("u", "") } else { other(&format!("v{i}")) };
        node.append(&topic, commit).await;
        let kept = node.all(&topic).await.entries.len() as u64;
        assert!(kept <= 2 * most, "{kept} entries after {i}");
    }
    assert_eq!(counted(&node, &topic).await.len(), 143);
    if let Stage::Redis(server) = &stage {
        let kept: u64 = server.ask("XLEN chat:{room:a}:l")[1..].parse().unwrap();
        assert!((143 + most..=143 + most + 2).contains(&kept), "{kept}");
    }
}

async fn whatever_comes_the_newest_counted_entries_are_kept(stage: Stage) {
    let most = 30;
    let node = stage.node_with(Retention { max_entries: most, max_age_ms: 0 }).await;
    let (topic, mut dice) = (room("a"), Dice(11));
    let mut log = Vec::new();
    // Whole stretches of one kind, and of both.
    for part in 0..24 {
        let share = dice.below(4);
        for _ in 0..=dice.below(80) {
            let is_counted = share == 0 || share == 1 && dice.below(2) == 0;
            let commit = if is_counted { nonced("u", "", &format!("n{}", log.len() + 1)) } else { other("v") };
            node.append(&topic, commit).await;
            log.push(is_counted);
        }
        let top = log.len() as Offset;
        let expected: Vec<_> = (1..=top).filter(|offset| log[*offset as usize - 1]).collect();
        let expected = &expected[expected.len().saturating_sub(most as usize)..];
        assert_eq!(counted(&node, &topic).await, expected, "part {part}");
        let slice = node.all(&topic).await;
        let complete: Vec<_> = offsets(&slice).into_iter().filter(|offset| *offset >= slice.first).collect();
        assert_eq!(complete, (slice.first..=top).collect::<Vec<_>>(), "part {part}");
        assert!(slice.first <= (top + 1).saturating_sub(most).max(1), "the newest are all there");
        assert!(slice.entries.len() as u64 <= 2 * most);
        for offset in expected {
            let found = node.store.find_nonce(&topic, &user("u"), &format!("n{offset}")).await.unwrap();
            assert_eq!(found.map(|entry| entry.offset), Some(*offset), "part {part}");
        }
    }
}

/// Entries of versions that wrote no `k` are trimmed as they were: the log never holds more than it should.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_an_older_version_is_trimmed() {
    let server = Server::start();
    let most = 40;
    let node = server.node_with(Retention { max_entries: most, max_age_ms: 0 }).await;
    let topic = room("a");
    for i in 0..60 {
        node.append(&topic, if i % 4 == 3 { other("v") } else { nonced("u", "", &format!("n{i}")) }).await;
    }
    let kept = offsets(&node.all(&topic).await);
    let older = "local page = redis.call('XRANGE', KEYS[1], '-', '+') redis.call('DEL', KEYS[1]) \
                 for _, entry in ipairs(page) do redis.call('XADD', KEYS[1], entry[1], unpack(entry[2], 1, 16)) end \
                 return redis.call('HDEL', KEYS[2], '\\xfft')";
    assert_eq!(server.ask(&format!("EVAL \"{older}\" 2 chat:{{room:a}}:l chat:{{room:a}}:f")), ":1");
    assert_eq!(offsets(&node.all(&topic).await), kept);
    for i in 60..75 {
        node.append(&topic, nonced("u", "", &format!("n{i}"))).await;
        let counted = counted(&node, &topic).await;
        assert!(counted.len() as u64 <= most && counted.is_sorted(), "{counted:?}");
    }
    for i in 75..200 {
        node.append(&topic, nonced("u", "", &format!("n{i}"))).await;
    }
    assert_eq!(offsets(&node.all(&topic).await), (161..=200).collect::<Vec<_>>());
    assert_eq!(server.ask("HLEN chat:{room:a}:n"), ":40");
}
