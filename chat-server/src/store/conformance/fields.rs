//! Fields, and the expiry of topics.

use super::*;

on_all!(
    a_commit_changes_everything_or_nothing,
    a_refusal_returns_the_actual_values,
    fields_are_returned_in_the_requested_order,
    fields_are_listed_in_the_byte_order_of_their_names,
    fields_are_paged_and_counted_within_a_prefix,
    a_topic_expires_after_its_ttl,
    a_key_created_later_expires_with_the_topic,
    a_touch_renews_the_ttl_of_a_topic,
    a_topic_without_a_ttl_does_not_expire,
    a_topic_expires_while_nothing_of_a_kind_is_in_it,
    a_log_with_a_maximum_age_keeps_its_expiry_when_the_topic_has_none,
    any_text_is_stored_unchanged,
    values_of_many_topics_are_read_at_once,
    a_bound_of_fields_holds_under_many_writers,
    fields_that_are_set_later_expire_with_their_topic,
    a_topic_tells_whether_it_has_a_field,
);

async fn values(node: &Node, topic: &Topic, names: &[&str]) -> Vec<Option<String>> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    node.store.fields(topic, &names).await.unwrap().values
}

async fn names(node: &Node, topic: &Topic, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let listed = node.store.list(topic, prefix, after, limit).await.unwrap();
    listed.into_iter().map(|(name, _)| name).collect()
}

async fn a_commit_changes_everything_or_nothing(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    let mut commit = message("u", "1");
    commit.expect = pairs(&[("x", Some("1"))]);
    commit.set = pairs(&[("x", Some("2")), ("y", Some("2"))]);
    commit.ttl_ms = Some(60_000);
    let refused = node.store.commit(&topic, commit.clone()).await.unwrap();
    assert_eq!(refused, Committed::Refused(vec![None]));
    assert_eq!(values(&node, &topic, &["x", "y"]).await, [None, None]);
    let slice = node.all(&topic).await;
    assert_eq!((slice.lineage.epoch.as_str(), slice.top, slice.first), ("", 0, 1));
    assert_eq!(node.store.count(&topic, "").await.unwrap(), 0);
    assert!(!node.store.touch(&topic, 1000).await.unwrap());

    node.store.commit(&topic, setting(&[("x", Some("1"))])).await.unwrap();
    let epoch = node.all(&topic).await.lineage.epoch;
    assert_ne!(epoch.as_str(), "");
    let Committed::Done { entry: Some((position, _)) } = node.store.commit(&topic, commit).await.unwrap() else {
        panic!("not done");
    };
    assert_eq!((position.epoch, position.offset), (epoch, 1));
    assert_eq!(values(&node, &topic, &["x", "y"]).await, [Some("2".to_owned()), Some("2".to_owned())]);
    node.store.commit(&topic, setting(&[("x", None), ("never", None)])).await.unwrap();
    assert_eq!(values(&node, &topic, &["x", "y"]).await, [None, Some("2".to_owned())]);
    assert_eq!(names(&node, &topic, "", None, 9).await, ["y"]);
}

async fn a_refusal_returns_the_actual_values(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    node.store.commit(&topic, setting(&[("a", Some("")), ("b", Some("1"))])).await.unwrap();
    let expect = pairs(&[("b", None), ("gone", Some("")), ("b", Some("1")), ("a", None)]);
    let refused = node.store.commit(&topic, Commit { expect, ..Commit::default() }).await.unwrap();
    let one = Some("1".to_owned());
    assert_eq!(refused, Committed::Refused(vec![one.clone(), None, one, Some(String::new())]));
    let expect = pairs(&[("b", Some("1")), ("gone", None), ("b", Some("1")), ("a", Some(""))]);
    let set = pairs(&[("gone", Some("0"))]);
    let done = node.store.commit(&topic, Commit { expect, set, ..Commit::default() }).await.unwrap();
    assert_eq!(done, Committed::Done { entry: None });
    assert_eq!(values(&node, &topic, &["gone"]).await, [Some("0".to_owned())]);
}

