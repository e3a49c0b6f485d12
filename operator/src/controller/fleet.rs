//! The nodes of a chat, as their pods, their ReplicaSets and they themselves show them. Pure.

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

/// Where a node is on its way out. Kept in a label of its pod, so that it outlives the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It takes clients. There is no label then.
    Serving,
    /// It keeps its clients and takes no new ones.
    Cordoned,
    /// It hands its clients over.
    Draining,
    /// It has none left.
    Drained,
    /// It had some left when its time was over.
    TimedOut,
}

impl State {
    const LABELLED: [Self; 4] = [Self::Cordoned, Self::Draining, Self::Drained, Self::TimedOut];

    /// The value of the label. `None`: there is none.
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

    /// Whether nothing holds its pod any more.
    #[must_use]
    pub fn drain_ended(self) -> bool {
        matches!(self, Self::Drained | Self::TimedOut)
    }
}

/// What a node reports of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Its live sockets.
    pub sockets: u64,
    /// In the word of its metric `chat_node_state`. `None`: its version does not say.
    pub state: Option<String>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct Node {
    /// The name of its pod.
    pub name: String,
    /// Of which kind of pods it is.
    pub revision: String,
    /// Where it is on its way out.
    pub state: State,
    /// Since when it is there; for a node that serves, since it is there at all.
    pub since: Timestamp,
    /// Whether clients are sent to it.
    pub ready: bool,
    /// When that became so, or ceased to be.
    pub ready_since: Timestamp,
    /// Whether its process runs: without, it has no sockets.
    pub running: bool,
    /// Until when its pod has to have ended, if it is told to.
    pub deletion_deadline: Option<Timestamp>,
    /// Whether nobody is to wait for its drain.
    pub skip_drain: bool,
    /// Whether its pod has a mark that belongs to another state.
    pub stale_state: bool,
    /// What it reports. `None`: it was not asked, or does not answer.
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

    /// Whether it takes clients.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.deletion_deadline.is_none() && self.ready && self.state == State::Serving
    }

    /// How many sockets it may have: of one that does not say, as many as any.
    #[must_use]
    pub fn sockets(&self) -> u64 {
        match &self.report {
            _ if !self.running => 0,
            Some(report) => report.sockets,
            None => u64::MAX,
        }
    }

    /// Whether it reports so of itself.
    #[must_use]
    pub fn reports_state(&self, state: &str) -> bool {
        self.report.as_ref().is_some_and(|report| report.state.as_deref() == Some(state))
    }
}

/// Whether an object reports that nobody is to wait for drains.
#[must_use]
pub fn skips_drain(object: &impl ResourceExt) -> bool {
    object.annotations().get(DRAIN).is_some_and(|value| value == "skip")
}

/// A ReplicaSet: the nodes of one kind of pods.
#[derive(Debug, Clone)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// The kind.
    pub revision: String,
    /// How many pods it is to have.
    pub replicas: usize,
    /// How many it has, as its controller reports.
    pub existing: usize,
    /// Whether its controller has seen how many it is to have.
    pub observed: bool,
    /// When it was made.
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
    /// The nodes, those aside whose pods have ended for good.
    pub nodes: Vec<Node>,
    /// The ReplicaSets.
    pub sets: Vec<Set>,
}

impl Fleet {
    /// As the pods, the ReplicaSets and the nodes' own words show it.
    #[must_use]
    pub fn of(pods: &[Arc<Pod>], sets: &[Arc<ReplicaSet>], reports: &BTreeMap<String, Report>) -> Self {
        // A ReplicaSet has replaced these already.
        let ended = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Failed" | "Succeeded"))
        };
        Self {
            nodes: pods.iter().filter(|pod| !ended(pod)).map(|pod| Node::of(pod, reports)).collect(),
            sets: sets.iter().map(|set| Set::of(set)).collect(),
        }
    }

    /// The kind of pods that came last: where it is not known which is asked for.
    #[must_use]
    pub fn newest(&self) -> Option<&str> {
        self.sets.iter().max_by_key(|set| set.created).map(|set| set.revision.as_str())
    }

    /// The nodes that are not told to end.
    pub fn non_terminating(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.deletion_deadline.is_none())
    }

    /// How many nodes hand clients over now, whoever told them to.
    #[must_use]
    pub fn draining_count(&self, now: Timestamp) -> usize {
        let is_draining = |node: &&Node| match node.deletion_deadline {
            // It was let go because it has none left, and may be past saying so.
            Some(_) if node.state == State::Drained && node.report.as_ref().is_none_or(|it| it.sockets == 0) => false,
            // One whose time is over is on a machine that is lost.
            Some(end) => now < end,
            None => node.state == State::Draining,
        };
        self.nodes.iter().filter(is_draining).filter(|node| node.sockets() > 0).count()
    }
}
