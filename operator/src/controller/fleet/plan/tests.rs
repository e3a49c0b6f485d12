use super::*;
use crate::controller::fleet::Report;

mod world;

use world::World;

fn desired(replicas: usize) -> DesiredFleet {
    DesiredFleet {
        revision: "new".into(),
        replicas,
        max_surge: replicas.max(1),
        concurrent_drains: 1,
        drain_timeout: SignedDuration::from_secs(60),
        skip_drains: false,
        single_node: false,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A serving node with this many sockets.
fn node(name: &str, revision: &str, sockets: u64) -> Node {
    Node {
        name: name.into(),
        revision: revision.into(),
        state: State::Serving,
        since: at(0),
        ready: true,
        ready_since: at(0),
        running: true,
        deletion_deadline: None,
        skip_drain: false,
        stale_state: false,
        report: Some(Report { sockets, state: Some("serving".into()) }),
    }
}

/// A node in another state, which it reports.
fn node_in(name: &str, revision: &str, sockets: u64, state: State) -> Node {
    let word = state.label().map(str::to_owned);
    Node { state, ready: false, report: Some(Report { sockets, state: word }), ..node(name, revision, sockets) }
}

fn set(revision: &str, replicas: usize, existing: usize) -> Set {
    Set {
        name: format!("chat-{revision}"),
        revision: revision.into(),
        replicas,
        existing,
        observed: true,
        created: at(0),
    }
}

fn fleet(nodes: &[Node]) -> Fleet {
    let of = |revision: &str| nodes.iter().filter(|node| node.revision == revision).count();
    let sets = ["new", "old"].into_iter().filter(|revision| of(revision) > 0);
    Fleet { nodes: nodes.to_vec(), sets: sets.map(|revision| set(revision, of(revision), of(revision))).collect() }
}

fn states(plan: &Plan) -> Vec<(&str, State)> {
    plan.states.iter().map(|(name, state)| (name.as_str(), *state)).collect()
}

#[test]
fn a_settled_fleet_needs_no_action() {
    let plan = plan(&fleet(&[node("a", "new", 5), node("b", "new", 7)]), &desired(2), at(99));
    assert_eq!(plan, Plan { replicas: 2, ..Plan::default() });
}

#[test]
fn scale_down_drains_the_pod_with_the_fewest_sockets_first() {
    let fleet = fleet(&[node("a", "new", 5), node("b", "new", 2), node("c", "new", 7)]);
    let plan = plan(&fleet, &desired(1), at(9));
    assert_eq!(states(&plan), [("b", State::Draining)]);
    assert_eq!(plan.commands, [("b".to_owned(), Command::Drain)]);
    assert_eq!(plan.replicas, 3);
}

#[test]
fn a_budget_for_two_drains_two_nodes_at_a_time() {
    let of = |name: &str, sockets| node(name, "new", sockets);
    let fleet = fleet(&[of("a", 5), of("b", 2), of("c", 7), of("d", 1)]);
    let plan = plan(&fleet, &DesiredFleet { concurrent_drains: 2, ..desired(1) }, at(9));
    assert_eq!(states(&plan), [("b", State::Draining), ("d", State::Draining)]);
}

#[test]
fn a_replica_set_is_scaled_down_by_drained_pods_only() {
    let drains = |sockets| fleet(&[node("a", "new", 5), node_in("b", "new", sockets, State::Draining)]);
    assert_eq!(states(&plan(&drains(3), &desired(1), at(9))), []);
    let done = plan(&drains(0), &desired(1), at(9));
    assert_eq!((states(&done), done.replicas), (vec![("b", State::Drained)], 2));
    let gone = plan(&fleet(&[node("a", "new", 5), node_in("b", "new", 0, State::Drained)]), &desired(1), at(9));
    assert_eq!(gone.replicas, 1);
}

#[test]
fn a_drain_without_reports_times_out() {
    let fleet = fleet(&[node("a", "new", 5), Node { report: None, ..node_in("b", "new", 0, State::Draining) }]);
    assert_eq!(states(&plan(&fleet, &desired(1), at(75))), []);
    assert_eq!(states(&plan(&fleet, &desired(1), at(76))), [("b", State::TimedOut)]);
    let skip = DesiredFleet { skip_drains: true, ..desired(1) };
    assert_eq!(states(&plan(&fleet, &skip, at(1))), [("b", State::Drained)]);
}

#[test]
fn old_nodes_serve_until_all_new_ones_are_ready() {
    let old = [node("a", "old", 5), node("b", "old", 2)];
    let starting = Node { ready: false, ..node("c", "new", 0) };
    let begun = plan(&fleet(&old), &desired(2), at(9));
    assert_eq!((states(&begun), begun.replicas), (vec![], 2));
    let mut nodes = old.to_vec();
    nodes.extend([starting, node("d", "new", 0)]);
    assert_eq!(states(&plan(&fleet(&nodes), &desired(2), at(9))), []);
}

#[test]
fn all_old_nodes_are_cordoned_before_one_drains() {
    let new = [node("c", "new", 0), node("d", "new", 0)];
    let with = |old: [Node; 2]| fleet(&[old.as_slice(), new.as_slice()].concat());
    let first = plan(&with([node("a", "old", 5), node("b", "old", 2)]), &desired(2), at(9));
    assert_eq!(states(&first), [("a", State::Cordoned), ("b", State::Cordoned)]);
    assert_eq!(first.commands, [("a".to_owned(), Command::Cordon), ("b".to_owned(), Command::Cordon)]);

    let cordoned = || node_in("a", "old", 5, State::Cordoned);
    let polled = Node { ready: true, ..node_in("b", "old", 2, State::Cordoned) };
    let waits = with([cordoned(), polled]);
    assert_eq!(states(&plan(&waits, &desired(2), at(9))), []);

    let last = plan(&with([cordoned(), node_in("b", "old", 2, State::Cordoned)]), &desired(2), at(9));
    assert_eq!(states(&last), [("b", State::Draining)], "one, as the budget allows");
}

#[test]
fn old_nodes_are_uncordoned_if_the_new_revision_fails() {
    let fleet = fleet(&[node_in("a", "old", 5, State::Cordoned), Node { ready: false, ..node("c", "new", 0) }]);
    assert_eq!(states(&plan(&fleet, &desired(1), at(9))), [("a", State::Serving)]);
}

#[test]
fn a_rollback_uncordons_nodes_of_the_desired_revision() {
    let fleet = fleet(&[node_in("a", "new", 5, State::Cordoned), node("c", "old", 1)]);
    assert_eq!(states(&plan(&fleet, &desired(1), at(9))), [("a", State::Serving)]);
}

#[test]
fn an_old_node_that_never_served_does_not_block_the_rollout() {
    let crashing = Node { ready: false, running: false, report: None, ..node("b", "old", 0) };
    let fleet = fleet(&[node("a", "older", 5), crashing]);
    assert_eq!(states(&plan(&fleet, &desired(1), at(9))), [("b", State::Drained)]);
}

#[test]
fn a_small_surge_replaces_nodes_in_steps() {
    let little = DesiredFleet { max_surge: 1, ..desired(3) };
    let old = ["a", "b", "c"].map(|name| node(name, "old", 9));
    assert_eq!(plan(&fleet(&old), &little, at(9)).replicas, 1);
    let cordoned = ["a", "b", "c"].map(|name| node_in(name, "old", 9, State::Cordoned));
    let first = plan(&fleet(&[cordoned.as_slice(), &[node("d", "new", 0)]].concat()), &little, at(9));
    assert_eq!((states(&first), first.replicas), (vec![("a", State::Draining)], 1));
    let [_, b, c] = cordoned;
    let gone = [node_in("a", "old", 0, State::Drained), b, c, node("d", "new", 9)];
    let second = plan(&fleet(&gone), &little, at(9));
    assert_eq!((states(&second), second.replicas), (vec![], 2), "no other one before the next new one is there");
    assert_eq!(second.resize, [("chat-old".to_owned(), 2)]);
}

#[test]
fn a_drained_node_is_replaced_when_scaling_up_again() {
    let nodes = [node("a", "new", 5), node_in("b", "new", 0, State::Drained)];
    let first = plan(&fleet(&nodes), &desired(2), at(9));
    assert_eq!(first.replicas, 3, "its set takes none away while it has as many as it is to have");
    let nodes = [nodes.as_slice(), &[node("c", "new", 0)]].concat();
    assert_eq!(plan(&fleet(&nodes), &desired(2), at(9)).replicas, 2);
}

#[test]
fn evicted_nodes_count_against_the_drain_budget() {
    let evicted = Node { deletion_deadline: Some(at(60)), ..node_in("c", "new", 5, State::Serving) };
    let fleet = fleet(&[node("a", "new", 5), node("b", "new", 2), evicted]);
    assert_eq!(states(&plan(&fleet, &desired(1), at(9))), []);
    assert_eq!(states(&plan(&fleet, &desired(1), at(61))), [("b", State::Draining)], "its machine is lost");
}

#[test]
fn a_chat_in_memory_never_has_two_nodes() {
    let single = DesiredFleet { single_node: true, ..desired(1) };
    let old = plan(&fleet(&[node("a", "old", 5)]), &single, at(9));
    assert_eq!((old.replicas, old.resize), (0, vec![("chat-old".to_owned(), 0)]));
    let ends = Node { deletion_deadline: Some(at(60)), ..node("a", "old", 5) };
    assert_eq!(plan(&fleet(&[ends]), &single, at(9)).replicas, 0);
    assert_eq!(plan(&Fleet::default(), &single, at(9)).replicas, 1);
}

#[test]
fn no_node_with_clients_is_removed_despite_crashes_and_stale_caches() {
    for seed in 0..1_000 {
        World::new(seed).live();
    }
}
