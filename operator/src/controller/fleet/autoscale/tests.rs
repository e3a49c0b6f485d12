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

/// By sockets: a hundred a node, from two to ten nodes, and fewer after a minute.
fn by_sockets() -> ChatClusterSpec {
    let down = json!({"stabilizationSeconds": 60});
    spec(json!({"minReplicas": 2, "maxReplicas": 10, "targetConnectionsPerPod": 100, "scaleDown": down}))
}

/// Nodes that have so many sockets, or don't say.
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
fn without_autoscaling_the_spec_says_it() {
    let size =
        desired_replicas(&ChatClusterSpec { autoscaling: None, ..by_sockets() }, None, &fleet(&[]), false, &at(0));
    assert_eq!((size.replicas, size.by_connections, size.limit.0), (2, None, Reason::NotAutoscaled));
}

#[test]
fn more_sockets_ask_for_more_nodes_at_once() {
    let size = desired_replicas(&by_sockets(), remembered(2).as_ref(), &fleet(&[Some(150), Some(151)]), false, &at(0));
    assert_eq!((size.replicas, size.limit.0), (4, Reason::WithinLimits));
}

#[test]
fn a_request_above_what_the_sockets_need_is_kept() {
    let spec = ChatClusterSpec { replicas: 7, ..by_sockets() };
    assert_eq!(desired_replicas(&spec, remembered(2).as_ref(), &fleet(&[Some(1)]), false, &at(0)).replicas, 7);
}

#[test]
fn no_more_than_the_maximum_and_no_fewer_than_the_minimum() {
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
fn fewer_only_after_they_were_enough_for_long_whoever_looks() {
    let spec = by_sockets();
    let quiet = fleet(&[Some(100), Some(100)]);
    let first = desired_replicas(&spec, remembered(8).as_ref(), &quiet, false, &at(0));
    assert_eq!((first.replicas, first.limit.0), (8, Reason::Stabilizing));
    // All that the next look knows is in the status: another operator may take it.
    let peak = desired_replicas(&spec, first.by_connections.as_ref(), &fleet(&[Some(400)]), false, &at(30));
    assert_eq!(peak.replicas, 8);
    let last = desired_replicas(&spec, peak.by_connections.as_ref(), &quiet, false, &at(60));
    assert_eq!(last.replicas, 5, "as many as were needed in that time, with a tenth to spare");
    assert_eq!(last.by_connections.unwrap().fewer, Some(Fewer { replicas: 3, since: at(60) }));
}

#[test]
fn a_load_that_comes_back_begins_the_wait_anew() {
    let spec = by_sockets();
    let first = desired_replicas(&spec, remembered(4).as_ref(), &fleet(&[Some(100)]), false, &at(0));
    let back = desired_replicas(&spec, first.by_connections.as_ref(), &fleet(&[Some(399)]), false, &at(50));
    assert_eq!(back.by_connections, remembered(4));
    let again = desired_replicas(&spec, back.by_connections.as_ref(), &fleet(&[Some(100)]), false, &at(61));
    assert_eq!(again.replicas, 4);
}

#[test]
fn a_load_on_the_border_is_no_reason_to_move() {
    let border = desired_replicas(&by_sockets(), remembered(4).as_ref(), &fleet(&[Some(295)]), false, &at(0));
    assert_eq!(border.by_connections, remembered(4), "three would bear it, with nothing to spare");
}

#[test]
fn a_node_that_does_not_say_holds_all_and_still_lets_more_come() {
    let spec = by_sockets();
    let silent = desired_replicas(&spec, remembered(5).as_ref(), &fleet(&[Some(10), None]), false, &at(0));
    assert_eq!((silent.replicas, silent.limit.0), (5, Reason::MetricsMissing));
    assert_eq!(silent.by_connections, remembered(5));
    let more = desired_replicas(&spec, remembered(2).as_ref(), &fleet(&[Some(350), None]), false, &at(0));
    assert_eq!(more.replicas, 4);
}

#[test]
fn during_a_rollout_none_is_taken_away() {
    let spec = by_sockets();
    let begun = desired_replicas(&spec, remembered(5).as_ref(), &fleet(&[Some(10)]), false, &at(0));
    let rolling = desired_replicas(&spec, begun.by_connections.as_ref(), &fleet(&[Some(10)]), true, &at(500));
    assert_eq!((rolling.replicas, rolling.limit.0), (5, Reason::RolloutInProgress));
}

#[test]
fn what_is_switched_on_begins_with_what_there_is() {
    let size = desired_replicas(&by_sockets(), None, &fleet(&[Some(1), Some(1), Some(1), Some(1)]), false, &at(0));
    assert_eq!(size.replicas, 4);
}
