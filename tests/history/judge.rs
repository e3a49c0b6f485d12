//! Holds what happened to what was promised. Pure: a function of the accounts and of what was done to Redis.
//!
//! It is strict. Nobody may put in order, or leave out, what came: each entry of a room has to follow the one before,
//! from the position that the client itself gave or was given. What is missing is missing, whatever a later reading
//! of the history would show; only the protocol's own recovery makes up for it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::account::{Event, Line, Millis, Person, What};
use super::faults::{Happened, Outage};
use super::stage::{Head, Heads};

mod member;
mod order;
#[cfg(test)]
mod tests;
mod times;

use member::{Held, Member, Track};
use order::Sent;
pub(crate) use times::Times;

/// How a promise can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Check {
    /// An acked message did not reach a member, or an entry was left out.
    Lost,
    /// An entry came twice, or one message is in the log twice.
    Duplicated,
    /// An entry came before one that it follows, or a sender's order was not kept.
    OutOfOrder,
    /// Two clients were told different entries for one position.
    Disagreement,
    /// One nonce was acked with two positions.
    NonceMoved,
    /// A session was said to be recovered and was not.
    FalselyRecovered,
    /// A recovery, or a send, was refused without need.
    Refused,
    /// The store lost what was acked and nobody was told.
    KeptSilent,
    /// A client of this check did what no client may.
    Client,
    /// What should have happened by the end did not.
    Unfinished,
    /// Too few sends were acked in time.
    LateAcks,
    /// A fault that was asked for hit nothing.
    IdleFault,
}

/// A broken promise.
#[derive(Debug, Clone)]
pub(crate) struct Offence {
    pub(crate) check: Check,
    pub(crate) at: Millis,
    pub(crate) what: String,
}

/// What was done to Redis, and where it ended.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Store {
    pub(crate) outages: Vec<Outage>,
    pub(crate) heads: Heads,
    /// When the first known entry of a room's epoch was stored.
    #[serde(skip)]
    lives: HashMap<(String, String), Millis>,
}

impl Store {
    pub(crate) fn new(outages: Vec<Outage>, heads: Heads) -> Self {
        Self { outages, heads, lives: HashMap::new() }
    }

    fn note_lives(&mut self, lines: &[Line]) {
        for line in lines {
            let What::Event(event) = &line.what else { continue };
            let first = self.lives.entry((event.room.clone(), event.epoch.clone())).or_insert(event.stored);
            *first = event.stored.min(*first);
        }
    }

    /// Whether an entry was lost by the store, in the end.
    pub(crate) fn lost(&self, room: &str, epoch: &str, offset: u64, when: Millis) -> bool {
        self.lost_by(Millis::MAX, room, epoch, offset, when)
    }

    /// Whether an entry, or a position, was lost by the store before `now`: it came to be at `when`, and is beyond what
    /// some later Redis had at its start.
    pub(crate) fn lost_by(&self, now: Millis, room: &str, epoch: &str, offset: u64, when: Millis) -> bool {
        let heads: Vec<Option<&Head>> = self.outages.iter().map(|outage| outage.heads.get(room)).collect();
        let is_life = |head: &Option<&Head>| head.is_some_and(|head| head.epoch == epoch);
        let first = self.lives.get(&(room.to_owned(), epoch.to_owned()));
        self.outages.iter().enumerate().any(|(place, outage)| {
            // A node may tell of a life that has ended without its knowing; one that goes on is told by the time. A life
            // that came and went between two outages is no head of any.
            let was_there = first.is_some_and(|first| *first < outage.up) || heads[..=place].iter().any(is_life);
            let ended = was_there && !heads[place + 1..].iter().any(is_life) && !is_life(&self.heads.get(room));
            let is_beyond = heads[place].is_some_and(|head| offset > head.top);
            outage.down <= now && is_beyond && (when < outage.up || ended)
        })
    }
}

/// Counts for the ledger.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) resent: u64,
    /// Messages that reached a member, and how.
    pub(crate) delivered: u64,
    pub(crate) live: u64,
    pub(crate) replayed: u64,
    pub(crate) paged: u64,
    pub(crate) gaps: u64,
    pub(crate) sessions: u64,
    pub(crate) recovered: u64,
    pub(crate) unrecovered: u64,
    /// Acked messages that the store lost; those of them that are in the log again, because they were sent again; what
    /// members had of them, and were told.
    pub(crate) lost_by_store: u64,
    pub(crate) healed: u64,
    pub(crate) told: u64,
    pub(crate) not_told: u64,
}

/// The judgement.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) offences: Vec<Offence>,
    pub(crate) counts: Counts,
    pub(crate) times: Times,
}

impl Verdict {
    /// How often a promise was broken so.
    pub(crate) fn broken(&self, check: Check) -> usize {
        self.offences.iter().filter(|offence| offence.check == check).count()
    }

    fn offend(&mut self, check: Check, at: Millis, what: String) {
        self.offences.push(Offence { check, at, what });
    }
}

/// Author and nonce.
type Message = (String, String);

