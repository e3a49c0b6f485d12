//! What a client makes of a packet.

use super::person::{self, Session};
use super::{Crowd, Timed};
use crate::dialect::{Asked, Dialect, Packet, is_ok, is_temporary};
use crate::frame;
use crate::ledger::Answer;
use crate::stamp::Stamp;

/// How long who was refused for now waits, before trying again.
const PAUSE: u64 = 200_000_000;

impl Crowd {
    /// A client has heard a packet.
    pub(super) fn hear(&mut self, client: usize, bytes: &[u8], now: u64) {
        match Packet::of(bytes) {
            Packet::Event(event) => self.event(client, event, now),
            Packet::Ack(Asked::Message(number), ack) => self.message_answered(client, number, ack, now),
            Packet::Ack(asked, ack) => self.answered(client, asked, ack, now),
            Packet::Ping => self.say_frame(client, frame::TEXT, b"3"),
            Packet::Open => self.opened(client),
            Packet::Connected if self.dialect == Dialect::Bare => self.arrived(client),
            Packet::Session(session) => {
                self.session(client, session, now);
                self.arrived(client);
            }
            Packet::Gap(gap) => self.gap(client, gap),
            Packet::Refused => {
                let answer = String::from_utf8_lossy(bytes).into_owned();
                self.fail(anyhow::anyhow!("client {client} may not connect: {answer}"));
            }
            Packet::Connected | Packet::Other => {}
        }
    }

    /// What `session` says, where that matters.
    fn session(&mut self, client: usize, session: &[u8], now: u64) {
        if !self.habits.returns {
            return;
        }
        let session: Session = match serde_json::from_slice(session) {
            Ok(session) => session,
            Err(error) => return self.fail(anyhow::anyhow!("a session that can't be read: {error}")),
        };
        if self.people[client].resume.replace(session.resume).is_some() {
            self.tally.resumed += 1;
            self.tally.recovered += u64::from(session.recovered);
            self.time(Timed::Arrivals, now.saturating_sub(self.since));
        }
    }

    fn event(&mut self, client: usize, event: &[u8], now: u64) {
        if self.habits.returns
            && let Some(position) = person::position(event)
        {
            self.people[client].position = Some(position);
        }
        // What has none is not about messages.
        let Some(stamp) = Stamp::find(event, &mut self.place) else { return };
        let Stamp { room, sender, number, at } = stamp;
        let seat = self.layout.seat(room as usize, client);
        let is_known = seat.is_some_and(|seat| self.ledger.hears(room, seat as u32, sender, number));
        if !is_known {
            return self.fail(anyhow::anyhow!("client {client} heard {stamp:?}, which nobody sent it"));
        }
        self.tally.delivered += 1;
        self.tally.silence = self.tally.silence.max(now.saturating_sub(self.tally.heard_at));
        self.tally.heard_at = now;
        if !self.people[client].is_slow {
            self.time(Timed::Deliveries, now.saturating_sub(at));
        }
        if seat == Some(sender as usize) {
            self.heard_own(room, now);
        }
    }

    fn message_answered(&mut self, client: usize, number: u32, ack: &[u8], now: u64) {
        let Some(sent) = self.messages.get(number as usize).copied() else { return };
        if is_ok(ack) {
            self.tally.acked += 1;
            self.ledger.answered(sent.room, sent.sender, sent.number, Answer::Acked);
        } else if self.habits.retries && is_temporary(ack) {
            self.tally.put_off += 1;
            self.refused.push_back((now + PAUSE, number));
            return;
        } else {
            self.tally.refused += 1;
            self.ledger.answered(sent.room, sent.sender, sent.number, Answer::Refused);
        }
        let waits_for = &mut self.people[client].waits_for;
        *waits_for = waits_for.saturating_sub(1);
    }
}
