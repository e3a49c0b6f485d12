//! Unread counts, compared with counting by hand.

use super::*;

on_all!(
    nothing_is_unread_before_the_first_mark,
    a_mark_never_moves_back,
    own_and_uncounted_entries_are_not_unread,
    unread_is_exact_whatever_the_order,
    a_mark_far_back_counts_all_entries_after_it,
    removed_entries_are_not_unread_any_more,
    entries_past_their_age_are_not_unread_any_more,
    a_mark_tells_where_it_is,
    a_mark_far_from_both_ends_counts_in_proportion,
    readers_of_a_commit_have_read_up_to_its_entry,
    fields_are_read_with_what_is_unread,
    readers_are_listed_and_forgotten_with_what_is_kept_of_them,
);

async fn mark(node: &Node, topic: &Topic, by: &str, offset: Offset) -> u64 {
    node.store.mark_read(topic, &user(by), offset).await.unwrap().unread
}

async fn unread(node: &Node, topic: &Topic, by: &str) -> u64 {
    node.unread(std::slice::from_ref(topic), by).await[0]
}

async fn nothing_is_unread_before_the_first_mark(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    assert_eq!(node.unread(&[], "v").await, [0; 0]);
    assert_eq!(mark(&node, &topic, "v", Offset::MAX).await, 0);
    assert_eq!(node.all(&topic).await.lineage.epoch.as_str(), "", "a mark makes no topic");
    node.append(&topic, message("u", "")).await;
    assert_eq!(unread(&node, &topic, "v").await, 0);
    assert_eq!(mark(&node, &topic, "v", 0).await, 1);
    let other = room("b");
    node.store.commit(&other, setting(&[("a", Some("1"))])).await.unwrap();
    assert_eq!(mark(&node, &other, "v", 5).await, 0);
    node.append(&other, message("u", "")).await;
    node.append(&other, message("u", "")).await;
    let both = node.unread(&[other, room("none"), topic], "v").await;
    assert_eq!(both, [2, 0, 1]);
}

async fn a_mark_never_moves_back(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    for _ in 0..10 {
        node.append(&topic, message("u", "")).await;
    }
    assert_eq!(mark(&node, &topic, "v", 4).await, 6);
    assert_eq!(mark(&node, &topic, "v", 2).await, 6);
    assert_eq!(mark(&node, &topic, "v", 4).await, 6);
    assert_eq!(mark(&node, &topic, "v", 7).await, 3);
    assert_eq!(mark(&node, &topic, "v", Offset::MAX).await, 0);
    // Cut at the top: what comes later is not read by it.
    node.append(&topic, message("u", "")).await;
    assert_eq!(unread(&node, &topic, "v").await, 1);
    assert_eq!(mark(&node, &topic, "v", 10).await, 1);
    assert_eq!(mark(&node, &topic, "v", 11).await, 0);
}

async fn own_and_uncounted_entries_are_not_unread(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    let mut silent = message("u", "");
    silent.append.as_mut().unwrap().counted = false;
    mark(&node, &topic, "u", 0).await;
    for _ in 0..3 {
        node.append(&topic, message("u", "")).await;
        node.append(&topic, silent.clone()).await;
        node.append(&topic, message("v", "")).await;
    }
    assert_eq!((mark(&node, &topic, "u", 0).await, mark(&node, &topic, "v", 0).await), (3, 3));
    assert_eq!(mark(&node, &topic, "w", 0).await, 6);
    assert_eq!((mark(&node, &topic, "u", 3).await, mark(&node, &topic, "v", 3).await), (2, 2));
    assert_eq!(mark(&node, &topic, "w", 8).await, 1);
}

