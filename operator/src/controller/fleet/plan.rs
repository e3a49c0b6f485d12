//! Which nodes come and which go next. Pure, and a matter of what is there only: whoever looks again after
//! an operator died in the middle comes to the same end.
//!
//! New nodes come first. Once they are ready the former ones are cordoned, all of them, so that whoever
//! leaves one comes to a new one; only then are they drained, so many at a time as the budget allows. Nodes that
//! are too many are drained without a cordon. A ReplicaSet is made smaller only by nodes that have drained,
//! whose pods are marked as the first to go.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Fleet, Node, Set, State};

/// How long a node may take until it is cordoned and nobody polls it: a version that does not know how is
/// drained all the same.
const CORDON_PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// How much longer than its time-out a drain may take: a node's last requests are answered, and it is asked
/// from time to time only.
const MARGIN: SignedDuration = SignedDuration::from_secs(15);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The kind of pods.
    pub revision: String,
    /// How many nodes.
    pub wanted: usize,
    /// How many pods beyond that while they are replaced.
    pub surge: usize,
    /// How many nodes may hand clients over at a time.
    pub at_a_time: usize,
    /// How long a node may take to.
    pub timeout: SignedDuration,
    /// Whether nobody is to wait for drains.
    pub skip: bool,
    /// Whether there may never be two nodes: each would be a chat of its own.
    pub alone: bool,
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
    pub former: Vec<(String, usize)>,
    /// The others that are no longer needed.
    pub empty: Vec<String>,
    /// Pods that are to be marked with another state.
    pub marks: BTreeMap<String, State>,
    /// What nodes are to be told, once their pods are marked.
    pub commands: Vec<(String, Command)>,
    /// Whether nodes are being replaced or taken away: no watch tells how far they have come.
    pub busy: bool,
}

/// What to do now.
#[must_use]
pub fn plan(fleet: &Fleet, rules: &Rules, now: Timestamp) -> Plan {
    let (current, former): (Vec<&Node>, Vec<&Node>) = fleet.staying().partition(|node| node.revision == rules.revision);
    let mut marks = Marks::default();
    let replicas = if rules.alone {
        let others = fleet.nodes.iter().any(|node| node.revision != rules.revision);
        if others { 0 } else { rules.wanted }
    } else {
        let target = target(rules, &current, &former);
        clean(&current, &mut marks);
        finish(fleet, rules, now, &mut marks);
        let free = rules.at_a_time.saturating_sub(fleet.handing_over(now));
        let mut drains = Drains { free, closing: closing(fleet, &marks), marks };
        if former.is_empty() {
            take_away(rules, &current, &mut drains);
        } else {
            replace(rules, target, &current, &former, now, &mut drains);
        }
        marks = drains.marks;
        size(fleet.sets.iter().find(|set| set.revision == rules.revision), target, &current, &marks)
    };
    let serving = current.iter().filter(|node| node.state == State::Serving).count();
    let busy = !former.is_empty() || !marks.0.is_empty() || serving > rules.wanted;
    let mut plan = Plan { replicas, busy, ..Plan::default() };
    for set in fleet.sets.iter().filter(|set| set.revision != rules.revision) {
        let nodes: Vec<&Node> = former.iter().copied().filter(|node| node.revision == set.revision).collect();
        let size = if rules.alone { 0 } else { size(Some(set), 0, &nodes, &marks) };
        let is_empty = || fleet.nodes.iter().all(|node| node.revision != set.revision);
        if size != set.replicas {
            plan.former.push((set.name.clone(), size));
        } else if size == 0 && set.observed && set.existing == 0 && is_empty() {
            plan.empty.push(set.name.clone());
        }
    }
    for node in fleet.staying() {
        let state = marks.state(node);
        plan.busy |= state != State::Serving;
        plan.commands.extend(command(node, state).map(|command| (node.name.clone(), command)));
    }
    plan.marks = marks.0;
    plan
}

/// States that pods are to be marked with.
#[derive(Default)]
struct Marks(BTreeMap<String, State>);

impl Marks {
    fn set(&mut self, node: &Node, state: State) {
        self.0.insert(node.name.clone(), state);
    }

    fn state(&self, node: &Node) -> State {
        self.0.get(&node.name).copied().unwrap_or(node.state)
    }
}

/// How many nodes of the asked-for kind there may be now.
fn target(rules: &Rules, current: &[&Node], former: &[&Node]) -> usize {
    let left = former.iter().filter(|node| !node.state.may_go()).count();
    if left == 0 {
        return rules.wanted;
    }
    let room = (rules.wanted + rules.surge).saturating_sub(left).max(1);
    // One that serves already is not taken away before the former ones are gone.
    let serving = current.iter().filter(|node| node.state == State::Serving).count();
    rules.wanted.min(room).max(serving)
}

/// Those that are asked for again take clients again; and marks that were left over go.
fn clean(current: &[&Node], marks: &mut Marks) {
    for node in current {
        let stray = node.stale_marks || node.says("cordoned");
        if node.state == State::Cordoned || (node.state == State::Serving && stray) {
            marks.set(node, State::Serving);
        }
    }
}

