//! Who is there.

use super::*;

on_all!(
    a_user_is_online_while_connected_to_any_node,
    presence_ends_with_the_heartbeat_of_its_node,
    each_user_who_is_gone_is_reaped_exactly_once,
    a_user_on_another_node_is_not_reaped,
    a_user_who_leaves_is_reported_once,
    a_node_without_a_heartbeat_is_alive_at_first,
    online_users_are_paged_by_id,
    a_heartbeat_tells_whether_what_its_node_said_is_there,
);

async fn set(node: &Node, on: &str, who: &str, card: Option<&str>) -> (bool, bool) {
    node.store.set_presence(&super::node(on), &user(who), card).await.unwrap()
}

async fn beat(node: &Node, on: &str, ttl_ms: u64) {
    node.store.beat(&super::node(on), ttl_ms, false).await.unwrap();
}

async fn cards(node: &Node, people: &[&str]) -> Vec<Option<String>> {
    let people: Vec<UserId> = people.iter().map(|who| user(who)).collect();
    node.store.presence(&people).await.unwrap()
}

async fn online(node: &Node) -> Vec<String> {
    let listed = node.store.online(None, 1_000).await.unwrap();
    assert_eq!(node.store.online_count().await.unwrap(), listed.len() as u64);
    listed.into_iter().map(|(who, _)| who.to_string()).collect()
}

async fn reap(node: &Node) -> Vec<String> {
    let mut gone: Vec<String> = node.store.reap(100).await.unwrap().iter().map(ToString::to_string).collect();
    gone.sort();
    gone
}

async fn a_user_is_online_while_connected_to_any_node(stage: Stage) {
    let node = stage.node().await;
    assert_eq!(cards(&node, &[]).await, []);
    beat(&node, "a", 60_000).await;
    beat(&node, "b", 60_000).await;
    assert_eq!(set(&node, "a", "u", None).await, (false, false));
    assert_eq!(set(&node, "a", "u", Some("1")).await, (false, true));
    assert_eq!(set(&node, "a", "u", Some("2")).await, (true, true));
    assert_eq!(set(&node, "b", "u", Some("3")).await, (true, true));
    assert_eq!(set(&node, "b", "v", Some("")).await, (false, true));
    assert_eq!(cards(&node, &["v", "w", "u"]).await, [Some(String::new()), None, Some("2".to_owned())]);
    assert_eq!(online(&node).await, ["u", "v"]);
    assert_eq!(set(&node, "a", "u", None).await, (true, true));
    assert_eq!(cards(&node, &["u"]).await, [Some("3".to_owned())]);
    assert_eq!(set(&node, "b", "u", None).await, (true, false));
    assert_eq!(set(&node, "b", "u", None).await, (false, false));
    assert_eq!(online(&node).await, ["v"]);
    assert_eq!(reap(&node).await, [""; 0]);
}

async fn presence_ends_with_the_heartbeat_of_its_node(stage: Stage) {
    let node = stage.node().await;
    beat(&node, "a", 1_000).await;
    beat(&node, "b", 60_000).await;
    for who in ["u", "v"] {
        set(&node, "a", who, Some(who)).await;
    }
    set(&node, "b", "v", Some("on b")).await;
    pause(600).await;
    beat(&node, "a", 1_000).await;
    pause(600).await;
    assert_eq!(online(&node).await, ["u", "v"]);
    pause(600).await;
    assert_eq!(cards(&node, &["u", "v"]).await, [None, Some("on b".to_owned())]);
    assert_eq!(online(&node).await, ["v"]);
    // Not yet reaped: a new beat brings all of it back.
    beat(&node, "a", 60_000).await;
    assert_eq!(online(&node).await, ["u", "v"]);
    assert_eq!(reap(&node).await, [""; 0]);
}

async fn each_user_who_is_gone_is_reaped_exactly_once(stage: Stage) {
    let node = stage.node().await;
    // On two nodes that die together, half of them on both.
    for on in ["a", "b"] {
        beat(&node, on, 60_000).await;
    }
    for i in 0..60 {
        set(&node, "a", &format!("u{i}"), Some("x")).await;
        if i % 2 == 0 {
            set(&node, "b", &format!("u{i}"), Some("x")).await;
        }
    }
    for on in ["a", "b"] {
        beat(&node, on, 1).await;
    }
    pause(20).await;
    let reapers = (0..4).map(|_| {
        let store = node.store.clone();
        tokio::spawn(async move {
            let mut gone = Vec::new();
            for _ in 0..15 {
                let some = store.reap(7).await.unwrap();
                assert!(some.len() <= 7);
                gone.extend(some);
            }
            gone
        })
    });
    let mut gone = Vec::new();
    for reaper in reapers.collect::<Vec<_>>() {
        gone.extend(reaper.await.unwrap());
    }
    gone.sort();
    let mut all: Vec<UserId> = (0..60).map(|i| user(&format!("u{i}"))).collect();
    all.sort();
    assert_eq!(gone, all);
    assert_eq!(online(&node).await, [""; 0]);
    if let Stage::Redis(server) = &stage {
        assert_eq!(server.ask("DBSIZE"), ":0", "nothing of the dead stays");
    }
}

