//! Which nodes come and which go next. Pure, and a matter of what is there only: whoever looks again after
//! an operator died in the middle comes to the same end.
//!
//! New nodes come first. Once they are ready the old ones are cordoned, all of them, so that whoever
//! leaves one comes to a new one; only then are they drained, so many at a time as the budget allows. Nodes that
//! are too many are drained without a cordon. A ReplicaSet is made smaller only by nodes that have drained,
//! whose pods are marked as the first to go.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::drain_budget::{DrainBudget, PodStates};
use super::{Fleet, Node, Set, State};

/// How long a node may take until it is cordoned and nobody polls it: a version that does not know how is
/// drained all the same.
const CORDON_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
/// How much longer than its time-out a drain may take: a node's last requests are answered, and it is asked
/// from time to time only.
const DRAIN_MARGIN: SignedDuration = SignedDuration::from_secs(15);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct DesiredFleet {
    /// The kind of pods.
    pub revision: String,
    /// How many nodes.
    pub replicas: usize,
    /// How many pods beyond that while they are replaced.
    pub max_surge: usize,
    /// How many nodes may hand clients over at a time.
    pub concurrent_drains: usize,
    /// How long a node may take to.
    pub drain_timeout: SignedDuration,
    /// Whether nobody is to wait for drains.
    pub skip_drains: bool,
    /// Whether there may never be two nodes: each would be a chat of its own.
    pub single_node: bool,
}

/// What a node is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Take no new clients.
    Cordon,
    /// Hand the clients over.
    Drain,
}

/// What to do now. Another look follows when something of it has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// How many pods the ReplicaSet of the asked-for kind is to have.
    pub replicas: usize,
    /// The others that are to have another number than they have.
    pub resize: Vec<(String, usize)>,
    /// The others that are no longer needed.
    pub delete: Vec<String>,
    /// Pods that are to be marked with another state.
    pub states: BTreeMap<String, State>,
    /// What nodes are to be told, once their pods are marked.
    pub commands: Vec<(String, Command)>,
    /// Whether nodes are being replaced or taken away: no watch tells how far they have come.
    pub in_progress: bool,
}

/// What to do now.
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

/// How many nodes of the asked-for kind there may be now.
fn surge_target(desired: &DesiredFleet, current: &[&Node], old: &[&Node]) -> usize {
    let left = old.iter().filter(|node| !node.state.drain_ended()).count();
    if left == 0 {
        return desired.replicas;
    }
    let room = (desired.replicas + desired.max_surge).saturating_sub(left).max(1);
    // One that serves already is not taken away before the old ones are gone.
    let serving = current.iter().filter(|node| node.state == State::Serving).count();
    desired.replicas.min(room).max(serving)
}

/// Those that are asked for again take clients again; and states that were left over go.
fn uncordon(current: &[&Node], states: &mut PodStates) {
    for node in current {
        let stray = node.stale_state || node.reports_state("cordoned");
        if node.state == State::Cordoned || (node.state == State::Serving && stray) {
            states.set(node, State::Serving);
        }
    }
}