/// Those that have drained may go, and those whose time is over.
fn finish(fleet: &Fleet, rules: &Rules, now: Timestamp, marks: &mut Marks) {
    for node in fleet.staying() {
        let told = matches!(node.state, State::Serving | State::Cordoned) && node.says("draining");
        // Its process came only after it was taken for one without.
        let back = node.state == State::Drained && node.says("serving");
        // Somebody else has told it to drain, and that is for good.
        if told || back {
            marks.set(node, State::Draining);
        }
    }
    for node in fleet.staying().filter(|node| node.state == State::Draining) {
        // That it has none means something once it takes none. And as long as it is ready, its set would rather
        // take away another one that is not.
        let told = !node.runs || node.says("draining") || node.report.as_ref().is_some_and(|it| it.state.is_none());
        if (node.sockets() == 0 && told && !node.ready) || rules.skip || node.skip {
            marks.set(node, State::Drained);
        } else if now.duration_since(node.since) > rules.timeout + MARGIN {
            marks.set(node, State::TimedOut);
        }
    }
}

/// The kinds of which pods are about to go: their set was made smaller, or will be.
fn closing(fleet: &Fleet, marks: &Marks) -> BTreeSet<String> {
    let drained = fleet.staying().filter(|node| marks.state(node).may_go()).map(|node| &node.revision);
    let count = |set: &Set| fleet.staying().filter(|node| node.revision == set.revision).count();
    let smaller = fleet.sets.iter().filter(|set| set.replicas < count(set).max(set.existing)).map(|set| &set.revision);
    drained.chain(smaller).cloned().collect()
}

/// Drains that may begin.
struct Drains {
    /// How many the budget allows.
    free: usize,
    /// Kinds of which no other node may begin to. All pods that drain are the first to go: while one still does,
    /// their set can't be made smaller, so that they drain in batches.
    closing: BTreeSet<String>,
    marks: Marks,
}

impl Drains {
    /// Begins to drain a node, if it has no sockets or the budget allows it.
    fn begin(&mut self, node: &Node) -> bool {
        if self.closing.contains(&node.revision) || (node.sockets() > 0 && self.free == 0) {
            return false;
        }
        if node.sockets() > 0 {
            self.free -= 1;
        }
        // Nobody has to tell a process that does not run.
        self.marks.set(node, if node.runs { State::Draining } else { State::Drained });
        true
    }
}

/// Drains as many as there are too many: those first that serve nobody, then those with the fewest sockets.
fn take_away(rules: &Rules, current: &[&Node], drains: &mut Drains) {
    let mut serving: Vec<&Node> =
        current.iter().copied().filter(|node| drains.marks.state(node) == State::Serving).collect();
    let excess = serving.len().saturating_sub(rules.wanted);
    serving.sort_by_key(|node| (node.ready, node.sockets(), node.name.clone()));
    for node in serving.into_iter().take(excess) {
        drains.begin(node);
    }
}

/// Puts nodes of the asked-for kind in the place of former ones.
fn replace(rules: &Rules, target: usize, current: &[&Node], former: &[&Node], now: Timestamp, drains: &mut Drains) {
    let ready = current.iter().filter(|node| node.serves()).count();
    // Those that never took anybody stand for nothing.
    let (useless, mut rest): (Vec<&Node>, Vec<&Node>) = former
        .iter()
        .filter(|node| matches!(drains.marks.state(node), State::Serving | State::Cordoned))
        .partition(|node| !node.ready && node.sockets() == 0 && node.state == State::Serving);
    for node in useless {
        drains.begin(node);
    }
    if ready == 0 && rules.wanted > 0 {
        // The new ones came and went: somebody has to take clients.
        let cordoned = rest.iter().filter(|node| node.state == State::Cordoned);
        cordoned.for_each(|node| drains.marks.set(node, State::Serving));
        return;
    }
    if ready < rules.wanted.min(target) {
        return;
    }
    let serving = rest.iter().filter(|node| node.state == State::Serving);
    serving.for_each(|node| drains.marks.set(node, State::Cordoned));
    let is_cordoned = |node: &&Node| {
        let late = now.duration_since(node.since) > CORDON_PATIENCE;
        // It stays ready as long as somebody polls it.
        let clear = node.says("cordoned") && !node.ready;
        node.state == State::Cordoned && (clear || !node.runs || late || rules.skip || node.skip)
    };
    if !rest.iter().all(is_cordoned) {
        return;
    }
    rest.sort_by_key(|node| (node.sockets(), node.name.clone()));
    let mut left = rest.len();
    for node in rest {
        // While there is no room for all new ones, the former ones bear the rest.
        if ready + left <= rules.wanted && node.sockets() > 0 {
            break;
        }
        if !drains.begin(node) {
            break;
        }
        left -= 1;
    }
}

/// What a node has to be told that it does not say of itself already. That it may take clients again it is told
/// before its mark goes.
fn command(node: &Node, state: State) -> Option<Command> {
    match state {
        State::Cordoned if node.runs && !node.says("cordoned") && !node.says("draining") => Some(Command::Cordon),
        State::Draining if node.runs && !node.says("draining") => Some(Command::Drain),
        _ => None,
    }
}

/// How many pods a ReplicaSet is to have, so that it takes away those that may go and no other.
/// Marks that are only about to be made count where they hold a node, not where they let it go.
fn size(set: Option<&Set>, wanted: usize, nodes: &[&Node], marks: &Marks) -> usize {
    let state = |node: &Node| if node.state.may_go() { marks.state(node) } else { node.state };
    let gone = nodes.iter().filter(|node| state(node).may_go()).count();
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
