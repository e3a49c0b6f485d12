//! The nodes of a chat, joined from pods, ReplicaSets and the nodes' own reports. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::names::{DRAIN, REVISION, SINCE, STATE};

pub mod autoscale;
pub mod drain_budget;
pub mod plan;

/// State of a node, from serving to drained. Stored in a label of its pod, so that it survives the
/// operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Accepts clients. No label.
    Serving,
    /// Keeps its clients and accepts no new ones.
    Cordoned,
    /// Hands its clients over.
    Draining,
    /// Has no clients left, or its drain was skipped.
    Drained,
    /// Had clients left at its deadline.
    TimedOut,
}

impl State {
    const LABELLED: [Self; 4] = [Self::Cordoned, Self::Draining, Self::Drained, Self::TimedOut];

    /// Value of the label; `None` without a label.
    #[must_use]
    pub fn label(self) -> Option<&'static str> {
        match self {
            Self::Serving => None,
            Self::Cordoned => Some("cordoned"),
            Self::Draining => Some("draining"),
            Self::Drained => Some("drained"),
            Self::TimedOut => Some("timed-out"),
        }
    }

    fn of(pod: &Pod) -> Self {
        let label = pod.labels().get(STATE).map(String::as_str);
        Self::LABELLED.into_iter().find(|state| label.is_some() && state.label() == label).unwrap_or(Self::Serving)
    }

    /// Whether its pod may be deleted.
    #[must_use]
    pub fn drain_ended(self) -> bool {
        matches!(self, Self::Drained | Self::TimedOut)
    }
}

/// What a node reports in its metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Open sockets.
    pub sockets: u64,
    /// State in the metric `chat_node_state`. `None`: the node's version lacks the metric.
    pub state: Option<String>,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name of its pod.
    pub name: String,
    /// Revision of its pod.
    pub revision: String,
    /// State of the drain.
    pub state: State,
    /// When it entered the state; for a serving node without a record, when its pod was created.
    pub since: Timestamp,
    /// Whether its pod is ready, so that clients are sent to it.
    pub ready: bool,
    /// When its readiness last changed.
    pub ready_since: Timestamp,
    /// Whether its process runs. Without a process it has no sockets.
    pub running: bool,
    /// Deadline of a terminating pod.
    pub deletion_deadline: Option<Timestamp>,
    /// Whether its drain is skipped.
    pub skip_drain: bool,
    /// Whether its pod has leftovers of an earlier state.
    pub stale_state: bool,
    /// Its report. `None`: it was not asked, or did not answer.
    pub report: Option<Report>,
}

impl Node {
    fn of(pod: &Pod, reports: &BTreeMap<String, Report>) -> Self {
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
        let created = pod.creation_timestamp().map(|time| time.0).unwrap_or_default();
        let state = State::of(pod);
        let since = pod.annotations().get(SINCE).and_then(|since| since.parse().ok());
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        Self {
            name: pod.name_any(),
            revision: pod.labels().get(REVISION).cloned().unwrap_or_default(),
            state,
            since: since.unwrap_or(created),
            ready: ready.is_some_and(|ready| ready.status == "True"),
            ready_since: ready.and_then(|ready| ready.last_transition_time.as_ref()).map_or(created, |time| time.0),
            running: containers.into_iter().flatten().any(|c| c.state.as_ref().is_some_and(|s| s.running.is_some())),
            deletion_deadline: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
            skip_drain: skips_drain(pod),
            stale_state: state == State::Serving
                && (pod.labels().contains_key(STATE) || pod.annotations().contains_key(SINCE)),
            report: reports.get(&pod.name_any()).cloned(),
        }
    }

    /// Whether it accepts clients.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.deletion_deadline.is_none() && self.ready && self.state == State::Serving
    }

    /// Sockets that it may have: the maximum for a node that does not report.
    #[must_use]
    pub fn sockets(&self) -> u64 {
        match &self.report {
            _ if !self.running => 0,
            Some(report) => report.sockets,
            None => u64::MAX,
        }
    }

    /// Whether it reports this state.
    #[must_use]
    pub fn reports_state(&self, state: &str) -> bool {
        self.report.as_ref().is_some_and(|report| report.state.as_deref() == Some(state))
    }
}

/// Whether an object has the annotation that skips drains.
#[must_use]
pub fn skips_drain(object: &impl ResourceExt) -> bool {
    object.annotations().get(DRAIN).is_some_and(|value| value == "skip")
}

/// A ReplicaSet: the nodes of one revision.
#[derive(Debug, Clone)]
pub struct Set {
    /// Name of the ReplicaSet.
    pub name: String,
    /// Revision of its pods.
    pub revision: String,
    /// Desired number of pods.
    pub replicas: usize,
    /// Number of pods, as its controller reports.
    pub existing: usize,
    /// Whether its controller has observed the desired number.
    pub observed: bool,
    /// When it was created.
    pub created: Timestamp,
}

impl Set {
    fn of(set: &ReplicaSet) -> Self {
        let status = set.status.clone().unwrap_or_default();
        let count = |number: i32| usize::try_from(number).unwrap_or_default();
        Self {
            name: set.name_any(),
            revision: set.labels().get(REVISION).cloned().unwrap_or_default(),
            replicas: count(set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)),
            existing: count(status.replicas),
            observed: status.observed_generation.unwrap_or_default() >= set.metadata.generation.unwrap_or_default(),
            created: set.creation_timestamp().map(|time| time.0).unwrap_or_default(),
        }
    }
}

/// All nodes of a chat.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// All nodes except those whose pods have failed or completed.
    pub nodes: Vec<Node>,
    /// The ReplicaSets.
    pub sets: Vec<Set>,
}

impl Fleet {
    /// Joins pods, ReplicaSets and reports.
    #[must_use]
    pub fn of(pods: &[Arc<Pod>], sets: &[Arc<ReplicaSet>], reports: &BTreeMap<String, Report>) -> Self {
        // Their ReplicaSet has already replaced them.
        let ended = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Failed" | "Succeeded"))
        };
        Self {
            nodes: pods.iter().filter(|pod| !ended(pod)).map(|pod| Node::of(pod, reports)).collect(),
            sets: sets.iter().map(|set| Set::of(set)).collect(),
        }
    }

    /// The newest revision, for when the desired one is unknown.
    #[must_use]
    pub fn newest(&self) -> Option<&str> {
        self.sets.iter().max_by_key(|set| set.created).map(|set| set.revision.as_str())
    }

    /// Nodes whose pods are not being deleted.
    pub fn non_terminating(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.deletion_deadline.is_none())
    }

    /// Number of nodes that hand clients over now, evicted ones included.
    #[must_use]
    pub fn draining_count(&self, now: Timestamp) -> usize {
        let is_draining = |node: &&Node| match node.deletion_deadline {
            // It was removed because it is empty, and may no longer report.
            Some(_) if node.state == State::Drained && node.report.as_ref().is_none_or(|it| it.sockets == 0) => false,
            // A node past its deadline is on a lost machine.
            Some(end) => now < end,
            None => node.state == State::Draining,
        };
        self.nodes.iter().filter(is_draining).filter(|node| node.sockets() > 0).count()
    }
}
