use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::prometheus::InstalledKinds;
use crate::api::spec::ChatCluster;
use crate::controller::fleet::autoscale::DesiredReplicas;
use crate::controller::fleet::{Fleet, Node, State};

/// What a reconciliation observed.
struct Found {
    cluster: ChatCluster,
    fleet: Fleet,
    pods: Vec<Arc<Pod>>,
    node_messages: Vec<String>,
    previous: ChatClusterStatus,
}

impl Found {
    fn with(spec: Value, fleet: Fleet) -> Self {
        let cluster = json!({
            "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster",
            "metadata": {"name": "chat", "namespace": "here", "uid": "u", "generation": 3}, "spec": spec,
        });
        Self {
            cluster: serde_json::from_value(cluster).unwrap(),
            fleet,
            pods: Vec::new(),
            node_messages: Vec::new(),
            previous: ChatClusterStatus::default(),
        }
    }

    fn pod(mut self, status: Value) -> Self {
        let pod =
            json!({"metadata": {"name": "chat-x", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status});
        self.pods.push(Arc::new(serde_json::from_value(pod).unwrap()));
        self
    }

    fn assess(&self, second: i64) -> ChatClusterStatus {
        let labels = json!({"labels": {"app.kubernetes.io/version": "0.1.0"}});
        let set: ReplicaSet = serde_json::from_value(json!({"metadata": labels})).unwrap();
        assess(&Observed {
            cluster: &self.cluster,
            previous: &self.previous,
            fleet: &self.fleet,
            revision: "new",
            desired: &DesiredReplicas::from_spec(&self.cluster.spec, None),
            replica_set: Some(&set),
            stateful_set: None,
            service: None,
            ingress: None,
            node_pods: &self.pods,
            redis_pods: &[],
            node_messages: &self.node_messages,
            spec_error: None,
            apply_error: None,
            storage_class_exists: true,
            certificate_exists: true,
            installed: InstalledKinds::default(),
            now: Time(Timestamp::from_second(1_800_000_000 + second).unwrap()),
        })
    }
}

fn external() -> Value {
    json!({"replicas": 2, "redis": {"external": {"endpoints": ["r:1"]}}})
}

/// Two nodes, of which `ready` accept clients and `updated` have the desired revision.
fn nodes(ready: usize, updated: usize) -> Fleet {
    let node = |number: usize| Node {
        name: format!("chat-{number}"),
        revision: if number < updated { "new" } else { "old" }.into(),
        state: State::Serving,
        since: Timestamp::from_second(1_800_000_000).unwrap(),
        ready: number < ready,
        ready_since: Timestamp::from_second(1_800_000_000).unwrap(),
        running: true,
        deletion_deadline: None,
        skip_drain: false,
        stale_state: false,
        report: None,
    };
    Fleet { nodes: (0..2).map(node).collect(), sets: Vec::new() }
}

fn condition_of(status: &ChatClusterStatus, type_: ConditionType) -> (&str, &str) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_.as_str()).unwrap();
    (&condition.status, &condition.reason)
}

#[test]
fn a_chat_with_ready_nodes_is_available_and_reports_its_version() {
    let status = Found::with(external(), nodes(2, 2)).assess(0);
    assert_eq!(condition_of(&status, ConditionType::Available), ("True", "NodesReady"));
    assert_eq!(condition_of(&status, ConditionType::Progressing), ("False", "RolloutComplete"));
    assert_eq!(condition_of(&status, ConditionType::RedisReady), ("True", "RedisAnswers"));
    assert_eq!(status.version.as_deref(), Some("0.1.0"));
    assert_eq!((status.observed_generation, status.replicas, status.ready_replicas), (Some(3), 2, 2));
}

#[test]
fn during_a_rollout_the_previous_version_is_reported() {
    let mut found = Found::with(external(), nodes(2, 1));
    found.previous.version = Some("0.0.9".to_owned());
    let status = found.assess(0);
    assert_eq!(condition_of(&status, ConditionType::Progressing), ("True", "RollingOut"));
    assert_eq!(status.version.as_deref(), Some("0.0.9"));
}

#[test]
fn a_redis_problem_that_nodes_report_makes_the_chat_unavailable() {
    for (message, reason) in [
        (
            "waiting for the broker: the store is unavailable: Redis refuses the user or the password\n",
            "RedisAuthenticationFailed",
        ),
        ("waiting for the broker: the store is unavailable: Redis can't be reached\n", "RedisUnreachable"),
        ("ok, but a shard of the Redis Cluster can't be reached\n", "RedisUnreachable"),
        ("ok, but Redis shows a certificate that can't be trusted\n", "RedisTlsFailed"),
        ("waiting for the broker: the user of Redis may not do all that is needed: xadd; …\n", "RedisRightsMissing"),
        ("waiting for the broker: Redis throws messages away when it is full (…): …\n", "RedisEvicts"),
        ("ok, but Redis takes no writes: its memory is full (OOM)\n", "RedisRefuses"),
        ("ok, but Redis runs a script that does not end (BUSY)\n", "RedisRefuses"),
        ("waiting for the broker: Redis can't keep messages as --durability asks for: …\n", "RedisNotDurable"),
    ] {
        let mut found = Found::with(external(), nodes(0, 2));
        found.node_messages = vec![message.to_owned()];
        let status = found.assess(0);
        assert_eq!(condition_of(&status, ConditionType::RedisReady), ("False", reason));
        assert_eq!(condition_of(&status, ConditionType::Available), ("False", reason));
        let warnings: Vec<_> =
            transitions(&found.previous, &status).into_iter().filter(|transition| transition.bad).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].reason, reason);
    }
}

