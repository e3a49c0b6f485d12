//! Reading what was said before, and reading nothing for a while.

use std::ops::Range;

use crate::dialect::Dialect;
use crate::stamp::Stamp;

use super::person::{self, Gap, Page, Position};
use super::{Crowd, Timed};

impl Crowd {
    /// Everyone asks for the end of their room's history, and again as soon as they have it.
    pub(crate) fn read_history(&mut self) {
        self.reads = true;
        for client in 0..self.layout.clients {
            if let Some(room) = self.room_of(client) {
                self.ask_history(client, room as u32);
            }
        }
    }

    fn ask_history(&mut self, client: usize, room: u32) {
        self.people[client].asked_at = self.now();
        Dialect::history(&mut self.scratch, room, &self.rooms[room as usize].id);
        self.say(client);
    }

    /// A client has some history.
    pub(super) fn has_read(&mut self, client: usize, room: u32, now: u64) {
        self.tally.read += 1;
        self.time(Timed::Reads, now.saturating_sub(self.people[client].asked_at));
        if self.reads {
            self.ask_history(client, room);
        }
    }

    /// These clients have little room in their kernels, and read nothing from now on.
    pub(crate) fn fall_asleep(&mut self, clients: Range<usize>) -> anyhow::Result<()> {
        for client in clients {
            self.people[client].is_slow = true;
            self.sockets[client].sleep(&self.epoll, client)?;
        }
        Ok(())
    }

    /// They read again.
    pub(crate) fn wake_up(&mut self, clients: Range<usize>) -> anyhow::Result<()> {
        for client in clients {
            self.sockets[client].wake(&self.epoll, client)?;
        }
        Ok(())
    }

    /// A client is told that it won't hear some entries: it fetches them.
    pub(super) fn gap(&mut self, client: usize, gap: &[u8]) {
        self.tally.gaps += 1;
        let Ok(Gap { room, epoch, from, to }) = serde_json::from_slice(gap) else {
            return self.fail(anyhow::anyhow!("a gap that can't be read"));
        };
        let number = self.rooms.iter().position(|own| own.id == room);
        if let Some(number) = number.filter(|_| from <= to) {
            // Only one is paged at a time: what a second one leaves out counts as lost.
            self.people[client].pages_to.get_or_insert(to);
            self.ask_log(client, number as u32, &epoch, from - 1);
        }
    }

    fn ask_log(&mut self, client: usize, room: u32, epoch: &str, after: u64) {
        Dialect::log(&mut self.scratch, room, &self.rooms[room as usize].id, epoch, after);
        self.say(client);
    }

    /// A page of what was left out has come.
    pub(super) fn paged(&mut self, client: usize, room: u32, ack: &[u8]) {
        let (Some(page), Some(to)) = (person::answer::<Page>(ack), self.people[client].pages_to) else {
            return self.fail(anyhow::anyhow!("a page of a log that can't be read"));
        };
        let mut last = 0;
        for entry in page.events.iter().filter(|entry| entry.offset <= to) {
            last = entry.offset;
            if let Some(stamp) = Stamp::find(entry.text.as_bytes(), &mut 0)
                && self.ledger.fetches(room, stamp.sender, stamp.number)
            {
                self.tally.delivered += 1;
            }
        }
        match page.position {
            Some(Position { epoch, .. }) if !page.complete && last > 0 && last < to => {
                self.ask_log(client, room, &epoch, last);
            }
            _ => self.people[client].pages_to = None,
        }
    }
}