async fn a_user_on_another_node_is_not_reaped(stage: Stage) {
    let node = stage.node().await;
    beat(&node, "a", 60_000).await;
    beat(&node, "b", 60_000).await;
    set(&node, "a", "u", Some("1")).await;
    set(&node, "b", "u", Some("2")).await;
    set(&node, "a", "v", Some("3")).await;
    beat(&node, "a", 1).await;
    pause(20).await;
    assert_eq!(set(&node, "b", "v", Some("4")).await, (false, true));
    assert_eq!(reap(&node).await, [""; 0]);
    assert_eq!(online(&node).await, ["u", "v"]);
    beat(&node, "b", 1).await;
    pause(20).await;
    assert_eq!(reap(&node).await, ["u", "v"]);
    assert_eq!(reap(&node).await, [""; 0]);
}

async fn a_user_who_leaves_is_reported_once(stage: Stage) {
    let node = stage.node().await;
    beat(&node, "a", 60_000).await;
    beat(&node, "b", 60_000).await;
    set(&node, "a", "u", Some("1")).await;
    set(&node, "b", "u", Some("2")).await;
    set(&node, "a", "v", Some("3")).await;
    beat(&node, "a", 1).await;
    pause(20).await;
    // Told here, not by a reaper, that finds the entry of the dead node.
    assert_eq!(set(&node, "b", "u", None).await, (true, false));
    // A node that reports a departure is alive: the departure is reported here, too.
    assert_eq!(set(&node, "a", "v", None).await, (true, false));
    beat(&node, "a", 1).await;
    pause(20).await;
    assert_eq!(reap(&node).await, [""; 0]);
    assert_eq!(online(&node).await, [""; 0]);
}

async fn a_node_without_a_heartbeat_is_alive_at_first(stage: Stage) {
    let node = stage.node().await;
    assert_eq!(set(&node, "a", "u", Some("1")).await, (false, true));
    assert_eq!(online(&node).await, ["u"]);
    assert_eq!(reap(&node).await, [""; 0]);
}

async fn online_users_are_paged_by_id(stage: Stage) {
    let node = stage.node().await;
    beat(&node, "a", 60_000).await;
    beat(&node, "b", 60_000).await;
    let mut people = vec!["A", "B-", "Z_9", "a", "a-1", "a.b", "a1", "aa", "b", "z"];
    for (i, who) in people.iter().enumerate() {
        set(&node, if i % 2 == 0 { "a" } else { "b" }, who, Some(who)).await;
    }
    people.sort_unstable();
    let mut paged: Vec<(UserId, String)> = Vec::new();
    loop {
        let page = node.store.online(paged.last().map(|(who, _)| who), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert!(paged.iter().map(|(who, _)| who.as_str()).eq(people.iter().copied()));
    assert!(paged.iter().all(|(who, card)| who.as_str() == card));
    assert!(node.store.online(None, 0).await.unwrap().is_empty());
    // Those on a dead node don't make a page shorter.
    beat(&node, "a", 1).await;
    pause(20).await;
    let page = node.store.online(None, 4).await.unwrap();
    assert_eq!(page.len(), 4);
    assert_eq!(online(&node).await.len(), 5);
}

async fn a_heartbeat_tells_whether_what_its_node_said_is_there(stage: Stage) {
    let node = stage.node().await;
    let whole = async |on: &str, occupied| node.store.beat(&super::node(on), 60_000, occupied).await.unwrap();
    assert!(whole("a", false).await, "it said nothing");
    assert!(!whole("a", true).await);
    set(&node, "b", "u", Some("1")).await;
    assert!(!whole("a", true).await, "another node said something");
    set(&node, "a", "v", Some("1")).await;
    assert!(whole("a", true).await && whole("b", true).await);
    set(&node, "a", "v", None).await;
    assert!(!whole("a", true).await && whole("b", true).await);
}