#[test]
fn a_redis_problem_in_the_log_of_a_crashed_node_is_reported() {
    let message = "chat-server: Redis can't keep messages as --durability asks for: set appendonly to yes\n";
    let ended = json!({"terminated": {"exitCode": 1, "message": message, "finishedAt": "2027-01-15T07:59:00Z"}});
    let container = json!({
        "name": "chat-server", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended,
    });
    let status = Found::with(external(), nodes(0, 2)).pod(json!({"containerStatuses": [container]})).assess(0);
    assert_eq!(condition_of(&status, ConditionType::RedisReady), ("False", "RedisNotDurable"));
    let published = status.conditions.iter().find(|condition| condition.type_ == "RedisReady").unwrap();
    assert_eq!(published.message, "Redis can't keep messages as --durability asks for: set appendonly to yes");
    assert_eq!(condition_of(&status, ConditionType::Degraded), ("True", "ContainerCrashing"));
}

#[test]
fn a_crash_loop_is_reported_between_crashes_too() {
    let ended =
        json!({"terminated": {"exitCode": 2, "message": "no such option\n", "finishedAt": "2027-01-15T07:59:00Z"}});
    for state in [json!({"waiting": {"reason": "CrashLoopBackOff"}}), json!({"running": {}}), ended.clone()] {
        let container = json!({
            "name": "chat-server", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
            "state": state, "lastState": ended,
        });
        let status = Found::with(external(), nodes(0, 2)).pod(json!({"containerStatuses": [container]})).assess(0);
        assert_eq!(condition_of(&status, ConditionType::Degraded), ("True", "ContainerCrashing"));
        assert_eq!(condition_of(&status, ConditionType::Available), ("False", "ContainerCrashing"));
        let message = &status.conditions[0].message;
        assert_eq!(message, "pod chat-x: container chat-server exited with code 2: no such option");
    }
}

#[test]
fn a_node_that_fails_after_the_rollout_is_missing() {
    let mut found = Found::with(external(), nodes(1, 2));
    found.previous.revision = Some("new".into());
    let status = found.assess(0);
    assert_eq!(condition_of(&status, ConditionType::Degraded), ("True", "NodesMissing"));
    assert_eq!(condition_of(&status, ConditionType::Progressing), ("False", "RolloutComplete"));
    assert_eq!(condition_of(&status, ConditionType::Available), ("True", "NodesReady"));
}

#[test]
fn a_rollout_stalls_after_ten_minutes_without_progress_unless_a_node_drains() {
    let mut found = Found::with(external(), nodes(0, 2));
    assert_eq!(condition_of(&found.assess(600), ConditionType::Progressing), ("True", "RollingOut"));
    assert_eq!(condition_of(&found.assess(601), ConditionType::Progressing), ("False", "RolloutStalled"));
    found.fleet.nodes[0].state = State::Draining;
    assert_eq!(condition_of(&found.assess(601), ConditionType::Progressing), ("True", "RollingOut"));
}

#[test]
fn draining_nodes_are_not_counted_and_a_timed_out_drain_is_reported() {
    let mut found = Found::with(external(), nodes(2, 2));
    found.previous = found.assess(0);
    found.fleet.nodes[0].state = State::TimedOut;
    let status = found.assess(1);
    assert_eq!((status.replicas, status.ready_replicas), (1, 1));
    assert_eq!(condition_of(&status, ConditionType::DrainStalled), ("True", "DrainTimedOut"));
    let published: Vec<_> = transitions(&found.previous, &status)
        .into_iter()
        .map(|transition| (transition.bad, transition.reason))
        .collect();
    assert_eq!(published, [(true, "DrainTimedOut".to_owned())]);
}

#[test]
fn the_same_observation_gives_the_same_status_at_any_time() {
    let mut found = Found::with(external(), nodes(2, 2));
    found.previous = found.assess(0);
    assert_eq!(found.assess(60), found.previous);
    assert_eq!(transitions(&found.previous, &found.assess(60)), []);
}

#[test]
fn each_transition_is_published_once() {
    let mut found = Found::with(external(), nodes(0, 2));
    found.previous = found.assess(0);
    found.fleet = nodes(2, 2);
    let well = found.assess(1);
    let published: Vec<_> =
        transitions(&found.previous, &well).into_iter().map(|transition| (transition.bad, transition.reason)).collect();
    assert_eq!(published, [(false, "NodesReady".to_owned())]);
    found.previous = well;
    found.fleet = nodes(1, 2);
    assert_eq!(transitions(&found.previous, &found.assess(2)), [], "one of two nodes is no reason to warn");
}
