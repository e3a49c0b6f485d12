//! Executes a plan: labels pods, sends commands to nodes, and scales old ReplicaSets down.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::admin::{Admin, AdminError};
use super::error::Error;
use super::fleet::plan::{Command, Plan};
use super::fleet::{State, drain_budget};
use super::names::{DELETION_COST, SINCE, STATE};
use super::writer::Writer;

/// Pod deletion cost of draining pods: their ReplicaSet deletes them first.
const DRAINING_COST: &str = "-1000000";

/// Executes the plan of one ChatCluster.
pub(super) struct PlanExecutor<'a> {
    pub(super) writer: &'a Writer<'a>,
    pub(super) admin: &'a Admin<'a>,
    /// Pods of the nodes, as the plan saw them.
    pub(super) pods: &'a [Arc<Pod>],
    /// ReplicaSets of the nodes, as the plan saw them.
    pub(super) sets: &'a [Arc<ReplicaSet>],
    /// The reconnect budget.
    pub(super) max_reconnects_per_second: u32,
}

impl PlanExecutor<'_> {
    /// Executes the plan in an order that is safe to interrupt anywhere: a pod is labelled before
    /// its node gets the command, and the other way round when it becomes serving again.
    ///
    /// # Errors
    /// The API server rejected a write. A node that does not answer is not an error; the next
    /// reconciliation tries again.
    pub(super) async fn execute(&self, plan: &Plan, now: Timestamp) -> Result<(), Error> {
        let mut not_patched = BTreeSet::new();
        for (name, state) in &plan.states {
            let Some(pod) = self.pods.iter().find(|pod| pod.name_any() == *name) else { continue };
            if *state == State::Serving && !self.command(pod, "/uncordon").await {
                continue;
            }
            if !self.writer.patch(&**pod, state_patch(pod, *state, now)).await? {
                not_patched.insert(name);
            }
        }
        let cordons = plan.commands.iter().filter(|(_, command)| *command == Command::Cordon).count();
        let pace = drain_budget::cordon_pace(self.max_reconnects_per_second, cordons);
        let mut commands = Vec::new();
        for (name, command) in plan.commands.iter().filter(|(name, _)| !not_patched.contains(name)) {
            let Some(pod) = self.pods.iter().find(|pod| pod.name_any() == *name) else { continue };
            let path = match command {
                Command::Cordon => format!("/cordon?connectionsPerSecond={pace}"),
                Command::Drain => "/drain".to_owned(),
            };
            commands.push(async move { self.command(pod, &path).await });
        }
        futures_util::future::join_all(commands).await;
        for (name, replicas) in &plan.resize {
            if let Some(set) = self.sets.iter().find(|set| set.name_any() == *name) {
                self.writer.patch(&**set, json!({"spec": {"replicas": replicas}})).await?;
            }
        }
        for set in self.sets.iter().filter(|set| plan.delete.contains(&set.name_any())) {
            self.writer.delete(&**set).await?;
        }
        Ok(())
    }

    async fn command(&self, pod: &Pod, path: &str) -> bool {
        match self.admin.post(pod, path).await {
            Ok(()) => true,
            // An earlier version without this command, which was never cordoned.
            Err(AdminError::Status(reqwest::StatusCode::NOT_FOUND)) => true,
            Err(error) => {
                tracing::debug!(pod = pod.name_any(), path, %error, "the node did not accept the command; retrying");
                false
            }
        }
    }
}

/// The patch that sets the state of a pod. The deletion cost is set once, long before the
/// ReplicaSet is scaled down.
fn state_patch(pod: &Pod, state: State, now: Timestamp) -> Value {
    let drains = matches!(state, State::Draining | State::Drained | State::TimedOut);
    let cost = if drains {
        json!(DRAINING_COST)
    } else {
        // A cost that somebody else set stays.
        let other = pod.annotations().get(DELETION_COST).filter(|cost| *cost != DRAINING_COST);
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
    fn state_labels_and_annotations_are_set_and_removed_together() {
        let pod = Pod::default();
        let drained = state_patch(&pod, State::Draining, Timestamp::UNIX_EPOCH);
        let annotations = json!({SINCE: "1970-01-01T00:00:00Z", DELETION_COST: DRAINING_COST});
        assert_eq!(drained, json!({"metadata": {"labels": {STATE: "draining"}, "annotations": annotations}}));
        let serving = state_patch(&pod, State::Serving, Timestamp::UNIX_EPOCH);
        let nothing = json!({SINCE: null, DELETION_COST: null});
        assert_eq!(serving, json!({"metadata": {"labels": {STATE: null}, "annotations": nothing}}));
    }

    #[test]
    fn a_foreign_deletion_cost_is_kept() {
        let mut pod = Pod::default();
        pod.annotations_mut().insert(DELETION_COST.into(), "7".into());
        let serving = state_patch(&pod, State::Serving, Timestamp::UNIX_EPOCH);
        assert_eq!(serving["metadata"]["annotations"][DELETION_COST], "7");
    }
}