async fn fields_are_returned_in_the_requested_order(stage: Stage) {
    let (node, topic) = (stage.node().await, Topic::Directory);
    node.store.commit(&topic, setting(&[("a", Some("1")), ("b", Some("2"))])).await.unwrap();
    let asked = ["b", "x", "a", "b"].map(str::to_owned);
    let fields = node.store.fields(&topic, &asked).await.unwrap();
    assert_eq!(fields.values, [Some("2"), None, Some("1"), Some("2")].map(|value| value.map(str::to_owned)));
    let (_, at) = node.append(&topic, message("u", "")).await;
    assert!(fields.now > 1_600_000_000_000 && fields.now <= at && at < fields.now + 10_000, "{} {at}", fields.now);
    assert_eq!(node.store.fields(&Topic::Cluster, &[]).await.unwrap().values, []);
}

async fn fields_are_listed_in_the_byte_order_of_their_names(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    let mut all = [
        "",
        "m",
        "m:",
        "m: ",
        "m:(",
        "m:[x",
        "m:-",
        "m:+",
        "m:*",
        "m:{a}",
        "m:A",
        "m:a",
        "m:a\nb",
        "m:\0",
        "m:é",
        "m:字",
        "m:😀",
        "m:\u{10ffff}\u{10ffff}\u{10ffff}",
        "m;",
        "n",
    ];
    let set: Vec<_> = all.iter().map(|name| (*name, Some("v"))).collect();
    node.store.commit(&topic, setting(&set)).await.unwrap();
    all.sort_unstable();
    assert_eq!(names(&node, &topic, "", None, usize::MAX).await, all);
    let members: Vec<&str> = all.into_iter().filter(|name| name.starts_with("m:")).collect();
    assert_eq!(names(&node, &topic, "m:", None, 99).await, members);
    assert_eq!(node.store.count(&topic, "m:").await.unwrap(), members.len() as u64);
    let mut paged = Vec::new();
    while let Some(name) = names(&node, &topic, "m:", paged.last().map(String::as_str), 1).await.pop() {
        paged.push(name);
    }
    assert_eq!(paged, members);
}

async fn fields_are_paged_and_counted_within_a_prefix(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    let set: Vec<String> = (0..10).flat_map(|i| [format!("a:{i}"), format!("b:{i}")]).collect();
    let set: Vec<(&str, Option<&str>)> = set.iter().map(|name| (name.as_str(), Some(name.as_str()))).collect();
    node.store.commit(&topic, setting(&set)).await.unwrap();
    assert_eq!(names(&node, &topic, "a:", Some("a:3"), 3).await, ["a:4", "a:5", "a:6"]);
    assert_eq!(names(&node, &topic, "b:", Some("a:3"), 2).await, ["b:0", "b:1"]);
    assert_eq!(names(&node, &topic, "a:", Some("b:3"), 2).await, [""; 0]);
    assert_eq!(names(&node, &topic, "a:", Some("a:9"), 2).await, [""; 0]);
    assert_eq!(names(&node, &topic, "a:", None, 0).await, [""; 0]);
    let listed = node.store.list(&topic, "b:9", None, 5).await.unwrap();
    assert_eq!(listed, [("b:9".to_owned(), "b:9".to_owned())]);
    let counts = [("", 20), ("a:", 10), ("a:1", 1), ("c", 0)];
    for (prefix, count) in counts {
        assert_eq!(node.store.count(&topic, prefix).await.unwrap(), count, "{prefix}");
    }
    assert_eq!(node.store.count(&room("other"), "").await.unwrap(), 0);
}

fn living(ttl_ms: u64) -> Commit {
    Commit { ttl_ms: Some(ttl_ms), ..nonced("u", "1", "n") }
}

