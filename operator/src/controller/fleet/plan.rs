//! Plans which nodes are created, drained and removed next. Pure, and a function of the observed
//! state only: after a crash of the operator, the next reconciliation reaches the same end.
//!
//! In a rollout, new nodes come first. Once they are ready, all old nodes are cordoned, so that
//! clients that leave one reach a new one. Only then are they drained, as many at a time as the
//! reconnect budget allows. Surplus nodes are drained without a cordon. A ReplicaSet is scaled down
//! only by drained nodes, whose pods it deletes first.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::drain_budget::{DrainBudget, PodStates};
use super::{Fleet, Node, Set, State};

/// How long a node may take until it is cordoned and has no polling clients. A version without
/// cordons is drained after that.
const CORDON_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
/// Margin of a drain beyond its time-out, for a node's last requests and the interval of
/// reconciliations.
const DRAIN_MARGIN: SignedDuration = SignedDuration::from_secs(15);

/// The desired state.
#[derive(Debug, Clone)]
pub struct DesiredFleet {
    /// Revision of the pods.
    pub revision: String,
    /// Number of nodes.
    pub replicas: usize,
    /// Pods above that number during a rollout.
    pub max_surge: usize,
    /// Nodes that may drain at a time.
    pub concurrent_drains: usize,
    /// Deadline of a drain.
    pub drain_timeout: SignedDuration,
    /// Whether drains are skipped.
    pub skip_drains: bool,
    /// Whether two nodes must never coexist, because each would be a chat of its own.
    pub single_node: bool,
}

/// A command to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Accept no new clients.
    Cordon,
    /// Hand all clients over.
    Drain,
}

/// What to do in this reconciliation. The next one continues when the effects show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Pods of the ReplicaSet of the desired revision.
    pub replicas: usize,
    /// Other ReplicaSets whose number of pods changes.
    pub resize: Vec<(String, usize)>,
    /// Other ReplicaSets to delete.
    pub delete: Vec<String>,
    /// Pods whose state changes.
    pub states: BTreeMap<String, State>,
    /// Commands to nodes, after their pods have the new state.
    pub commands: Vec<(String, Command)>,
    /// Whether a rollout or drain is in progress. Its progress is not watched.
    pub in_progress: bool,
}

/// Plans the next steps.
#[must_use]
pub fn plan(fleet: &Fleet, desired: &DesiredFleet, now: Timestamp) -> Plan {
    let (current, old): (Vec<&Node>, Vec<&Node>) =
        fleet.non_terminating().partition(|node| node.revision == desired.revision);
    let mut states = PodStates::default();
    let replicas = if desired.single_node {
        let others = fleet.nodes.iter().any(|node| node.revision != desired.revision);
        if others { 0 } else { desired.replicas }
    } else {
        let target = surge_target(desired, &current, &old);
        uncordon(&current, &mut states);
        complete_drains(fleet, desired, now, &mut states);
        let free = desired.concurrent_drains.saturating_sub(fleet.draining_count(now));
        let mut budget = DrainBudget::new(free, closing(fleet, &states), states);
        if old.is_empty() {
            scale_down(desired, &current, &mut budget);
        } else {
            roll_out(desired, target, &current, &old, now, &mut budget);
        }
        states = budget.into_states();
        replicas_of(fleet.sets.iter().find(|set| set.revision == desired.revision), target, &current, &states)
    };
    let serving = current.iter().filter(|node| node.state == State::Serving).count();
    let in_progress = !old.is_empty() || !states.is_empty() || serving > desired.replicas;
    let mut plan = Plan { replicas, in_progress, ..Plan::default() };
    for set in fleet.sets.iter().filter(|set| set.revision != desired.revision) {
        let nodes: Vec<&Node> = old.iter().copied().filter(|node| node.revision == set.revision).collect();
        let replicas = if desired.single_node { 0 } else { replicas_of(Some(set), 0, &nodes, &states) };
        let is_empty = || fleet.nodes.iter().all(|node| node.revision != set.revision);
        if replicas != set.replicas {
            plan.resize.push((set.name.clone(), replicas));
        } else if replicas == 0 && set.observed && set.existing == 0 && is_empty() {
            plan.delete.push(set.name.clone());
        }
    }
    for node in fleet.non_terminating() {
        let state = states.of(node);
        plan.in_progress |= state != State::Serving;
        plan.commands.extend(command(node, state).map(|command| (node.name.clone(), command)));
    }
    plan.states = states.into_map();
    plan
}

/// Number of nodes of the desired revision that there may be now.
fn surge_target(desired: &DesiredFleet, current: &[&Node], old: &[&Node]) -> usize {
    let left = old.iter().filter(|node| !node.state.drain_ended()).count();
    if left == 0 {
        return desired.replicas;
    }
    let room = (desired.replicas + desired.max_surge).saturating_sub(left).max(1);
    // A new node that already serves stays until the old ones are gone.
    let serving = current.iter().filter(|node| node.state == State::Serving).count();
    desired.replicas.min(room).max(serving)
}

/// Nodes of the desired revision become serving again, and leftovers of earlier states are removed.
fn uncordon(current: &[&Node], states: &mut PodStates) {
    for node in current {
        let stray = node.stale_state || node.reports_state("cordoned");
        if node.state == State::Cordoned || (node.state == State::Serving && stray) {
            states.set(node, State::Serving);
        }
    }
}

