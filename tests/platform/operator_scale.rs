//! More nodes and fewer, and other ones, while people talk: nobody may lose anything, whoever it is that goes.

use std::time::Duration;

use crate::harness::browser::play;
use crate::harness::chat::Chat;
use crate::harness::control_plane::{Cluster, run_within};
use crate::harness::is_full;
use crate::history::scene::{Scene, Setting};

/// The full size is asked for by this variable.
const FULL: &str = "SCALE_FULL";
/// Of either size.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many people, how often each says something, and the rest of the spec: they say as much as they like, and are
/// moved at so many a second.
fn size() -> (u32, Duration, &'static str) {
    if is_full(FULL) {
        let drain = "limits: {messagesPerSecondPerUser: 0, burst: 1000000, changesPerSecondPerUser: 0, queriesPerSecondPerUser: 0, handshakesPerSecondPerAddress: 0, newGuestsPerSecondPerAddress: 0}, \
             drain: {timeoutSeconds: 120, connectionsPerSecond: 20, maxReconnectsPerSecond: 20}";
        (300, Duration::from_secs(4), drain)
    } else {
        let drain = "limits: {messagesPerSecondPerUser: 0, burst: 1000000, changesPerSecondPerUser: 0, queriesPerSecondPerUser: 0, handshakesPerSecondPerAddress: 0, newGuestsPerSecondPerAddress: 0}, \
             drain: {timeoutSeconds: 60, connectionsPerSecond: 10, maxReconnectsPerSecond: 10}";
        (60, Duration::from_millis(1_500), drain)
    }
}

async fn scene(cluster: &Cluster, test: &str, nodes: usize, beside: &str) -> (Scene, u32) {
    let (people, every, spec) = size();
    let spec = format!("{spec}{beside}");
    let scene = Scene::start(cluster, &Setting { test, spec: &spec, nodes, rooms: 12, every }).await;
    (scene, people)
}

async fn end(scene: Scene) {
    let (outcome, report) = scene.end().await;
    outcome.must_be_clean();
    assert!(report.moved_more_than(0) > 0, "people were on the nodes that went");
}

#[test]
fn scaling_up_and_down_by_kubectl_loses_nothing() {
    run_within(PATIENCE, async move |cluster| {
        let (mut scene, people) = scene(&cluster, "scale", 2, "").await;
        scene.come(people / 2).await;
        scene.talks_on(1).await;
        scene.chat.scale(5).await;
        scene.chat.found(5).await;
        // They find the new nodes: those who were there before stay where they are.
        scene.come(people - people / 2).await;
        scene.talks_on(2).await;
        scene.chat.scale(2).await;
        scene.talks_on(2).await;
        end(scene).await;
    });
}

#[test]
fn autoscaling_by_sockets_loses_nothing() {
    run_within(PATIENCE, async move |cluster| {
        let (people, ..) = size();
        let autoscaling = |target: u32| {
            format!(
                "{{minReplicas: 2, maxReplicas: 5, targetConnectionsPerPod: {target}, scaleDown: {{stabilizationSeconds: 5}}}}"
            )
        };
        let (mut scene, people) =
            scene(&cluster, "sockets", 2, &format!(", autoscaling: {}", autoscaling(people / 5))).await;
        scene.come(people / 2).await;
        scene.chat.nodes(3).await;
        scene.chat.found(3).await;
        scene.come(people - people / 2).await;
        scene.chat.nodes(5).await;
        scene.talks_on(1).await;
        // Were each of them to bear all people, two would do, as the least that there may be.
        let fewer = format!("{{\"autoscaling\": {{\"targetConnectionsPerPod\": {people}}}}}");
        scene.chat.patch(&fewer).await;
        scene.chat.nodes(2).await;
        scene.talks_on(2).await;
        end(scene).await;
    });
}

#[test]
fn autoscaling_by_cpu_loses_nothing() {
    run_within(PATIENCE, async move |cluster| {
        let beside = ", pod: {resources: {requests: {cpu: 20m}}}, autoscaling: {minReplicas: 2, maxReplicas: 5, \
            targetCPUUtilizationPercentage: 50, scaleDown: {stabilizationSeconds: 5}}";
        let (mut scene, people) = scene(&cluster, "cpu", 2, beside).await;
        scene.come(people / 2).await;
        scene.chat.nodes(5).await;
        scene.chat.found(5).await;
        scene.come(people - people / 2).await;
        scene.talks_on(1).await;
        scene.chat.patch(r#"{"autoscaling": {"targetCPUUtilizationPercentage": 1000}}"#).await;
        scene.chat.nodes(2).await;
        scene.talks_on(2).await;
        end(scene).await;
    });
}

#[test]
fn a_rolling_update_moves_each_client_once_and_loses_nothing() {
    run_within(PATIENCE, async move |cluster| {
        let (mut scene, people) = scene(&cluster, "roll", 5, "").await;
        scene.chat.found(5).await;
        scene.come(people).await;
        scene.talks_on(2).await;
        scene.chat.roll(5).await;
        scene.talks_on(2).await;
        let (outcome, report) = scene.end().await;
        outcome.must_be_clean();
        let all = report.people();
        let once = all - report.moved_more_than(1);
        assert!(once * 100 >= all * 99, "{once} of {all} were moved once at most");
        assert!(report.moved_more_than(0) * 10 >= all * 9, "all were on nodes that went");
    });
}

#[test]
fn browser_users_do_not_notice_a_rolling_update() {
    run_within(PATIENCE, async move |cluster| {
        let chat = Chat::start(&cluster, "page", 3, size().2).await;
        play("rolling.mjs", &[&chat.url(), "3", "all"], async |what, which| match what {
            "replace" => chat.roll(3).await,
            _ => panic!("@{what} {which}?"),
        })
        .await;
    });
}
