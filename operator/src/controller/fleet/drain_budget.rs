//! The reconnect budget: how fast one node hands its clients over, and how many nodes do so at a time.
//! All drains together stay below `spec.drain.maxReconnectsPerSecond`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Node, State};
use crate::api::spec::rollout::Drain;

/// Clients that one node hands over per second: never more than the whole budget.
#[must_use]
pub fn pace(drain: &Drain) -> i32 {
    drain.connections_per_second.min(drain.max_reconnects_per_second).max(1)
}

/// Nodes that may drain at a time, each at its [`pace`].
#[must_use]
pub fn concurrent_drains(drain: &Drain) -> usize {
    usize::try_from(drain.max_reconnects_per_second / pace(drain)).unwrap_or_default().max(1)
}

/// Polling clients that one of several nodes hands over per second when all are cordoned together. Polling
/// sessions can't outlive a cordon, so they count against the budget too.
#[must_use]
pub fn cordon_pace(max_reconnects_per_second: u32, cordons: usize) -> u32 {
    (max_reconnects_per_second / u32::try_from(cordons.max(1)).unwrap_or(u32::MAX)).max(1)
}

/// New states of pods, by name.
#[derive(Debug, Clone, Default)]
pub struct PodStates(BTreeMap<String, State>);

impl PodStates {
    /// Sets the new state of a node.
    pub fn set(&mut self, node: &Node, state: State) {
        self.0.insert(node.name.clone(), state);
    }

    /// The new state of a node, or the one that it has.
    #[must_use]
    pub fn of(&self, node: &Node) -> State {
        self.0.get(&node.name).copied().unwrap_or(node.state)
    }

    /// Whether no state changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All new states.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<String, State> {
        self.0
    }
}

/// The drains that one reconciliation may start.
pub struct DrainBudget {
    free: usize,
    /// Revisions of which no further node may start. All draining pods of a ReplicaSet are the first to be
    /// deleted, so the ReplicaSet can't be scaled down while one of them still drains: nodes drain in batches.
    closing: BTreeSet<String>,
    states: PodStates,
}

impl DrainBudget {
    /// A budget for `free` drains.
    #[must_use]
    pub fn new(free: usize, closing: BTreeSet<String>, states: PodStates) -> Self {
        Self { free, closing, states }
    }

    /// Starts to drain a node if it has no sockets or the budget allows it.
    pub fn start(&mut self, node: &Node) -> bool {
        if self.closing.contains(&node.revision) || (node.sockets() > 0 && self.free == 0) {
            return false;
        }
        if node.sockets() > 0 {
            self.free -= 1;
        }
        // A process that does not run has nothing to drain.
        self.states.set(node, if node.running { State::Draining } else { State::Drained });
        true
    }

    /// The states so far.
    #[must_use]
    pub fn states(&self) -> &PodStates {
        &self.states
    }

    /// The states so far, to be changed.
    pub fn states_mut(&mut self) -> &mut PodStates {
        &mut self.states
    }

    /// The states in the end.
    #[must_use]
    pub fn into_states(self) -> PodStates {
        self.states
    }
}
