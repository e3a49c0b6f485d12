//! The bus: subscriptions, signals, interruptions.

use super::*;

on_all!(
    an_entry_committed_after_a_subscription_is_received,
    only_subscribed_topics_are_received,
    nothing_is_received_after_an_unsubscribe,
    signals_are_received_and_not_stored,
    a_node_that_is_too_slow_receives_an_interruption,
    a_thousand_topics_are_subscribed_at_once,
);

async fn an_entry_committed_after_a_subscription_is_received(stage: Stage) {
    let mut node = stage.node().await;
    for i in 0..50 {
        let topic = room(&format!("r{i}"));
        node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
        node.append(&topic, message("u", &i.to_string())).await;
        let entry = node.all(&topic).await.entries.remove(0);
        assert_eq!(node.receive().await, BusEvent::Entry(topic, entry, None));
    }
}

async fn only_subscribed_topics_are_received(stage: Stage) {
    let mut node = stage.node().await;
    node.store.subscribe(&[]).await.unwrap();
    node.store.subscribe(&[room("a"), Topic::Directory]).await.unwrap();
    node.store.subscribe(&[room("a")]).await.unwrap();
    node.append(&room("b"), message("u", "b")).await;
    node.append(&Topic::User(user("a")), message("u", "user")).await;
    node.store.signal(&room("b"), "b".to_owned()).await.unwrap();
    node.store.commit(&room("a"), setting(&[("a", Some("1"))])).await.unwrap();
    node.append(&room("a"), message("u", "a")).await;
    node.append(&Topic::Directory, message("u", "d")).await;
    // Between topics there is no order.
    let mut received =
        [node.receive_entry().await.payload.into_string(), node.receive_entry().await.payload.into_string()];
    received.sort();
    assert_eq!(received, ["a", "d"]);
    node.receives_nothing().await;
}

async fn nothing_is_received_after_an_unsubscribe(stage: Stage) {
    let mut node = stage.node().await;
    let (a, b) = (room("a"), room("b"));
    node.store.subscribe(&[a.clone(), b.clone()]).await.unwrap();
    node.store.unsubscribe(&[]).await.unwrap();
    node.store.unsubscribe(&[a.clone(), room("never")]).await.unwrap();
    node.store.unsubscribe(std::slice::from_ref(&a)).await.unwrap();
    node.append(&a, message("u", "a")).await;
    node.append(&b, message("u", "b")).await;
    assert_eq!(node.receive_entry().await.payload.as_str(), "b");
    node.receives_nothing().await;
    node.store.subscribe(std::slice::from_ref(&a)).await.unwrap();
    node.append(&a, message("u", "again")).await;
    assert_eq!(node.receive_entry().await.payload.as_str(), "again");
}

async fn signals_are_received_and_not_stored(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    node.store.signal(&topic, "nobody".to_owned()).await.unwrap();
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    for payload in ["1", "", "e"] {
        node.store.signal(&topic, payload.to_owned()).await.unwrap();
        assert_eq!(node.receive().await, BusEvent::Signal(topic.clone(), payload.to_owned()));
    }
    let slice = node.all(&topic).await;
    assert_eq!((slice.lineage.epoch.as_str(), slice.top), ("", 0));
}

async fn a_node_that_is_too_slow_receives_an_interruption(stage: Stage) {
    let (mut node, topic) = (stage.node().await, room("a"));
    node.store.subscribe(std::slice::from_ref(&topic)).await.unwrap();
    let count = crate::store::BUS_CAPACITY * 2;
    for _ in 0..count / 512 {
        let signals = (0..512).map(|_| node.store.signal(&topic, "1".to_owned()));
        futures_util::future::try_join_all(signals).await.unwrap();
    }
    let mut received = 0;
    loop {
        match node.receive().await {
            BusEvent::Signal(..) => received += 1,
            BusEvent::Interrupted => break,
            other => panic!("{other:?} before the interruption"),
        }
    }
    assert!(received < count, "nothing was lost");
    node.append(&topic, message("u", "after")).await;
    assert_eq!(node.receive_entry().await.payload.as_str(), "after");
}

async fn a_thousand_topics_are_subscribed_at_once(stage: Stage) {
    let mut node = stage.node().await;
    let topics: Vec<Topic> = (0..2_500).map(|i| room(&format!("r{i}"))).collect();
    node.store.subscribe(&topics).await.unwrap();
    for i in [0, 999, 1_000, 2_499] {
        node.append(&topics[i], message("u", &i.to_string())).await;
        assert_eq!(node.receive_entry().await.payload.as_str(), i.to_string());
    }
    node.store.unsubscribe(&topics).await.unwrap();
    node.append(&topics[0], message("u", "")).await;
    node.receives_nothing().await;
}
