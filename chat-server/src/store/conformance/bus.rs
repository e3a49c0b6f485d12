//! What a node hears.

use super::*;

on_all!(
    what_is_committed_after_a_subscription_is_heard,
    only_what_is_subscribed_is_heard,
    nothing_is_heard_after_letting_go,
    signals_pass_and_are_not_stored,
    a_node_that_is_too_slow_is_told_so,
    a_thousand_topics_are_subscribed_at_once,
);

async fn what_is_committed_after_a_subscription_is_heard(stage: Stage) {
    let mut node = stage.node().await;
    for i in 0..50 {
        let topic = room(&format!("r{i}"));
        node.broker.subscribe(std::slice::from_ref(&topic)).await.unwrap();
        node.say(&topic, message("u", &i.to_string())).await;
        let entry = node.all(&topic).await.entries.remove(0);
        assert_eq!(node.hear().await, BusEvent::Entry(topic, entry, None));
    }
}

async fn only_what_is_subscribed_is_heard(stage: Stage) {
    let mut node = stage.node().await;
    node.broker.subscribe(&[]).await.unwrap();
    node.broker.subscribe(&[room("a"), Topic::Directory]).await.unwrap();
    node.broker.subscribe(&[room("a")]).await.unwrap();
    node.say(&room("b"), message("u", "b")).await;
    node.say(&Topic::User(user("a")), message("u", "user")).await;
    node.broker.signal(&room("b"), "b".to_owned()).await.unwrap();
    node.broker.commit(&room("a"), setting(&[("a", Some("1"))])).await.unwrap();
    node.say(&room("a"), message("u", "a")).await;
    node.say(&Topic::Directory, message("u", "d")).await;
    // Between topics there is no order.
    let mut heard = [node.hear_entry().await.payload.into_string(), node.hear_entry().await.payload.into_string()];
    heard.sort();
    assert_eq!(heard, ["a", "d"]);
    node.hears_nothing().await;
}

async fn nothing_is_heard_after_letting_go(stage: Stage) {
    let mut node = stage.node().await;
    let (a, b) = (room("a"), room("b"));
    node.broker.subscribe(&[a.clone(), b.clone()]).await.unwrap();
    node.broker.unsubscribe(&[]).await.unwrap();
    node.broker.unsubscribe(&[a.clone(), room("never")]).await.unwrap();
    node.broker.unsubscribe(std::slice::from_ref(&a)).await.unwrap();
    node.say(&a, message("u", "a")).await;
    node.say(&b, message("u", "b")).await;
    assert_eq!(node.hear_entry().await.payload.as_str(), "b");
    node.hears_nothing().await;
    node.broker.subscribe(std::slice::from_ref(&a)).await.unwrap();
    node.say(&a, message("u", "again")).await;
    assert_eq!(node.hear_entry().await.payload.as_str(), "again");
}

async fn signals_pass_and_are_not_stored(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    node.broker.signal(&topic, "nobody".to_owned()).await.unwrap();
    node.broker.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    for payload in ["1", "", "e"] {
        node.broker.signal(&topic, payload.to_owned()).await.unwrap();
        assert_eq!(node.hear().await, BusEvent::Signal(topic.clone(), payload.to_owned()));
    }
    let slice = node.all(&topic).await;
    assert_eq!((slice.lineage.epoch.as_str(), slice.top), ("", 0));
}

async fn a_node_that_is_too_slow_is_told_so(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    node.broker.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    let count = crate::store::BUS_CAPACITY * 2;
    for _ in 0..count / 512 {
        let signals = (0..512).map(|_| node.broker.signal(&topic, "1".to_owned()));
        futures_util::future::try_join_all(signals).await.unwrap();
    }
    let mut heard = 0;
    loop {
        match node.hear().await {
            BusEvent::Signal(..) => heard += 1,
            BusEvent::Interrupted => break,
            other => panic!("{other:?} before it was told"),
        }
    }
    assert!(heard < count, "nothing was lost");
    node.say(&topic, message("u", "after")).await;
    assert_eq!(node.hear_entry().await.payload.as_str(), "after");
}

async fn a_thousand_topics_are_subscribed_at_once(stage: Stage) {
    let mut node = stage.node().await;
    let topics: Vec<Topic> = (0..2_500).map(|i| room(&format!("r{i}"))).collect();
    node.broker.subscribe(&topics).await.unwrap();
    for i in [0, 999, 1_000, 2_499] {
        node.say(&topics[i], message("u", &i.to_string())).await;
        assert_eq!(node.hear_entry().await.payload.as_str(), i.to_string());
    }
    node.broker.unsubscribe(&topics).await.unwrap();
    node.say(&topics[0], message("u", "")).await;
    node.hears_nothing().await;
}