async fn a_topic_expires_after_its_ttl(stage: Stage) {
    let node = stage.node().await;
    let topic = Topic::Session(SessionId::parse("s").unwrap());
    let set = pairs(&[("a", Some("1"))]);
    node.store.commit(&topic, Commit { set, ..living(500) }).await.unwrap();
    node.store.mark_read(&topic, &user("v"), 0).await.unwrap();
    let epoch = node.all(&topic).await.lineage.epoch;
    pause(550).await;
    assert_eq!(values(&node, &topic, &["a"]).await, [None]);
    assert_eq!(node.store.count(&topic, "").await.unwrap(), 0);
    assert_eq!(node.store.find_nonce(&topic, &user("u"), "n").await.unwrap(), None);
    assert_eq!(node.store.mark_read(&topic, &user("v"), 0).await.unwrap().unread, 0);
    assert_eq!(node.unread(std::slice::from_ref(&topic), "v").await, [0]);
    let slice = node.all(&topic).await;
    assert_eq!((slice.lineage.epoch.as_str(), slice.top, slice.first, slice.entries.len()), ("", 0, 1, 0));
    assert!(!node.store.touch(&topic, 1_000).await.unwrap());
    assert_eq!(node.append(&topic, living(60_000)).await.0, 1);
    assert_ne!(node.all(&topic).await.lineage.epoch, epoch);
}

async fn a_key_created_later_expires_with_the_topic(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    node.store.commit(&topic, Commit { ttl_ms: Some(600), ..Commit::default() }).await.unwrap();
    node.append(&topic, nonced("u", "1", "n")).await;
    node.store.commit(&topic, setting(&[("a", Some("1"))])).await.unwrap();
    node.store.mark_read(&topic, &user("v"), 1).await.unwrap();
    pause(650).await;
    assert_eq!(node.all(&topic).await.top, 0);
    assert_eq!(values(&node, &topic, &["a"]).await, [None]);
    assert_eq!(node.store.count(&topic, "").await.unwrap(), 0);
    assert_eq!(node.append(&topic, nonced("u", "2", "n")).await.0, 1);
    assert_eq!(node.unread(&[topic], "v").await, [0]);
    if let Stage::Redis(server) = &stage {
        assert_eq!(server.ask("DBSIZE"), ":3", "fields, log and nonces of the new topic");
    }
}

async fn a_touch_renews_the_ttl_of_a_topic(stage: Stage) {
    let (node, topic) = (stage.node().await, room("a"));
    node.store.commit(&topic, Commit { ttl_ms: Some(800), ..Commit::default() }).await.unwrap();
    for _ in 0..4 {
        pause(300).await;
        assert!(node.store.touch(&topic, 800).await.unwrap());
    }
    node.store.commit(&topic, Commit { ttl_ms: Some(u64::MAX), ..Commit::default() }).await.unwrap();
    pause(850).await;
    assert!(node.store.touch(&topic, 1).await.unwrap());
    pause(20).await;
    assert!(!node.store.touch(&topic, 1_000).await.unwrap());
}

async fn a_topic_without_a_ttl_does_not_expire(stage: Stage) {
    let node = stage.node().await;
    node.append(&room("a"), message("u", "1")).await;
    for i in 0..20 {
        node.append(&room(&format!("t{i}")), living(1)).await;
    }
    pause(20).await;
    assert_eq!(node.append(&room("a"), message("u", "2")).await.0, 2);
}

