//! Usage analytics, by hour and day.

use std::collections::{BTreeMap, HashSet};

use crate::domain::activity::{
    Activity, CONNECTIONS_LIVE_MS, DAY_MS, Day, HOUR_MS, Hour, MOST_DAYS, MOST_HOURS, Report,
};
use crate::domain::id::{NodeId, RoomId, UserId};
use crate::domain::position::Millis;

/// The highest number of distinct users of a day, and rooms of an hour, that is counted: it bounds the memory.
const MAX_DISTINCT: usize = 100_000;

#[derive(Default)]
pub(super) struct Activities {
    hours: BTreeMap<u64, InHour>,
    days: BTreeMap<u64, HashSet<UserId>>,
    connections: BTreeMap<NodeId, (u64, Millis)>,
}

#[derive(Default)]
struct InHour {
    messages: u64,
    rooms: HashSet<RoomId>,
    peak: u64,
}

impl Activities {
    pub(super) fn add(&mut self, activity: &Activity, now: Millis) {
        let Activity { node, connections, messages, users, rooms } = activity;
        self.connections.insert(node.clone(), (*connections, now + CONNECTIONS_LIVE_MS));
        self.connections.retain(|_, (_, until)| *until > now);
        let hour = self.hours.entry(now / HOUR_MS).or_default();
        hour.messages += messages;
        hour.peak = hour.peak.max(self.connections.values().map(|(connections, _)| connections).sum());
        extend(&mut hour.rooms, rooms);
        extend(self.days.entry(now / DAY_MS).or_default(), users);
        while self.hours.len() > MOST_HOURS as usize {
            self.hours.pop_first();
        }
        while self.days.len() > MOST_DAYS as usize + 6 {
            self.days.pop_first();
        }
    }

    pub(super) fn report(&self, hours: u32, days: u32, now: Millis) -> Report {
        let last = |length: Millis, count: u32| (now / length + 1).saturating_sub(count.into())..=now / length;
        let hour = |at: u64| {
            let there = self.hours.get(&at);
            Hour {
                start: at * HOUR_MS,
                messages: there.map_or(0, |hour| hour.messages),
                rooms: there.map_or(0, |hour| hour.rooms.len() as u64),
                peak_connections: there.map_or(0, |hour| hour.peak),
            }
        };
        let day = |at: u64| {
            let week: HashSet<&UserId> =
                self.days.range(at.saturating_sub(6)..=at).flat_map(|(_, users)| users).collect();
            Day {
                start: at * DAY_MS,
                active_users: self.days.get(&at).map_or(0, |users| users.len() as u64),
                active_users_week: week.len() as u64,
            }
        };
        Report { at: now, hours: last(HOUR_MS, hours).map(hour).collect(), days: last(DAY_MS, days).map(day).collect() }
    }
}

fn extend<T: Clone + Eq + std::hash::Hash>(all: &mut HashSet<T>, new: &[T]) {
    let room = MAX_DISTINCT.saturating_sub(all.len());
    all.extend(new.iter().take(room).cloned());
}
