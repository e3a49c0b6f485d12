//! What one person sent: the same nonce, the same position; and what was sent one after the other stays so.

use std::collections::HashMap;

use super::{Check, Store, Verdict};
use crate::history::account::{Line, Millis, Person, Position, What};

/// The ack of a message.
#[derive(Debug, Clone)]
pub(super) struct Acked {
    pub(super) at: Millis,
    /// Which line of the account it is.
    line: usize,
    attempt: u32,
    connection: u32,
    pub(super) position: Position,
    pub(super) stored: Millis,
    id: String,
}

/// A message that somebody wanted to send.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) room: String,
    pub(super) nonce: String,
    pub(super) issued: Millis,
    /// Which line of the account it is.
    line: usize,
    /// The connection on which it was sent first.
    connection: u32,
    pub(super) attempts: u32,
    pub(super) acks: Vec<Acked>,
    /// It was refused for good, with this code.
    pub(super) refused: Option<String>,
}

impl Sent {
    /// The first ack of what the store still has.
    pub(super) fn kept(&self, store: &Store) -> Option<&Acked> {
        self.acks.iter().find(|ack| !self.is_lost(ack, store))
    }

    /// Whether the store has lost it, once at least, after it was acked.
    pub(super) fn was_lost(&self, store: &Store) -> bool {
        self.acks.iter().any(|ack| self.is_lost(ack, store))
    }

    fn is_lost(&self, ack: &Acked, store: &Store) -> bool {
        store.lost(&self.room, &ack.position.epoch, ack.position.offset, ack.stored)
    }
}

/// All that a person sent, by the time at which it was first wanted.
pub(super) fn sends(lines: &[&Line]) -> Vec<Sent> {
    let mut sends: Vec<Sent> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (number, line) in lines.iter().enumerate() {
        match &line.what {
            What::Send(send) => {
                let place = *places.entry(&send.nonce).or_insert_with(|| {
                    sends.push(Sent {
                        room: send.room.clone(),
                        nonce: send.nonce.clone(),
                        issued: line.at,
                        line: number,
                        connection: send.connection,
                        attempts: 0,
                        acks: Vec::new(),
                        refused: None,
                    });
                    sends.len() - 1
                });
                let sent = &mut sends[place];
                if send.attempt == 1 && sent.acks.is_empty() {
                    sent.connection = send.connection;
                }
                sent.attempts += u32::from(send.attempt > 0);
            }
            What::Ack(ack) => {
                let Some(place) = places.get(ack.nonce.as_str()) else { continue };
                sends[*place].acks.push(Acked {
                    at: line.at,
                    line: number,
                    attempt: ack.attempt,
                    connection: ack.connection,
                    position: ack.position.clone(),
                    stored: ack.stored,
                    id: ack.id.clone(),
                });
            }
            What::Unacked(unacked) if !is_temporary(&unacked.code) => {
                if let Some(place) = places.get(unacked.nonce.as_str()) {
                    sends[*place].refused = Some(unacked.code.clone());
                }
            }
            _ => {}
        }
    }
    sends
}

/// What the client sends again.
fn is_temporary(code: &str) -> bool {
    matches!(code, "none" | "unavailable" | "draining" | "rate_limited")
}

/// Judges the sends of a person.
pub(super) fn judge(person: Person, sends: &[Sent], store: &Store, verdict: &mut Verdict) {
    let mut rooms: HashMap<&str, Vec<(&Sent, &Acked)>> = HashMap::new();
    for sent in sends {
        if let Some(code) = &sent.refused {
            let what = format!("person {person}'s {} to {} was refused: {code}", sent.nonce, sent.room);
            verdict.offend(Check::Refused, sent.issued, what);
        }
        let Some(kept) = sent.kept(store) else { continue };
        for ack in sent.acks.iter().filter(|ack| !sent.is_lost(ack, store)) {
            let another = ack.position.offset != kept.position.offset
                || (ack.position.epoch == kept.position.epoch && ack.id != kept.id);
            if another {
                let what = format!(
                    "person {person}'s {} to {} was acked at {:?} ({}) and at {:?} ({})",
                    sent.nonce, sent.room, kept.position, kept.id, ack.position, ack.id
                );
                verdict.offend(Check::NonceMoved, ack.at, what);
            }
        }
        // Acks that the store lost since say nothing of the order.
        if !sent.is_lost(&sent.acks[0], store) {
            rooms.entry(&sent.room).or_default().push((sent, kept));
        }
    }
    for sends in rooms.values() {
        after_its_ack(person, sends, verdict);
        at_the_first_attempt(person, sends, verdict);
    }
}

/// What was sent after the ack of another comes after it.
fn after_its_ack(person: Person, sends: &[(&Sent, &Acked)], verdict: &mut Verdict) {
    let mut acked: Vec<(usize, u64)> = sends.iter().map(|(_, ack)| (ack.line, ack.position.offset)).collect();
    acked.sort_unstable();
    let (mut next, mut highest) = (0, 0);
    for (sent, ack) in sends {
        while next < acked.len() && acked[next].0 < sent.line {
            highest = highest.max(acked[next].1);
            next += 1;
        }
        if ack.position.offset <= highest {
            let what = format!(
                "person {person}'s {} is at {} of {}, and was sent after the ack of {highest}",
                sent.nonce, ack.position.offset, sent.room
            );
            verdict.offend(Check::OutOfOrder, ack.at, what);
        }
    }
}

/// What was sent on one connection and acked at the first attempt keeps its order, acked or not before the next.
fn at_the_first_attempt(person: Person, sends: &[(&Sent, &Acked)], verdict: &mut Verdict) {
    let mut before: Option<(u32, u64)> = None;
    for (sent, ack) in sends {
        if ack.attempt != 1 || ack.connection != sent.connection || sent.acks[0].line != ack.line {
            continue;
        }
        if let Some((connection, offset)) = before
            && connection == ack.connection
            && ack.position.offset <= offset
        {
            let what = format!(
                "person {person}'s {} is at {} of {}, and was sent after what is at {offset}",
                sent.nonce, ack.position.offset, sent.room
            );
            verdict.offend(Check::OutOfOrder, ack.at, what);
        }
        before = Some((ack.connection, ack.position.offset));
    }
}