/// Judges what all people wrote down.
pub(crate) fn judge(lines: &[Line], mut store: Store, happened: &[Happened]) -> Verdict {
    store.note_lives(lines);
    let store = &store;
    let mut of_person: BTreeMap<Person, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        of_person.entry(line.person).or_default().push(line);
    }
    let mut verdict = Verdict::default();
    let mut members = BTreeMap::new();
    let mut sends = BTreeMap::new();
    for (&person, lines) in &of_person {
        members.insert(person, Member::of(person, lines, store, &mut verdict));
        sends.insert(person, order::sends(lines));
    }
    one_entry_a_position(lines, &mut verdict);
    once_a_life(lines, &mut verdict);
    all_agree(&members, &mut verdict);
    for (&person, sent) in &sends {
        order::judge(person, sent, store, &mut verdict);
        if let Some(user) = &members[&person].user {
            all_reached(person, user, sent, &members, store, &mut verdict);
        }
    }
    verdict.times = times::of(&of_person, &sends, happened, store);
    verdict.offences.sort_by_key(|offence| offence.at);
    verdict
}

/// Within one life of a room's log an offset stands for one entry, whoever tells of it.
fn one_entry_a_position(lines: &[Line], verdict: &mut Verdict) {
    let mut entries = HashMap::new();
    for line in lines {
        let What::Event(event) = &line.what else { continue };
        let told = (&event.id, &event.by, &event.nonce);
        let first = entries.entry((&event.room, &event.epoch, event.offset)).or_insert(told);
        if *first != told {
            let what = format!(
                "person {} was told {told:?} for {} {} of {}, somebody before {first:?}",
                line.person, event.epoch, event.offset, event.room
            );
            verdict.offend(Check::Disagreement, line.at, what);
        }
    }
}

/// Within one life of a room's log a message has one place, even if the store lost that since. Who sends a lost one again
/// gives it a place in another life.
fn once_a_life(lines: &[Line], verdict: &mut Verdict) {
    let mut places = HashMap::new();
    for line in lines {
        let What::Event(event) = &line.what else { continue };
        let Event { room, epoch, offset, by: Some(by), nonce: Some(nonce), .. } = event else { continue };
        let first = *places.entry((room, epoch, by, nonce)).or_insert(*offset);
        if first != *offset {
            let what = format!(
                "person {} was told of {nonce:?} of {by} at {offset} of {room} ({epoch}), where it is at {first}",
                line.person
            );
            verdict.offend(Check::Duplicated, line.at, what);
        }
    }
}

/// In the end all hold the same entry for an offset, and each message once.
fn all_agree(members: &BTreeMap<Person, Member>, verdict: &mut Verdict) {
    let mut entries: BTreeMap<(&str, u64), (Person, &Held)> = BTreeMap::new();
    for (&person, member) in members {
        for (room, track) in &member.tracks {
            for (&offset, held) in &track.has {
                let (first, other) = *entries.entry((room, offset)).or_insert((person, held));
                if other.message != held.message {
                    let what = format!(
                        "offset {offset} of {room} is {:?} for person {first} and {:?} for person {person}",
                        other.message, held.message
                    );
                    verdict.offend(Check::Disagreement, held.heard, what);
                }
            }
        }
    }
    let mut places: HashMap<(&str, &Message), u64> = HashMap::new();
    for (&(room, offset), (person, held)) in &entries {
        let Some(message) = &held.message else { continue };
        if let Some(before) = places.insert((room, message), offset) {
            let what = format!("{message:?} is at {before} and at {offset} of {room} (person {person})");
            verdict.offend(Check::Duplicated, held.heard, what);
        }
    }
}

/// What was acked has reached all who were members all along; or the store lost it, and they were told.
fn all_reached(
    person: Person,
    user: &str,
    sends: &[Sent],
    members: &BTreeMap<Person, Member>,
    store: &Store,
    verdict: &mut Verdict,
) {
    for sent in sends {
        verdict.counts.sent += 1;
        verdict.counts.resent += u64::from(sent.attempts > 1);
        if sent.acks.is_empty() {
            if sent.refused.is_none() {
                let what = format!("person {person}'s {} was never acked", sent.nonce);
                verdict.offend(Check::Unfinished, sent.issued, what);
            }
            continue;
        }
        verdict.counts.acked += 1;
        let was_lost = sent.was_lost(store);
        verdict.counts.lost_by_store += u64::from(was_lost);
        let Some(ack) = sent.kept(store) else { continue };
        verdict.counts.healed += u64::from(was_lost);
        let message = (user.to_owned(), sent.nonce.clone());
        let mut due = 0;
        for (other, member) in members {
            let Some(track) = member.tracks.get(&sent.room) else { continue };
            let offset = ack.position.offset;
            if !track.is_due(offset) {
                continue;
            }
            due += 1;
            if track.has.get(&offset).is_some_and(|held| held.message.as_ref() == Some(&message)) {
                verdict.counts.delivered += 1;
            } else {
                let instead = track.has.get(&offset).map(|held| &held.message);
                let what = format!(
                    "person {person}'s {} acked at {offset} of {} ({}) did not reach person {other}, who has {instead:?} \
                     there and is at {}",
                    sent.nonce, sent.room, ack.position.epoch, track.last
                );
                verdict.offend(Check::Lost, ack.at, what);
            }
        }
        let excused =
            members.get(&person).and_then(|member| member.tracks.get(&sent.room)).is_some_and(Track::was_excused);
        if due == 0 && !excused {
            let what = format!(
                "person {person}'s {} was acked at {:?} of {}, where nobody was a member, not even the sender",
                sent.nonce, ack.position, sent.room
            );
            verdict.offend(Check::Lost, ack.at, what);
        }
    }
}

/// Numbers of one kind, for their middle and their end.
pub(crate) fn percentile(sorted: &[Millis], percent: usize) -> Millis {
    if sorted.is_empty() { 0 } else { sorted[(sorted.len() - 1) * percent / 100] }
}
