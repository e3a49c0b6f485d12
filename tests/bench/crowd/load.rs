//! Who sends when.

use std::time::Duration;

use super::Crowd;
use super::socket::Stage;
use crate::dialect::Dialect;
use crate::stamp::Stamp;

/// After this time without hearing any of them, a room's messages count as lost, and others may be sent.
const GIVEN_UP: u64 = 1_000_000_000;

/// How often a turn looks for messages that were lost.
const LOOK: Duration = Duration::from_millis(100);

/// A message that was sent.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) room: u32,
    pub(super) sender: u32,
    pub(super) number: u32,
    at: u64,
}

/// At what pace the crowd sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Nothing.
    None,
    /// One message whenever so many nanoseconds are over, in one room after the other.
    Paced {
        /// Between two messages.
        interval: u64,
        /// When the next one is due.
        next: u64,
        /// How many rooms had their turn.
        turn: usize,
    },
    /// As fast as the server goes, with so many messages of each room on their way.
    Full {
        /// How many.
        window: usize,
        /// When lost ones are looked for next.
        look: u64,
    },
}

impl Crowd {
    /// From now on so many messages a second, whatever comes back.
    pub(crate) fn pace(&mut self, per_second: f64) {
        self.load = Load::Paced { interval: (1e9 / per_second) as u64, next: self.now(), turn: 0 };
    }

    /// From now on as many as the server takes, with so many of each room on their way.
    pub(crate) fn full_speed(&mut self, window: usize) {
        self.load = Load::Full { window, look: self.now() };
        self.due = (0..self.rooms.len() as u32).collect();
    }

    /// How long nothing is due, at most.
    pub(super) fn wait_for(&self, most: Duration) -> Duration {
        if !self.refused.is_empty() {
            return most.min(LOOK);
        }
        match self.load {
            Load::None => most,
            Load::Paced { next, .. } => most.min(Duration::from_nanos(next.saturating_sub(self.now()))),
            Load::Full { .. } => most.min(LOOK),
        }
    }

    /// Sends what is due.
    pub(super) fn send_due(&mut self) {
        while let Some((due, message)) = self.refused.front().copied()
            && due <= self.now()
        {
            self.refused.pop_front();
            self.send_again(message);
        }
        match self.load {
            Load::None => {}
            Load::Paced { interval, mut next, mut turn } => {
                let now = self.now();
                while next <= now {
                    self.send((turn % self.rooms.len()) as u32);
                    next += interval;
                    turn += 1;
                }
                self.load = Load::Paced { interval, next, turn };
            }
            Load::Full { window, look } => {
                let now = self.now();
                if now >= look {
                    self.give_up(window, now);
                    self.load = Load::Full { window, look: now + LOOK.as_nanos() as u64 };
                }
                let mut due = std::mem::take(&mut self.due);
                for room in due.drain(..) {
                    while self.rooms[room as usize].outstanding < window {
                        self.rooms[room as usize].outstanding += 1;
                        self.rooms[room as usize].heard_at = now;
                        self.send(room);
                    }
                }
                self.due = due;
            }
        }
    }

    /// Rooms that have waited for too long go on.
    fn give_up(&mut self, window: usize, now: u64) {
        for (number, room) in self.rooms.iter_mut().enumerate() {
            if room.outstanding >= window && room.heard_at + GIVEN_UP < now {
                room.outstanding = 0;
                self.due.push(number as u32);
            }
        }
    }

    /// A sender has heard its own message.
    pub(super) fn heard_own(&mut self, room: u32, now: u64) {
        if matches!(self.load, Load::Full { .. }) {
            let own = &mut self.rooms[room as usize];
            own.outstanding = own.outstanding.saturating_sub(1);
            own.heard_at = now;
            self.due.push(room);
        }
    }

    /// The next member of a room sends, of those who can.
    fn send(&mut self, room: u32) {
        let senders = self.layout.senders;
        let first = self.rooms[room as usize].turn;
        let seats = (first..first + senders).map(|seat| seat % senders);
        let Some(seat) = { seats }.find(|seat| self.can_send(self.layout.client(room as usize, *seat))) else { return };
        self.rooms[room as usize].turn = (seat + 1) % senders;
        let sender = seat as u32;
        let number = self.ledger.sends(room, sender);
        self.messages.push(Sent { room, sender, number, at: self.now() });
        self.tally.sent += 1;
        self.people[self.layout.client(room as usize, seat)].waits_for += 1;
        self.send_again((self.messages.len() - 1) as u32);
    }

    fn can_send(&self, client: usize) -> bool {
        // Where nothing is answered, nothing is waited for.
        let waits = self.habits.retries && self.dialect == Dialect::Chat && self.people[client].waits_for > 0;
        self.sockets[client].stage == Stage::There && !waits
    }

    /// Sends the message of this number, for the first time or once more.
    fn send_again(&mut self, message: u32) {
        let Sent { room, sender, number, at } = self.messages[message as usize];
        let stamp = Stamp { room, sender, number, at };
        self.dialect.message(&mut self.scratch, message, &self.rooms[room as usize].id, stamp, self.text);
        self.say(self.layout.client(room as usize, sender as usize));
    }
}
