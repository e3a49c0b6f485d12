//! A simulated cluster: ReplicaSets that create and delete pods like Kubernetes' own controller,
//! nodes that drain, and an operator that sees everything late and may crash between any two
//! writes.

use super::*;

/// Steps during which the desired state changes. After them, everything must settle.
const CHANGE_STEPS: u64 = 250;
/// Steps for everything to settle.
const SETTLE_STEPS: u64 = 4_000;

/// A pod, actual or as observed by the operator.
#[derive(Debug, Clone)]
struct Pod {
    node: Node,
    /// Whether its ReplicaSet deletes it first.
    first: bool,
    /// Whether it was released before its process ran. Clients that still find it, until its
    /// ReplicaSet is scaled down, are handed over at its termination.
    early: bool,
    /// Step of its creation. Later pods are deleted first.
    born: u64,
    version: u64,
}

#[derive(Debug, Clone)]
struct Owner {
    set: Set,
    version: u64,
}

/// The actual state, and what the operator has observed.
pub(super) struct World {
    random: u64,
    step: u64,
    pods: BTreeMap<String, Pod>,
    heard_pods: BTreeMap<String, Pod>,
    owners: BTreeMap<String, Owner>,
    heard_owners: BTreeMap<String, Owner>,
    desired: DesiredFleet,
    log: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let at_a_time = if seed.is_multiple_of(2) { 1 } else { 2 };
        Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            step: 0,
            pods: BTreeMap::new(),
            heard_pods: BTreeMap::new(),
            owners: BTreeMap::new(),
            heard_owners: BTreeMap::new(),
            desired: DesiredFleet {
                revision: "r0".into(),
                concurrent_drains: at_a_time,
                drain_timeout: SignedDuration::from_hours(9),
                ..desired(2)
            },
            log: vec![format!("seed {seed}")],
        }
    }

    fn dice(&mut self, sides: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % sides
    }

    fn one_of(&mut self, count: usize) -> usize {
        usize::try_from(self.dice(u64::try_from(count).unwrap())).unwrap()
    }

    fn now(&self) -> Timestamp {
        at(i64::try_from(self.step).unwrap())
    }

    /// Runs until everything has settled in the desired state.
    pub(super) fn live(mut self) {
        loop {
            self.step += 1;
            let people = self.step < CHANGE_STEPS;
            match self.dice(if people { 24 } else { 23 }) {
                0..=6 => self.operate(),
                7..=12 => self.hear(),
                13..=17 => self.control(),
                18..=22 => self.serve(),
                _ => self.change_minds(),
            }
            if !people && self.is_at_rest() {
                return;
            }
            assert!(
                self.step < CHANGE_STEPS + SETTLE_STEPS,
                "no rest: {:?}\n{:?}\n{}",
                self.pods,
                self.owners,
                self.last_words()
            );
        }
    }

    fn last_words(&self) -> String {
        let seed = self.log.first().cloned().unwrap_or_default();
        format!("{seed}, step {}\n{}", self.step, self.log[self.log.len().saturating_sub(60)..].join("\n"))
    }

    fn is_at_rest(&self) -> bool {
        let fits = |pod: &Pod| pod.node.serves() && pod.node.revision == self.desired.revision && !pod.first;
        self.pods.len() == self.desired.replicas && self.pods.values().all(fits) && self.owners.len() == 1
    }

    fn change_minds(&mut self) {
        if self.dice(3) == 0 {
            self.desired.revision = format!("r{}", self.dice(3));
        } else {
            self.desired.replicas = 1 + self.one_of(5);
            self.desired.max_surge = 1 + self.one_of(5);
        }
        self.log.push(format!("{}: {} of {}", self.step, self.desired.replicas, self.desired.revision));
    }

    /// The operator observes some of the changes; it may be further behind for one kind than for
    /// another.
    fn hear(&mut self) {
        if self.dice(3) > 0 {
            self.heard_pods = self.pods.clone();
        }
        if self.dice(3) > 0 {
            self.heard_owners = self.owners.clone();
        }
    }

    /// One reconciliation, which may crash midway.
    fn operate(&mut self) {
        // Reports are current; everything else is as observed.
        let running = |name: &str| self.pods.get(name).filter(|pod| pod.node.running);
        let asked = |name: &str| running(name).and_then(|pod| pod.node.report.clone());
        let nodes = self.heard_pods.iter().map(|(name, pod)| Node { report: asked(name), ..pod.node.clone() });
        let sets = self.heard_owners.values().map(|owner| owner.set.clone());
        let fleet = Fleet { nodes: nodes.collect(), sets: sets.collect() };
        let plan = plan(&fleet, &self.desired, self.now());
        self.log.push(format!("{}: {plan:?}", self.step));
        let mut left = if self.dice(4) == 0 { self.dice(5) } else { u64::MAX };
        let mut lives = || {
            left = left.saturating_sub(1);
            left > 0
        };
        let revision = self.desired.revision.clone();
        if lives() {
            self.resize(&revision, plan.replicas);
        }
        let mut not_patched = Vec::new();
        for (name, state) in &plan.states {
            if !lives() || !self.mark(name, *state) {
                not_patched.push(name);
            }
        }
        for (name, command) in plan.commands.iter().filter(|(name, _)| !not_patched.contains(&name)) {
            if lives() {
                self.tell(name, *command);
            }
        }
        for (name, replicas) in plan.resize.iter().filter(|_| lives()) {
            let revision = self.heard_owners[name].set.revision.clone();
            self.resize(&revision, *replicas);
        }
        for name in plan.delete.iter().filter(|_| lives()) {
            self.owners.remove(name);
            self.heard_owners.remove(name);
        }
    }

    /// A scale-down is rejected if the ReplicaSet has changed since.
    fn resize(&mut self, revision: &str, replicas: usize) {
        let name = format!("chat-{revision}");
        let made = Owner { set: set(revision, 0, 0), version: 0 };
        let heard = self.heard_owners.get(&name).map(|owner| owner.version);
        let owner = self.owners.entry(name.clone()).or_insert(made);
        if replicas == owner.set.replicas || (replicas < owner.set.replicas && heard != Some(owner.version)) {
            return;
        }
        owner.set.replicas = replicas;
        owner.set.observed = false;
        owner.version += 1;
        self.heard_owners.insert(name, owner.clone());
    }

    /// A pod that has changed since is not patched.
    fn mark(&mut self, name: &str, state: State) -> bool {
        let heard = self.heard_pods.get(name).map(|pod| pod.version);
        let now = self.now();
        let Some(pod) = self.pods.get_mut(name) else { return false };
        if state == State::Serving {
            let report = pod.node.report.as_mut().unwrap();
            // A drain cannot be undone.
            if report.state.as_deref() == Some("draining") {
                return false;
            }
            report.state = Some("serving".into());
        }
        if Some(pod.version) != heard {
            return false;
        }
        pod.early |= state == State::Drained && !pod.node.running;
        pod.node.state = state;
        pod.node.since = now;
        pod.first = !matches!(state, State::Serving | State::Cordoned);
        pod.version += 1;
        self.heard_pods.insert(name.into(), pod.clone());
        true
    }

    fn tell(&mut self, name: &str, command: Command) {
        let Some(pod) = self.pods.get_mut(name).filter(|pod| pod.node.running) else { return };
        let report = pod.node.report.as_mut().unwrap();
        if report.state.as_deref() != Some("draining") {
            let state = if command == Command::Drain { "draining" } else { "cordoned" };
            report.state = Some(state.into());
        }
    }

    /// The ReplicaSet controller reconciles one ReplicaSet.
    fn control(&mut self) {
        if self.owners.is_empty() {
            return;
        }
        let place = self.one_of(self.owners.len());
        let name = self.owners.keys().nth(place).unwrap().clone();
        let Set { revision, replicas, .. } = self.owners[&name].set.clone();
        let own = self.pods.values().filter(|pod| pod.node.revision == revision);
        let mut ranks: Vec<_> =
            own.map(|pod| (pod.node.ready, !pod.first, u64::MAX - pod.born, pod.node.name.clone())).collect();
        ranks.sort();
        self.log.push(format!("{}: {name} has {} of {replicas}", self.step, ranks.len()));
        for number in ranks.len()..replicas {
            let name = format!("{revision}-{}-{number}", self.step);
            let node = Node { ready: false, running: false, since: self.now(), ..node(&name, &revision, 0) };
            self.pods.insert(name, Pod { node, first: false, early: false, born: self.step, version: 0 });
        }
        let early = self.pods.values().any(|pod| pod.early && pod.node.revision == revision);
        for (_, _, _, name) in ranks.iter().take(ranks.len().saturating_sub(replicas)) {
            let pod = self.pods.remove(name).unwrap();
            let lost = pod.node.sockets();
            assert!(lost == 0 || early, "{name} had {lost} clients: {pod:?}\n{}", self.last_words());
        }
        let existing = self.pods.values().filter(|pod| pod.node.revision == revision).count();
        let owner = self.owners.get_mut(&name).unwrap();
        if owner.set.existing != existing || !owner.set.observed {
            owner.set.existing = existing;
            owner.set.observed = true;
            owner.version += 1;
        }
    }

    /// One node makes progress.
    fn serve(&mut self) {
        if self.pods.is_empty() {
            return;
        }
        let (place, comes) = (self.one_of(self.pods.len()), self.dice(3));
        let pod = self.pods.values_mut().nth(place).unwrap();
        if !pod.node.running {
            pod.node.running = true;
            pod.version += 1;
            return;
        }
        let report = pod.node.report.as_mut().unwrap();
        let ready = match report.state.as_deref() {
            Some("draining") => {
                report.sockets = report.sockets.saturating_sub(2);
                false
            }
            Some("cordoned") => false,
            // Clients connect to ready nodes.
            _ => {
                report.sockets += if pod.node.ready { comes } else { 0 };
                true
            }
        };
        if pod.node.ready != ready {
            pod.node.ready = ready;
            pod.version += 1;
        }
    }
}