/// Marks drained nodes, and nodes past their deadline.
fn complete_drains(fleet: &Fleet, desired: &DesiredFleet, now: Timestamp, states: &mut PodStates) {
    for node in fleet.non_terminating() {
        let told = matches!(node.state, State::Serving | State::Cordoned) && node.reports_state("draining");
        // Its process started after it was marked as drained.
        let back = node.state == State::Drained && node.reports_state("serving");
        // A drain cannot be undone, whoever started it.
        if told || back {
            states.set(node, State::Draining);
        }
    }
    for node in fleet.non_terminating().filter(|node| node.state == State::Draining) {
        // Having no sockets counts only once the node accepts none. While it is ready, its
        // ReplicaSet would rather delete an unready pod.
        let told = !node.running
            || node.reports_state("draining")
            || node.report.as_ref().is_some_and(|it| it.state.is_none());
        if (node.sockets() == 0 && told && !node.ready) || desired.skip_drains || node.skip_drain {
            states.set(node, State::Drained);
        } else if now.duration_since(node.since) > desired.drain_timeout + DRAIN_MARGIN {
            states.set(node, State::TimedOut);
        }
    }
}

/// Revisions whose pods are about to be deleted: their ReplicaSet has been scaled down or will be.
fn closing(fleet: &Fleet, states: &PodStates) -> BTreeSet<String> {
    let drained = fleet.non_terminating().filter(|node| states.of(node).drain_ended()).map(|node| &node.revision);
    let count = |set: &Set| fleet.non_terminating().filter(|node| node.revision == set.revision).count();
    let smaller = fleet.sets.iter().filter(|set| set.replicas < count(set).max(set.existing)).map(|set| &set.revision);
    drained.chain(smaller).cloned().collect()
}

/// Drains surplus nodes: unready ones first, then those with the fewest sockets.
fn scale_down(desired: &DesiredFleet, current: &[&Node], budget: &mut DrainBudget) {
    let mut serving: Vec<&Node> =
        current.iter().copied().filter(|node| budget.states().of(node) == State::Serving).collect();
    let excess = serving.len().saturating_sub(desired.replicas);
    serving.sort_by_key(|node| (node.ready, node.sockets(), node.name.clone()));
    for node in serving.into_iter().take(excess) {
        budget.start(node);
    }
}

/// Replaces old nodes.
fn roll_out(
    desired: &DesiredFleet,
    target: usize,
    current: &[&Node],
    old: &[&Node],
    now: Timestamp,
    budget: &mut DrainBudget,
) {
    let ready = current.iter().filter(|node| node.serves()).count();
    // Old nodes that never served anybody do not count.
    let (never_served, mut rest): (Vec<&Node>, Vec<&Node>) = old
        .iter()
        .filter(|node| matches!(budget.states().of(node), State::Serving | State::Cordoned))
        .partition(|node| !node.ready && node.sockets() == 0 && node.state == State::Serving);
    for node in never_served {
        budget.start(node);
    }
    if ready == 0 && desired.replicas > 0 {
        // The new nodes are gone again, so the old ones must serve.
        let cordoned = rest.iter().filter(|node| node.state == State::Cordoned);
        cordoned.for_each(|node| budget.states_mut().set(node, State::Serving));
        return;
    }
    if ready < desired.replicas.min(target) {
        return;
    }
    let serving = rest.iter().filter(|node| node.state == State::Serving);
    serving.for_each(|node| budget.states_mut().set(node, State::Cordoned));
    let is_cordoned = |node: &&Node| {
        let late = now.duration_since(node.since) > CORDON_TIMEOUT;
        // A cordoned node stays ready while clients poll it.
        let clear = node.reports_state("cordoned") && !node.ready;
        node.state == State::Cordoned && (clear || !node.running || late || desired.skip_drains || node.skip_drain)
    };
    if !rest.iter().all(is_cordoned) {
        return;
    }
    rest.sort_by_key(|node| (node.sockets(), node.name.clone()));
    let mut left = rest.len();
    for node in rest {
        // Until there is room for all new nodes, the old ones carry the rest.
        if ready + left <= desired.replicas && node.sockets() > 0 {
            break;
        }
        if !budget.start(node) {
            break;
        }
        left -= 1;
    }
}

/// The command that brings a node into its state, unless it reports that state. Uncordoning is
/// different: the node gets that command before its label changes.
fn command(node: &Node, state: State) -> Option<Command> {
    match state {
        State::Cordoned if node.running && !node.reports_state("cordoned") && !node.reports_state("draining") => {
            Some(Command::Cordon)
        }
        State::Draining if node.running && !node.reports_state("draining") => Some(Command::Drain),
        _ => None,
    }
}

/// Number of pods of a ReplicaSet, chosen such that it deletes drained pods and no others. States
/// that are only planned count where they keep a node, not where they release it.
fn replicas_of(set: Option<&Set>, wanted: usize, nodes: &[&Node], states: &PodStates) -> usize {
    let state = |node: &Node| if node.state.drain_ended() { states.of(node) } else { node.state };
    let gone = nodes.iter().filter(|node| state(node).drain_ended()).count();
    let draining = nodes.iter().filter(|node| state(node) == State::Draining).count();
    let serving = nodes.len() - gone - draining;
    let kept = wanted.max(serving) + draining;
    let all = kept + gone;
    let Some(set) = set else { return kept };
    // Its controller knows pods that are not in the cache yet.
    if !set.observed || set.existing > nodes.len() {
        return set.replicas.max(kept);
    }
    if gone == 0 || draining > 0 {
        return all;
    }
    if set.replicas >= all {
        // It deletes exactly the drained pods, if no pod is being created.
        return if set.existing == all { kept } else { set.replicas };
    }
    // It is scaled down already. Or more nodes are desired since, so that it would delete none:
    // then it needs one more first.
    if nodes.len() <= set.replicas { all } else { set.replicas.max(kept) }
}

#[cfg(test)]
mod tests;
