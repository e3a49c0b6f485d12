//! What a client makes of a packet.

use super::Crowd;
use crate::dialect::{Asked, Dialect, Packet, is_ok};
use crate::frame;
use crate::ledger::Answer;
use crate::stamp::Stamp;

impl Crowd {
    /// A client has heard a packet.
    pub(super) fn hear(&mut self, client: usize, bytes: &[u8], now: u64) {
        match Packet::of(bytes) {
            Packet::Event(event) => self.event(client, event, now),
            Packet::Ack(Asked::Message(number), ack) => self.message_answered(number, ack),
            Packet::Ack(asked, ack) => self.answered(asked, ack),
            Packet::Ping => self.say_frame(client, frame::TEXT, b"3"),
            Packet::Open => self.opened(client),
            Packet::Connected if self.dialect == Dialect::Bare => self.arrived(client),
            Packet::Session(_) => self.arrived(client),
            Packet::Gap => self.tally.gaps += 1,
            Packet::Refused => {
                let answer = String::from_utf8_lossy(bytes).into_owned();
                self.fail(anyhow::anyhow!("client {client} may not connect: {answer}"));
            }
            Packet::Connected | Packet::Other => {}
        }
    }

    fn event(&mut self, client: usize, event: &[u8], now: u64) {
        // What has none is not about messages.
        let Some(stamp) = Stamp::find(event, &mut self.place) else { return };
        let Stamp { room, sender, number, at } = stamp;
        let seat = self.layout.seat(room as usize, client);
        let is_known = seat.is_some_and(|seat| self.ledger.hears(room, seat as u32, sender, number));
        if !is_known {
            return self.fail(anyhow::anyhow!("client {client} heard {stamp:?}, which nobody sent it"));
        }
        self.tally.delivered += 1;
        if let Some(latencies) = &mut self.latencies {
            latencies.record(now.saturating_sub(at));
        }
        if seat == Some(sender as usize) {
            self.heard_own(room, now);
        }
    }

    fn message_answered(&mut self, number: u32, ack: &[u8]) {
        let Some((room, sender, number)) = self.messages.get(number as usize).copied() else { return };
        let answer = if is_ok(ack) {
            self.tally.acked += 1;
            Answer::Acked
        } else {
            self.tally.refused += 1;
            Answer::Refused
        };
        self.ledger.answered(room, sender, number, answer);
    }
}