async fn any_text_is_stored_unchanged(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    let text = "\"'\\\r\n\n\t\0{}()[]= é 字 😀 \u{10ffff} e1\n2\n3";
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    let commit = Commit { set: pairs(&[(text, Some(text)), ("empty", Some(""))]), ..nonced("u", text, text) };
    node.append(&topic, commit.clone()).await;
    assert_eq!(node.receive_entry().await.payload.as_str(), text);
    assert_eq!(node.all(&topic).await.entries.first().unwrap().payload.as_str(), text);
    assert_eq!(values(&node, &topic, &[text, "empty"]).await, [Some(text.to_owned()), Some(String::new())]);
    let expect = pairs(&[(text, Some(text)), ("empty", Some(""))]);
    assert!(matches!(node.store.commit(&topic, commit).await.unwrap(), Committed::Repeated(_)));
    let done = node.store.commit(&topic, Commit { expect, ..Commit::default() }).await.unwrap();
    assert_eq!(done, Committed::Done { entry: None });
    assert_eq!(node.store.find_nonce(&topic, &user("u"), text).await.unwrap().unwrap().payload.as_str(), text);
    node.store.signal(&topic, text.to_owned()).await.unwrap();
    assert_eq!(node.receive().await, BusEvent::Signal(topic, text.to_owned()));
    node.store.set_presence(&super::node("n"), &user("u"), Some(text)).await.unwrap();
    assert_eq!(node.store.presence(&[user("u")]).await.unwrap(), [Some(text.to_owned())]);
}

async fn values_of_many_topics_are_read_at_once(stage: Stage) {
    let node = stage.node().await;
    for (id, value) in [("a", "1"), ("b", "2")] {
        node.store.commit(&room(id), setting(&[("x", Some(value)), (value, Some("y"))])).await.unwrap();
    }
    let names = ["x", "1"].map(str::to_owned);
    let value = |text: &str| Some(text.to_owned());
    let found = node.store.values(&[room("b"), room("none"), room("a")], &names).await.unwrap();
    assert_eq!(found, [vec![value("2"), None], vec![None, None], vec![value("1"), value("y")]]);
    assert_eq!(node.store.values(&[], &names).await.unwrap(), [[]; 0]);
    assert_eq!(node.store.values(&[room("a")], &[]).await.unwrap(), [[]]);
}

async fn a_bound_of_fields_holds_under_many_writers(stage: Stage) {
    let (node, topic) = (stage.node().await, Topic::User(user("u")));
    let bounded = |name: String| {
        let bound = Some(FieldBound { prefix: "r:", most: 5 });
        Commit { set: vec![(name, Some("1".to_owned()))], bound, ..Commit::default() }
    };
    node.store.commit(&topic, setting(&[("q", Some("1")), ("s:9", Some("1"))])).await.unwrap();
    let writers = (0..20).map(|i| node.store.commit(&topic, bounded(format!("r:{i:02}"))));
    let done = futures_util::future::try_join_all(writers).await.unwrap();
    assert_eq!(done.iter().filter(|done| matches!(done, Committed::Done { .. })).count(), 5);
    assert_eq!(done.iter().filter(|done| **done == Committed::Full).count(), 15);
    assert_eq!(node.store.count(&topic, "r:").await.unwrap(), 5);
    // One that is there already may be set again; others are not counted.
    let (there, _) = node.store.list(&topic, "r:", None, 1).await.unwrap().remove(0);
    for name in [there, "s:1".to_owned()] {
        assert!(matches!(node.store.commit(&topic, bounded(name)).await.unwrap(), Committed::Done { .. }));
    }
    assert_eq!(node.store.commit(&topic, bounded("r:more".to_owned())).await.unwrap(), Committed::Full);
}

async fn fields_that_are_set_later_expire_with_their_topic(stage: Stage) {
    let (node, topic) = (stage.node().await, Topic::User(user("u")));
    node.store.commit(&topic, Commit { ttl_ms: Some(600), ..setting(&[("a", Some("1"))]) }).await.unwrap();
    // The index of names goes with its last name, and comes anew.
    node.store.commit(&topic, setting(&[("a", None)])).await.unwrap();
    node.store.commit(&topic, setting(&[("b", Some("1"))])).await.unwrap();
    assert_eq!(node.store.count(&topic, "").await.unwrap(), 1);
    pause(800).await;
    assert_eq!(node.store.count(&topic, "").await.unwrap(), 0);
    assert_eq!(node.store.list(&topic, "", None, 10).await.unwrap(), []);
}