/// Those that have drained may go, and those whose time is over.
fn complete_drains(fleet: &Fleet, desired: &DesiredFleet, now: Timestamp, states: &mut PodStates) {
    for node in fleet.non_terminating() {
        let told = matches!(node.state, State::Serving | State::Cordoned) && node.reports_state("draining");
        // Its process came only after it was taken for one without.
        let back = node.state == State::Drained && node.reports_state("serving");
        // Somebody else has told it to drain, and that is for good.
        if told || back {
            states.set(node, State::Draining);
        }
    }
    for node in fleet.non_terminating().filter(|node| node.state == State::Draining) {
        // That it has none means something once it takes none. And as long as it is ready, its set would rather
        // take away another one that is not.
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

/// The kinds of which pods are about to go: their set was made smaller, or will be.
fn closing(fleet: &Fleet, states: &PodStates) -> BTreeSet<String> {
    let drained = fleet.non_terminating().filter(|node| states.of(node).drain_ended()).map(|node| &node.revision);
    let count = |set: &Set| fleet.non_terminating().filter(|node| node.revision == set.revision).count();
    let smaller = fleet.sets.iter().filter(|set| set.replicas < count(set).max(set.existing)).map(|set| &set.revision);
    drained.chain(smaller).cloned().collect()
}

/// Drains as many as there are too many: those first that serve nobody, then those with the fewest sockets.
fn scale_down(desired: &DesiredFleet, current: &[&Node], budget: &mut DrainBudget) {
    let mut serving: Vec<&Node> =
        current.iter().copied().filter(|node| budget.states().of(node) == State::Serving).collect();
    let excess = serving.len().saturating_sub(desired.replicas);
    serving.sort_by_key(|node| (node.ready, node.sockets(), node.name.clone()));
    for node in serving.into_iter().take(excess) {
        budget.start(node);
    }
}

/// Puts nodes of the asked-for kind in the place of old ones.
fn roll_out(
    desired: &DesiredFleet,
    target: usize,
    current: &[&Node],
    old: &[&Node],
    now: Timestamp,
    budget: &mut DrainBudget,
) {
    let ready = current.iter().filter(|node| node.serves()).count();
    // Those that never took anybody stand for nothing.
    let (never_served, mut rest): (Vec<&Node>, Vec<&Node>) = old
        .iter()
        .filter(|node| matches!(budget.states().of(node), State::Serving | State::Cordoned))
        .partition(|node| !node.ready && node.sockets() == 0 && node.state == State::Serving);
    for node in never_served {
        budget.start(node);
    }
    if ready == 0 && desired.replicas > 0 {
        // The new ones came and went: somebody has to take clients.
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
        // It stays ready as long as somebody polls it.
        let clear = node.reports_state("cordoned") && !node.ready;
        node.state == State::Cordoned && (clear || !node.running || late || desired.skip_drains || node.skip_drain)
    };
    if !rest.iter().all(is_cordoned) {
        return;
    }
    rest.sort_by_key(|node| (node.sockets(), node.name.clone()));
    let mut left = rest.len();
    for node in rest {
        // While there is no room for all new ones, the old ones bear the rest.
        if ready + left <= desired.replicas && node.sockets() > 0 {
            break;
        }
        if !budget.start(node) {
            break;
        }
        left -= 1;
    }
}

/// What a node has to be told that it does not say of itself already. That it may take clients again it is told
/// before its mark goes.
fn command(node: &Node, state: State) -> Option<Command> {
    match state {
        State::Cordoned if node.running && !node.reports_state("cordoned") && !node.reports_state("draining") => {
            Some(Command::Cordon)
        }
        State::Draining if node.running && !node.reports_state("draining") => Some(Command::Drain),
        _ => None,
    }
}

/// How many pods a ReplicaSet is to have, so that it takes away those that may go and no other.
/// PodStates that are only about to be made count where they hold a node, not where they let it go.
fn replicas_of(set: Option<&Set>, wanted: usize, nodes: &[&Node], states: &PodStates) -> usize {
    let state = |node: &Node| if node.state.drain_ended() { states.of(node) } else { node.state };
    let gone = nodes.iter().filter(|node| state(node).drain_ended()).count();
    let draining = nodes.iter().filter(|node| state(node) == State::Draining).count();
    let serving = nodes.len() - gone - draining;
    let kept = wanted.max(serving) + draining;
    let all = kept + gone;
    let Some(set) = set else { return kept };
    // Its controller knows of pods that are not to be seen yet.
    if !set.observed || set.existing > nodes.len() {
        return set.replicas.max(kept);
    }
    if gone == 0 || draining > 0 {
        return all;
    }
    if set.replicas >= all {
        // It takes away exactly those that may go, if no pod is on its way.
        return if set.existing == all { kept } else { set.replicas };
    }
    // Made smaller already; or more nodes are asked for since, so that it sees no reason to take one away:
    // then it gets one more first.
    if nodes.len() <= set.replicas { all } else { set.replicas.max(kept) }
}

#[cfg(test)]
mod tests;