/// A small generator: tests that fail must fail again.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn unread_is_exact_whatever_the_order(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    let mut dice = Dice(7);
    let people = ["u", "v", "w"];
    let mut log: Vec<(&str, bool)> = Vec::new();
    let mut marks = [None::<u64>; 3];
    node.store.commit(&topic, setting(&[("a", Some("1"))])).await.unwrap();
    for step in 0..550 {
        let who = dice.below(3) as usize;
        if dice.below(3) > 0 {
            let counted = dice.below(4) > 0;
            let mut commit = message(people[who], "");
            commit.append.as_mut().unwrap().counted = counted;
            node.append(&topic, commit).await;
            log.push((people[who], counted));
        } else {
            let offset = dice.below(log.len() as u64 + 3);
            mark(&node, &topic, people[who], offset).await;
            let offset = offset.min(log.len() as u64);
            marks[who] = Some(marks[who].map_or(offset, |before| before.max(offset)));
        }
        for (i, person) in people.iter().enumerate() {
            let after = marks[i].map_or(log.len(), |mark| mark as usize);
            let expected = log[after..].iter().filter(|(by, counted)| *counted && by != person).count() as u64;
            assert_eq!(unread(&node, &topic, person).await, expected, "step {step}, {person}, {:?}", marks[i]);
        }
    }
}

async fn a_mark_far_back_counts_all_entries_after_it(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    for i in 0..350 {
        node.append(&topic, message(if i % 7 == 0 { "v" } else { "u" }, "")).await;
    }
    assert_eq!(mark(&node, &topic, "v", 0).await, 300);
    assert_eq!(mark(&node, &topic, "v", 7).await, 294);
    assert_eq!(mark(&node, &topic, "w", 1).await, 349);
    assert_eq!(mark(&node, &topic, "v", 349).await, 1);
}

async fn removed_entries_are_not_unread_any_more(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 5, max_age_ms: 0 }).await;
    let topic = room("a");
    node.append(&topic, message("u", "")).await;
    assert_eq!(mark(&node, &topic, "v", 1).await, 0);
    for _ in 0..20 {
        node.append(&topic, message("u", "")).await;
    }
    assert_eq!(unread(&node, &topic, "v").await, 5);
    assert_eq!(mark(&node, &topic, "v", 1).await, 5);
    assert_eq!(mark(&node, &topic, "v", 2).await, 5);
    assert_eq!(mark(&node, &topic, "v", 18).await, 3);
}

async fn entries_past_their_age_are_not_unread_any_more(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 0, max_age_ms: 1_500 }).await;
    let topic = room("a");
    node.append(&topic, message("u", "")).await;
    assert_eq!(mark(&node, &topic, "v", 0).await, 1);
    for _ in 0..4 {
        node.append(&topic, message("u", "")).await;
    }
    pause(800).await;
    for by in ["u", "u", "w"] {
        node.append(&topic, message(by, "")).await;
    }
    assert_eq!(unread(&node, &topic, "v").await, 8);
    // Nobody says anything: nothing is removed, but the first five are too old to be read.
    pause(900).await;
    assert_eq!(unread(&node, &topic, "v").await, 3);
    pause(900).await;
    assert_eq!(unread(&node, &topic, "v").await, 0);
    assert_eq!(mark(&node, &topic, "v", 0).await, 0);
}

async fn a_mark_tells_where_it_is(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    for _ in 0..5 {
        node.append(&topic, message("u", "")).await;
    }
    let epoch = node.all(&topic).await.lineage.epoch;
    for (asked, offset, left) in [(3, 3, 2), (1, 3, 2), (9, 5, 0), (2, 5, 0)] {
        let marked = node.store.mark_read(&topic, &user("v"), asked).await.unwrap();
        assert_eq!(marked, Marked { offset, epoch: epoch.clone(), unread: left }, "{asked}");
    }
}