/// A commit with an entry that sets fields, of a topic that expires while no name begins with `m:`.
fn members(set: &[(&str, Option<&str>)], ttl_ms: u64) -> Commit {
    let ttl_while_empty = Some(TtlWhileEmpty { prefix: "m:", ttl_ms });
    Commit { set: pairs(set), ttl_while_empty, ..message("u", "") }
}

async fn a_topic_expires_while_nothing_of_a_kind_is_in_it(stage: Stage) {
    let (node, topic, long) = (stage.node().await, room("a"), 3_600_000);
    let info = ("info", Some("1"));
    node.append(&topic, members(&[info, ("m:u", Some("1")), ("n", Some("1")), ("m", Some("1"))], long)).await;
    node.append(&topic, members(&[("m:v", Some("1"))], long)).await;
    // One is left.
    node.append(&topic, members(&[("m:u", None)], 100)).await;
    pause(150).await;
    assert_eq!(values(&node, &topic, &["info"]).await, [Some("1".to_owned())]);
    // None is left, and then there is one in time: it does not expire.
    node.append(&topic, members(&[("m:v", None)], 600)).await;
    node.append(&topic, nonced("u", "", "n")).await;
    node.append(&topic, members(&[("m:w", Some("1"))], 600)).await;
    pause(700).await;
    assert_eq!(node.all(&topic).await.entries.len(), 6);
    assert!(node.store.find_nonce(&topic, &user("u"), "n").await.unwrap().is_some());
    node.append(&topic, members(&[("m:w", None)], 100)).await;
    pause(150).await;
    assert_eq!(values(&node, &topic, &["info", "n"]).await, [None, None]);
    assert_eq!(node.all(&topic).await.top, 0);
    if let Stage::Redis(server) = &stage {
        let keys = ["f", "x", "l", "n"].map(|key| format!("chat:{{room:a}}:{key}")).join(" ");
        assert_eq!(server.ask(&format!("EXISTS {keys}")), ":0", "nothing is left of it");
    }
}

async fn a_log_with_a_maximum_age_keeps_its_expiry_when_the_topic_has_none(stage: Stage) {
    let node = stage.node_with(Retention { max_entries: 0, max_age_ms: 5_000 }).await;
    let topic = room("a");
    node.append(&topic, members(&[("m:u", Some("1"))], 60_000)).await;
    node.append(&topic, members(&[("m:u", None)], 60_000)).await;
    node.append(&topic, members(&[("m:u", Some("1"))], 60_000)).await;
    assert_eq!(values(&node, &topic, &["m:u"]).await, [Some("1".to_owned())]);
    if let Stage::Redis(server) = &stage {
        assert_eq!(server.ask("PTTL chat:{room:a}:f"), ":-1");
        let log: i64 = server.ask("PTTL chat:{room:a}:l")[1..].parse().unwrap();
        assert!((1..=11_100).contains(&log), "{log}");
    }
}

async fn a_topic_tells_whether_it_has_a_field(stage: Stage) {
    let (node, topics) = (stage.node().await, [room("a"), room("b"), room("c")]);
    node.store.commit(&topics[0], setting(&[("x", Some("1")), ("y", Some("2"))])).await.unwrap();
    node.store.commit(&topics[2], setting(&[("y", Some(""))])).await.unwrap();
    let has = async |name: &str| {
        let held: Vec<_> = topics.iter().map(|topic| (topic.clone(), name.to_owned())).collect();
        node.store.verify(&held).await.unwrap()
    };
    assert_eq!(has("x").await, [true, false, false]);
    assert_eq!(has("y").await, [true, false, true]);
    assert_eq!(node.store.verify(&[]).await.unwrap(), [false; 0]);
    assert_eq!(names(&node, &topics[0], "", None, 9).await, ["x", "y"]);
}
