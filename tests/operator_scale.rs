//! More nodes and fewer, while people talk: nobody may lose anything, whoever it is that goes.

use std::time::Duration;

use crate::harness::control_plane::run_within;
use crate::harness::is_full;
use crate::history::scene::{Scene, Setting};

/// The full size is asked for by this variable.
const FULL: &str = "SCALE_FULL";
/// Of either size.
const PATIENCE: Duration = Duration::from_secs(600);
/// People say as much as they like, and who has to move is moved soon.
const SPEC: &str = "limits: {messagesPerSecondPerUser: 0, burst: 1000000}, \
     drain: {timeoutSeconds: 60, connectionsPerSecond: 50}";

/// How many people, and how often each says something.
fn size() -> (u32, Duration) {
    if is_full(FULL) { (300, Duration::from_secs(4)) } else { (60, Duration::from_millis(1_500)) }
}

#[test]
fn more_nodes_and_then_fewer_lose_nothing() {
    let (people, every) = size();
    run_within(PATIENCE, async move |cluster| {
        let setting = Setting { test: "scale", spec: SPEC, nodes: 2, rooms: 12, every };
        let mut scene = Scene::start(&cluster, &setting).await;
        scene.come(people / 2).await;
        scene.talks_on(1).await;
        scene.chat.scale(5).await;
        // They find the new nodes: those who were there before stay where they are.
        scene.come(people - people / 2).await;
        scene.talks_on(3).await;
        scene.chat.scale(2).await;
        scene.talks_on(2).await;
        let (outcome, report) = scene.end().await;
        outcome.must_be_clean();
        assert!(report.moved() > 0, "people were on the nodes that went");
    });
}
