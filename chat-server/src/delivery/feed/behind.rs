//! Those who are behind: what is kept for them, and how they get it.

use std::collections::VecDeque;

use serde_json::value::RawValue;
use socketioxide::socket::Sid;
use tokio::time::Instant;

use super::batch::Line;
use super::listeners::{Listener, State};
use super::{Feed, KEEP, KEPT_BYTES, NotQueued, READ_AT_ONCE};
use crate::domain::id::RoomId;
use crate::domain::limits::RECOVERY_LIMIT;
use crate::domain::position::{Gap, Offset, Position};
use crate::fault_injection::{self, Fault};
use crate::store::{Keep, Range, StoreError};
use crate::transport::socketio::event::Event;

impl Feed {
    /// Keeps what comes after a position, for the one who is there and others who come back soon. False if it is
    /// not to be had: it is more than is kept, or gone, or not of this log as far as is known here.
    pub(super) async fn keep_since(&mut self, since: &Position) -> Result<bool, StoreError> {
        let (after, top) = (since.offset, self.position.offset);
        if !self.lineage.holds(since) || after > top || top - after > RECOVERY_LIMIT {
            return Ok(false);
        }
        let first = self.kept.front().map_or(top + 1, |line| line.offset);
        if first > after + 1 {
            let (mut lines, mut bytes) = (VecDeque::new(), self.kept_bytes);
            let mut range = Range { after, before: Some(first), limit: READ_AT_ONCE, keep: Keep::Oldest };
            while range.after + 1 < first {
                let slice = self.hub.0.log.read(&self.topic, range).await?;
                let Some(last) = slice.entries.last() else { return Ok(false) };
                if slice.lineage.epoch != self.position.epoch || !slice.covers(since) {
                    return Ok(false);
                }
                range.after = last.offset;
                for entry in &slice.entries {
                    let line = Line::of(&self.room, entry)?;
                    bytes += line.event.frame().len();
                    lines.push_back(line);
                }
                if bytes > KEPT_BYTES {
                    return Ok(false);
                }
            }
            if fault_injection::is_injected(Fault::RecoverShort) {
                lines.pop_back();
            }
            lines.append(&mut self.kept);
            self.kept = lines;
            self.kept_bytes = bytes;
        }
        self.keep_until = Some(Instant::now() + KEEP);
        Ok(true)
    }

    pub(super) fn catch_up_all(&mut self) {
        let behind = self.listeners.iter().filter(|listener| listener.is_behind());
        for socket in behind.map(|listener| listener.outlet.id()).collect::<Vec<_>>() {
            self.catch_up(socket);
        }
        self.forget_kept();
    }

    /// Sends a socket what it lacks, as far as it takes it.
    pub(super) fn catch_up(&mut self, socket: Sid) {
        let Some(listener) = self.listeners.get_mut(socket) else { return };
        let State::Behind { mut has, undone } = listener.state else { return };
        let attached = listener.attached;
        let outlet = listener.outlet.clone();
        let covered = self.kept.front().is_some_and(|line| line.offset <= has + 1);
        if undone || (has < self.position.offset && !covered) {
            match outlet.emit(&[gap(&self.room, &self.position, has + 1)]).1 {
                None => {
                    self.hub.0.metrics.slow_sockets.inc();
                    has = self.position.offset;
                }
                Some(NotQueued::Full) => return,
                Some(NotQueued::Closed) => {
                    self.listeners.remove(socket);
                    return;
                }
            }
        }
        let lacking = self.kept.iter().filter(|line| line.offset > has).collect::<Vec<_>>();
        for line in lacking {
            match outlet.emit(std::slice::from_ref(&line.event)).1 {
                None => {
                    self.hub.delivered_late(line.at);
                    has = line.offset;
                }
                Some(NotQueued::Full) => break,
                Some(NotQueued::Closed) => {
                    self.listeners.remove(socket);
                    return;
                }
            }
            // Who was attached after having left came again.
            if line.left.as_ref() == Some(outlet.user()) && line.offset > attached {
                self.listeners.remove(socket);
                break;
            }
        }
        if let Some(listener) = self.listeners.get_mut(socket) {
            // Entries that could not be rendered leave no line; nothing more is to be had.
            let last = self.kept.back().map_or(has, |line| line.offset);
            // One who has more than this node heard so far must not get it again.
            let level = has >= last && has <= self.position.offset;
            listener.state = if level { State::Live } else { State::Behind { has, undone: false } };
        }
    }

    pub(super) fn forget_kept(&mut self) {
        if self.keep_until.is_none() && self.listeners.iter().all(Listener::is_live) {
            self.kept.clear();
            self.kept_bytes = 0;
        }
    }
}

fn gap(room: &RoomId, position: &Position, from: Offset) -> Event {
    let gap = Gap { room, epoch: &position.epoch, from, to: position.offset };
    Event::of("gap", &gap).unwrap_or_else(|| Event::new("gap".into(), RawValue::NULL.to_owned()))
}
