//! Carries a plan out: marks the pods, tells the nodes, makes former ReplicaSets smaller.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::admin::{Admin, Refusal};
use super::apply::Writer;
use super::error::Error;
use super::fleet::State;
use super::fleet::plan::{Command, Plan};
use super::names::{DELETION_COST, SINCE, STATE};

/// What makes a pod the first of its ReplicaSet to go.
const FIRST_TO_GO: &str = "-1000000";

/// What a plan is carried out with.
pub(super) struct Carrier<'a> {
    /// Who writes.
    pub(super) writer: &'a Writer<'a>,
    /// The nodes.
    pub(super) admin: &'a Admin<'a>,
    /// Their pods, as the plan saw them.
    pub(super) pods: &'a [Arc<Pod>],
    /// Their ReplicaSets, as the plan saw them.
    pub(super) sets: &'a [Arc<ReplicaSet>],
    /// How many clients a second all nodes together hand over.
    pub(super) reconnects_per_second: u32,
}

impl Carrier<'_> {
    /// Does it, in an order in which it may end anywhere: a pod is marked before its node is told, and the other way
    /// round where it takes clients again.
    ///
    /// # Errors
    /// The API server did not take something. A node that does not answer is no error: it is told again.
    pub(super) async fn carry_out(&self, plan: &Plan, now: Timestamp) -> Result<(), Error> {
        let mut unmarked = BTreeSet::new();
        for (name, state) in &plan.marks {
            let Some(pod) = self.pods.iter().find(|pod| pod.name_any() == *name) else { continue };
            if *state == State::Serving && !self.tell(pod, "/uncordon").await {
                continue;
            }
            if !self.writer.change(&**pod, mark(pod, *state, now)).await? {
                unmarked.insert(name);
            }
        }
        let cordons = plan.commands.iter().filter(|(_, command)| *command == Command::Cordon).count();
        // Those of the polling sessions, that can't outlive a cordon, count too.
        let pace = self.reconnects_per_second / u32::try_from(cordons.max(1)).unwrap_or(u32::MAX);
        let mut told = Vec::new();
        for (name, command) in plan.commands.iter().filter(|(name, _)| !unmarked.contains(name)) {
            let Some(pod) = self.pods.iter().find(|pod| pod.name_any() == *name) else { continue };
            let path = match command {
                Command::Cordon => format!("/cordon?connectionsPerSecond={}", pace.max(1)),
                Command::Drain => "/drain".to_owned(),
            };
            told.push(async move { self.tell(pod, &path).await });
        }
        futures_util::future::join_all(told).await;
        for (name, replicas) in &plan.former {
            if let Some(set) = self.sets.iter().find(|set| set.name_any() == *name) {
                self.writer.change(&**set, json!({"spec": {"replicas": replicas}})).await?;
            }
        }
        for set in self.sets.iter().filter(|set| plan.empty.contains(&set.name_any())) {
            self.writer.remove(&**set).await?;
        }
        Ok(())
    }

    async fn tell(&self, pod: &Pod, path: &str) -> bool {
        match self.admin.tell(pod, path).await {
            Ok(()) => true,
            // An earlier version, which never was cordoned.
            Err(Refusal::Status(reqwest::StatusCode::NOT_FOUND)) => true,
            Err(error) => {
                tracing::debug!(pod = pod.name_any(), path, %error, "the node was not told; it is told again");
                false
            }
        }
    }
}

/// What marks a pod with a state. The cost is written once, long before its ReplicaSet is made smaller.
fn mark(pod: &Pod, state: State, now: Timestamp) -> Value {
    let leaves = matches!(state, State::Draining | State::Drained | State::TimedOut);
    let cost = if leaves {
        json!(FIRST_TO_GO)
    } else {
        // Somebody else's stays.
        let other = pod.annotations().get(DELETION_COST).filter(|cost| *cost != FIRST_TO_GO);
        json!(other)
    };
    json!({"metadata": {
        "labels": {STATE: state.label()},
        "annotations": {SINCE: state.label().map(|_| now.to_string()), DELETION_COST: cost},
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_together_and_go_together() {
        let pod = Pod::default();
        let drained = mark(&pod, State::Draining, Timestamp::UNIX_EPOCH);
        let annotations = json!({SINCE: "1970-01-01T00:00:00Z", DELETION_COST: FIRST_TO_GO});
        assert_eq!(drained, json!({"metadata": {"labels": {STATE: "draining"}, "annotations": annotations}}));
        let serving = mark(&pod, State::Serving, Timestamp::UNIX_EPOCH);
        let nothing = json!({SINCE: null, DELETION_COST: null});
        assert_eq!(serving, json!({"metadata": {"labels": {STATE: null}, "annotations": nothing}}));
    }

    #[test]
    fn a_cost_of_somebody_else_stays() {
        let mut pod = Pod::default();
        pod.annotations_mut().insert(DELETION_COST.into(), "7".into());
        let serving = mark(&pod, State::Serving, Timestamp::UNIX_EPOCH);
        assert_eq!(serving["metadata"]["annotations"][DELETION_COST], "7");
    }
}
