//! Presence: which users are connected to which node, while its heartbeat is fresh.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::domain::id::{NodeId, UserId};
use crate::domain::position::Millis;

/// How long a node that sent no heartbeat yet counts as alive.
const FIRST_TTL_MS: Millis = 15_000;

#[derive(Default)]
pub(super) struct Presence {
    /// The nodes of each user, mostly one, with the card.
    cards: BTreeMap<UserId, Vec<(NodeId, Box<str>)>>,
    /// When the heartbeat of each node expires.
    nodes: BTreeMap<NodeId, Millis>,
}

impl Presence {
    /// Whether the user was online anywhere before, and is now.
    pub(super) fn set(&mut self, node: &NodeId, user: &UserId, card: Option<&str>, now: Millis) -> (bool, bool) {
        // A node that calls is alive. This comes first, so that a user who leaves the node is seen to leave.
        if self.nodes.get(node).is_none_or(|until| *until <= now) {
            self.nodes.insert(node.clone(), now.saturating_add(FIRST_TTL_MS));
        }
        let was = self.card(user, now).is_some();
        match card {
            Some(card) => {
                self.remove(node, user);
                let on = self.cards.entry(user.clone()).or_default();
                on.reserve_exact(1);
                on.push((node.clone(), card.into()));
            }
            None => self.remove(node, user),
        }
        let is = self.card(user, now).is_some();
        if was && !is {
            // The entries of dead nodes are removed here, so that `reap` does not report the user again.
            self.cards.remove(user);
        }
        (was, is)
    }

    pub(super) fn beat(&mut self, node: &NodeId, until: Millis) {
        self.nodes.insert(node.clone(), until);
    }

    /// Whether any user is listed under the node.
    pub(super) fn is_occupied(&self, node: &NodeId) -> bool {
        self.cards.values().flatten().any(|(other, _)| other == node)
    }

    pub(super) fn card(&self, user: &UserId, now: Millis) -> Option<&str> {
        let alive = |node: &NodeId| self.nodes.get(node).is_some_and(|until| *until > now);
        self.cards.get(user)?.iter().find(|(node, _)| alive(node)).map(|(_, card)| &**card)
    }

    pub(super) fn online(&self, after: Option<&UserId>, limit: usize, now: Millis) -> Vec<(UserId, String)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let users = self.cards.range((from, Bound::Unbounded)).map(|(user, _)| user);
        let online = users.filter_map(|user| self.card(user, now).map(|card| (user.clone(), card.to_owned())));
        online.take(limit).collect()
    }

    pub(super) fn count(&self, now: Millis) -> usize {
        self.cards.keys().filter(|user| self.card(user, now).is_some()).count()
    }

    pub(super) fn reap(&mut self, limit: usize, now: Millis) -> Vec<UserId> {
        let dead = self.nodes.iter().filter(|(_, until)| **until <= now);
        let dead: Vec<NodeId> = dead.map(|(node, _)| node.clone()).collect();
        let mut gone = Vec::new();
        for node in dead {
            let there = self.cards.iter().filter(|(_, on)| on.iter().any(|(other, _)| *other == node));
            let there: Vec<UserId> = there.map(|(user, _)| user.clone()).collect();
            for user in there {
                if gone.len() == limit {
                    return gone;
                }
                self.remove(&node, &user);
                // Still listed under another node, even a dead one: then that one's end tells.
                if !self.cards.contains_key(&user) {
                    gone.push(user);
                }
            }
            self.nodes.remove(&node);
        }
        gone
    }

    fn remove(&mut self, node: &NodeId, user: &UserId) {
        if let Some(on) = self.cards.get_mut(user) {
            on.retain(|(other, _)| other != node);
            if on.is_empty() {
                self.cards.remove(user);
            }
        }
    }
}
