use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::spec::ChatCluster;
use crate::controller::fleet::{Node, Report, State};

fn spec(autoscaling: Value) -> ChatClusterSpec {
    let cluster: ChatCluster = serde_json::from_value(json!({
        "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster", "metadata": {"name": "chat"},
        "spec": {"replicas": 2, "redis": {"managed": {}}, "autoscaling": autoscaling},
    }))
    .unwrap();
    cluster.spec
}

/// 100 sockets per node, two to ten nodes, a window of one minute.
fn by_sockets() -> ChatClusterSpec {
    let down = json!({"stabilizationSeconds": 60});
    spec(json!({"minReplicas": 2, "maxReplicas": 10, "targetConnectionsPerPod": 100, "scaleDown": down}))
}

/// Nodes with these sockets; `None` does not report.
fn fleet(sockets: &[Option<u64>]) -> Fleet {
    let node = |(number, sockets): (usize, &Option<u64>)| Node {
        name: format!("chat-{number}"),
        revision: "r".into(),
        state: State::Serving,
        since: Timestamp::UNIX_EPOCH,
        ready: true,
        ready_since: Timestamp::UNIX_EPOCH,
        running: true,
        deletion_deadline: None,
        skip_drain: false,
        stale_state: false,
        report: sockets.map(|sockets| Report { sockets, state: None }),
    };
    Fleet { nodes: sockets.iter().enumerate().map(node).collect(), sets: Vec::new() }
}

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 + second).unwrap())
}

fn remembered(replicas: i32) -> Option<ByConnections> {
    Some(ByConnections { replicas, fewer: None })
}

#[test]
fn without_autoscaling_the_spec_sets_the_number() {
    let size =
        desired_replicas(&ChatClusterSpec { autoscaling: None, ..by_sockets() }, None, &fleet(&[]), false, &at(0));
    assert_eq!((size.replicas, size.by_connections, size.limit.0), (2, None, Reason::NotAutoscaled));
}

#[test]
fn more_sockets_scale_up_at_once() {
    let size = desired_replicas(&by_sockets(), remembered(2).as_ref(), &fleet(&[Some(150), Some(151)]), false, &at(0));
    assert_eq!((size.replicas, size.limit.0), (4, Reason::WithinLimits));
}

#[test]
fn spec_replicas_above_the_required_number_apply() {
    let spec = ChatClusterSpec { replicas: 7, ..by_sockets() };
    assert_eq!(desired_replicas(&spec, remembered(2).as_ref(), &fleet(&[Some(1)]), false, &at(0)).replicas, 7);
}

#[test]
fn the_number_stays_within_the_limits() {
    let spec = by_sockets();
    let many = desired_replicas(&spec, remembered(2).as_ref(), &fleet(&[Some(5_000)]), false, &at(0));
    assert_eq!((many.replicas, many.limit.0), (10, Reason::AtMaxReplicas));
    let few = desired_replicas(
        &ChatClusterSpec { replicas: 0, ..spec },
        remembered(2).as_ref(),
        &fleet(&[Some(1)]),
        false,
        &at(0),
    );
    assert_eq!(few.replicas, 2);
    let cpu = spec_of_cpu();
    let low = desired_replicas(&ChatClusterSpec { replicas: 1, ..cpu }, None, &fleet(&[]), false, &at(0));
    assert_eq!((low.replicas, low.limit.0), (3, Reason::AtMinReplicas));
}

fn spec_of_cpu() -> ChatClusterSpec {
    spec(json!({"minReplicas": 3, "maxReplicas": 9, "targetCPUUtilizationPercentage": 50}))
}

#[test]
fn scale_down_waits_for_the_stabilization_window_across_restarts() {
    let spec = by_sockets();
    let quiet = fleet(&[Some(100), Some(100)]);
    let first = desired_replicas(&spec, remembered(8).as_ref(), &quiet, false, &at(0));
    assert_eq!((first.replicas, first.limit.0), (8, Reason::Stabilizing));
    // All state is in the status, so another replica can continue.
    let peak = desired_replicas(&spec, first.by_connections.as_ref(), &fleet(&[Some(400)]), false, &at(30));
    assert_eq!(peak.replicas, 8);
    let last = desired_replicas(&spec, peak.by_connections.as_ref(), &quiet, false, &at(60));
    assert_eq!(last.replicas, 5, "as many as were needed in that time, with a tenth to spare");
    assert_eq!(last.by_connections.unwrap().fewer, Some(Fewer { replicas: 3, since: at(60) }));
}

#[test]
fn a_returning_load_restarts_the_stabilization_window() {
    let spec = by_sockets();
    let first = desired_replicas(&spec, remembered(4).as_ref(), &fleet(&[Some(100)]), false, &at(0));
    let back = desired_replicas(&spec, first.by_connections.as_ref(), &fleet(&[Some(399)]), false, &at(50));
    assert_eq!(back.by_connections, remembered(4));
    let again = desired_replicas(&spec, back.by_connections.as_ref(), &fleet(&[Some(100)]), false, &at(61));
    assert_eq!(again.replicas, 4);
}

#[test]
fn a_load_at_the_threshold_does_not_scale_down() {
    let border = desired_replicas(&by_sockets(), remembered(4).as_ref(), &fleet(&[Some(295)]), false, &at(0));
    assert_eq!(border.by_connections, remembered(4), "three would bear it, with nothing to spare");
}

#[test]
fn a_node_without_a_report_blocks_scale_down_but_not_scale_up() {
    let spec = by_sockets();
    let silent = desired_replicas(&spec, remembered(5).as_ref(), &fleet(&[Some(10), None]), false, &at(0));
    assert_eq!((silent.replicas, silent.limit.0), (5, Reason::MetricsMissing));
    assert_eq!(silent.by_connections, remembered(5));
    let more = desired_replicas(&spec, remembered(2).as_ref(), &fleet(&[Some(350), None]), false, &at(0));
    assert_eq!(more.replicas, 4);
}

#[test]
fn a_rollout_blocks_scale_down() {
    let spec = by_sockets();
    let begun = desired_replicas(&spec, remembered(5).as_ref(), &fleet(&[Some(10)]), false, &at(0));
    let rolling = desired_replicas(&spec, begun.by_connections.as_ref(), &fleet(&[Some(10)]), true, &at(500));
    assert_eq!((rolling.replicas, rolling.limit.0), (5, Reason::RolloutInProgress));
}

#[test]
fn autoscaling_starts_from_the_running_nodes() {
    let size = desired_replicas(&by_sockets(), None, &fleet(&[Some(1), Some(1), Some(1), Some(1)]), false, &at(0));
    assert_eq!(size.replicas, 4);
}