async fn a_mark_far_from_both_ends_counts_in_proportion(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    for i in 0..1_000 {
        node.append(&topic, message(if i % 4 == 0 { "v" } else { "u" }, "")).await;
    }
    assert_eq!(mark(&node, &topic, "v", 0).await, 750);
    let half = mark(&node, &topic, "v", 500).await;
    assert!((300..=450).contains(&half), "{half}");
    assert_eq!(unread(&node, &topic, "v").await, half);
    // Near the end it is exact again, and stays so.
    assert_eq!(mark(&node, &topic, "v", 900).await, 75);
    assert_eq!(mark(&node, &topic, "v", 1_000).await, 0);
    node.append(&topic, message("u", "")).await;
    assert_eq!(unread(&node, &topic, "v").await, 1);
}

async fn readers_of_a_commit_have_read_up_to_its_entry(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    node.append(&topic, message("u", "")).await;
    let commit = Commit { read_by: vec![user("v"), user("w"), user("u")], ..message("v", "") };
    node.append(&topic, commit).await;
    for (by, expected) in [("u", 0), ("v", 0), ("w", 0), ("x", 0)] {
        assert_eq!(unread(&node, &topic, by).await, expected, "{by}");
    }
    node.append(&topic, message("u", "")).await;
    for (by, expected) in [("u", 0), ("v", 1), ("w", 1), ("x", 0)] {
        assert_eq!(unread(&node, &topic, by).await, expected, "{by}");
    }
}

async fn fields_are_read_with_what_is_unread(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    node.store.commit(&topic, setting(&[("a", Some("1")), ("b", Some("é"))])).await.unwrap();
    mark(&node, &topic, "v", 0).await;
    node.append(&topic, message("u", "")).await;
    let names = ["b", "none", "a"].map(str::to_owned);
    let seen = node.store.seen(&[topic, room("none")], &user("v"), &names).await.unwrap();
    let value = |text: &str| Some(text.to_owned());
    let expected = [(1, vec![value("é"), None, value("1")]), (0, vec![None; 3])];
    assert_eq!(seen, expected.map(|(unread, values)| Seen { unread, values }));
}

async fn readers_are_listed_and_forgotten_with_what_is_kept_of_them(stage: Stage) {
    const READERS: usize = 1_000;
    let (node, topic) = (stage.node().await, room("a"));
    assert_eq!(node.store.readers(&topic, "", 10).await.unwrap(), (Vec::new(), None));
    node.store.forget(&topic, &[user("v")]).await.unwrap();
    node.store.commit(&topic, setting(&[("m:field", Some("1"))])).await.unwrap();
    let all: Vec<UserId> = (0..READERS).map(|number| user(&format!("v{number:04}"))).collect();
    for (number, reader) in all.iter().enumerate() {
        if number % 10 == 0 {
            node.append(&topic, message(reader.as_str(), "")).await;
        }
        mark(&node, &topic, reader.as_str(), Offset::MAX).await;
    }
    node.append(&topic, message("u", "")).await;
    mark(&node, &topic, "u", 0).await;

    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let (some, next) = node.store.readers(&topic, &cursor, 100).await.unwrap();
        assert!(some.len() < READERS / 2, "{} at once", some.len());
        found.extend(some);
        pages += 1;
        let Some(next) = next else { break };
        cursor = next;
    }
    found.sort_unstable();
    found.dedup();
    assert!(pages > 5, "{pages}");
    assert_eq!(found, [&[user("u")], &all[..]].concat());

    let gone = &all[..READERS - 1];
    node.store.forget(&topic, gone).await.unwrap();
    let (kept, _) = node.store.readers(&topic, "", 2 * READERS).await.unwrap();
    assert_eq!(
        kept.into_iter().collect::<std::collections::BTreeSet<_>>(),
        [user("u"), all[READERS - 1].clone()].into()
    );
    for reader in [&all[0], &all[7]] {
        assert_eq!(unread(&node, &topic, reader.as_str()).await, 0, "as one who was never here");
    }
    assert_eq!(unread(&node, &topic, all[READERS - 1].as_str()).await, 1);
    assert_eq!(unread(&node, &topic, "u").await, READERS as u64 / 10);
    assert_eq!(node.all(&topic).await.entries.len(), READERS / 10 + 1, "what they wrote stays");
}
