//! Catching up: what an outlet that is not live gets, as far as it has room.

use serde_json::value::RawValue;

use super::Feed;
use super::listeners::Progress;
use crate::delivery::event::{Encoder, Event};
use crate::delivery::outlet::NotQueued;
use crate::domain::id::{ConnectionId, RoomId};
use crate::domain::position::{Gap, Offset, Position};
use crate::observability::metrics::Pace;

impl Feed {
    pub(super) fn catch_up_all(&mut self) {
        let behind = self.listeners.iter().filter(|listener| listener.catches_up());
        for outlet in behind.map(|listener| listener.outlet.id()).collect::<Vec<_>>() {
            self.catch_up(outlet);
        }
        self.drop_unneeded_backlog();
    }

    /// Sends an outlet what it lacks, as far as it has room.
    pub(super) fn catch_up(&mut self, id: ConnectionId) {
        let Some(listener) = self.listeners.get_mut(id) else { return };
        let Progress::CatchingUp { mut received, rolled_back } = listener.progress else { return };
        let attached_at = listener.attached_at;
        let outlet = listener.outlet.clone();
        let covered = self.backlog.first().is_some_and(|first| first <= received + 1);
        if rolled_back || (received < self.position.offset && !covered) {
            let gap = gap(&self.room, &self.position, received + 1, self.shared.encode);
            match outlet.emit(&[gap]).1 {
                None => {
                    self.shared.metrics.slow_sockets.inc();
                    received = self.position.offset;
                }
                Some(NotQueued::Full) => return,
                Some(NotQueued::Closed) => {
                    self.listeners.remove(id);
                    return;
                }
            }
        }
        let mut upto = received;
        for entry in self.backlog.after(received) {
            match outlet.emit(std::slice::from_ref(&entry.event)).1 {
                None => {
                    self.shared.count_delivered(Pace::Behind, entry.at, 1);
                    upto = entry.offset;
                }
                Some(NotQueued::Full) => break,
                Some(NotQueued::Closed) => {
                    self.listeners.remove(id);
                    return;
                }
            }
            // An outlet that was attached after this leaving belongs to a user who joined again.
            if entry.left.as_ref() == Some(outlet.user()) && entry.offset > attached_at {
                self.listeners.remove(id);
                break;
            }
        }
        if let Some(listener) = self.listeners.get_mut(id) {
            // Entries that could not be rendered are not in the backlog: there is no more to be had than this.
            let last = self.backlog.last().unwrap_or(upto);
            // An outlet that has more than this feed applied so far must not get it again.
            let level = upto >= last && upto <= self.position.offset;
            listener.progress =
                if level { Progress::Live } else { Progress::CatchingUp { received: upto, rolled_back: false } };
        }
    }
}

fn gap(room: &RoomId, position: &Position, from: Offset, encode: Encoder) -> Event {
    let gap = Gap { room, epoch: &position.epoch, from, to: position.offset };
    Event::of("gap", &gap, encode).unwrap_or_else(|| Event::new("gap".into(), RawValue::NULL.to_owned(), encode))
}
