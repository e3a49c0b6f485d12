//! What one person heard, room by room.

use std::collections::{BTreeMap, VecDeque};

use super::{Check, Message, Store, Verdict};
use crate::history::account::{Event, Gap, Join, Line, Millis, Person, Position, Refused, Session, What};

/// An entry that the person has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) epoch: String,
    pub(super) stored: Millis,
    pub(super) heard: Millis,
    /// If it is one.
    pub(super) message: Option<Message>,
}

/// Where a person is in a room.
#[derive(Debug)]
pub(super) struct Track {
    /// The position from which the person was a member, or began anew; and when it was told.
    base: Position,
    based: Millis,
    first: u64,
    epoch: String,
    /// The last offset that was delivered, or stood for by a gap.
    pub(super) last: u64,
    /// What gaps told of and was not paged yet.
    missing: VecDeque<(u64, u64)>,
    /// What need not have come: a recovery was refused for a reason.
    excused: Vec<(u64, u64)>,
    pub(super) has: BTreeMap<u64, Held>,
    /// The last thing said of the room was that it goes on from a position.
    just_recovered: bool,
    /// A session said that the room goes on from a position that the store had lost by then; it may not have known, and
    /// say so yet.
    claimed: Option<(Millis, String)>,
    /// A page was refused; nothing counts until the room is entered anew.
    suspended: bool,
}

impl Track {
    fn new(position: &Position, at: Millis) -> Self {
        Self {
            base: position.clone(),
            based: at,
            first: position.offset,
            epoch: position.epoch.clone(),
            last: position.offset,
            missing: VecDeque::new(),
            excused: Vec::new(),
            has: BTreeMap::new(),
            just_recovered: false,
            claimed: None,
            suspended: false,
        }
    }

    /// Up to where nothing is missing.
    fn complete(&self) -> u64 {
        self.missing.front().map_or(self.last, |(from, _)| from - 1)
    }

    /// Whether an entry of this offset has to have come.
    pub(super) fn is_due(&self, offset: u64) -> bool {
        offset > self.first && !self.excused.iter().any(|(from, to)| (*from..=*to).contains(&offset))
    }

    /// Whether there is something that need not have come.
    pub(super) fn was_excused(&self) -> bool {
        self.excused.iter().any(|(from, to)| from <= to)
    }

    /// Begins at another position; what lies between it and the last that the person still has need not come.
    fn anew(&mut self, position: &Position, at: Millis) {
        self.has.split_off(&(self.complete() + 1));
        let still = self.has.last_key_value().map_or(self.first, |(offset, _)| *offset);
        self.excused.push((still.min(self.complete()) + 1, position.offset));
        // Offsets that were given out again after a loss are due again.
        self.first = self.first.min(position.offset);
        self.claimed = None;
        self.base = position.clone();
        self.based = at;
        self.go_on(position);
        self.suspended = false;
    }

    fn go_on(&mut self, position: &Position) {
        self.last = position.offset;
        self.epoch.clone_from(&position.epoch);
        self.missing.clear();
    }

    /// Whether the store has lost what the person had at a position.
    fn position_lost(&self, now: Millis, room: &str, position: &Position, store: &Store) -> bool {
        match self.has.get(&position.offset) {
            Some(held) => store.lost_by(now, room, &held.epoch, position.offset, held.stored),
            None if position.offset == self.base.offset => {
                store.lost_by(now, room, &position.epoch, position.offset, self.based)
            }
            None => false,
        }
    }

    /// What the store lost is no longer held: the person was told.
    fn forget_lost(&mut self, now: Millis, room: &str, from: u64, store: &Store, verdict: &mut Verdict) {
        let tail = self.has.split_off(&from);
        for (offset, held) in tail {
            if store.lost_by(now, room, &held.epoch, offset, held.stored) {
                verdict.counts.told += u64::from(held.message.is_some());
            } else {
                self.has.insert(offset, held);
            }
        }
    }
}

/// One of the people.
#[derive(Debug)]
pub(super) struct Member {
    person: Person,
    pub(super) user: Option<String>,
    node: String,
    began: Millis,
    pub(super) tracks: BTreeMap<String, Track>,
}

impl Member {
    /// Follows a person from the first line to the last.
    pub(super) fn of(person: Person, lines: &[&Line], store: &Store, verdict: &mut Verdict) -> Self {
        let mut member = Self { person, user: None, node: String::new(), began: 0, tracks: BTreeMap::new() };
        for line in lines {
            match &line.what {
                What::Session(session) => member.session(session, line.at, store, verdict),
                What::Join(join) => member.join(join, line.at),
                What::Event(event) => member.event(event, line.at, verdict),
                What::Gap(gap) => member.gap(gap, line.at, store, verdict),
                What::Refused(refused) => member.refused(refused, line.at, store, verdict),
                What::Denied(denied) => {
                    let what = format!("person {person} got CONNECT_ERROR {}", denied.code);
                    verdict.offend(Check::Refused, line.at, what);
                }
                _ => {}
            }
        }
        member.finish(store, lines.last().map_or(0, |line| line.at), verdict);
        member
    }

    fn says(&self, what: &str) -> String {
        format!("person {} on {}: {what}", self.person, self.node)
    }

    fn session(&mut self, session: &Session, at: Millis, store: &Store, verdict: &mut Verdict) {
        let Session { node, user, given, recovered, unrecovered, rooms } = session;
        self.node.clone_from(node);
        self.began = at;
        if self.user.as_ref().is_some_and(|known| known != user) {
            verdict.offend(Check::Refused, at, self.says("the session is another person's"));
        }
        self.user = Some(user.clone());
        verdict.counts.sessions += 1;
        if given.is_some() {
            verdict.counts.recovered += u64::from(*recovered);
            verdict.counts.unrecovered += unrecovered.len() as u64;
            if *recovered != unrecovered.is_empty() {
                let what = self.says(&format!("recovered is {recovered} and unrecovered {unrecovered:?}"));
                verdict.offend(Check::FalselyRecovered, at, what);
            }
        }
        for (room, position) in rooms {
            let given = given.as_ref().and_then(|given| given.get(room));
            let goes_on = given.filter(|_| !unrecovered.contains(room));
            let Some(track) = self.tracks.get_mut(room) else {
                self.tracks.insert(room.clone(), Track::new(position, at));
                continue;
            };
            let mut problems = Vec::new();
            if let Some(given) = given
                && !track.suspended
                && given.offset != track.complete()
            {
                problems
                    .push((Check::Client, format!("gives {given:?} of {room} and has all up to {}", track.complete())));
            }
            match (given, goes_on) {
                (Some(given), Some(_)) => {
                    if track.position_lost(at, room, given, store) {
                        track.claimed = Some((at, format!("{room} goes on from {given:?}, which the store has lost")));
                    }
                    if position.offset != given.offset {
                        let what = format!("{room} goes on from {given:?}, said to be {position:?}");
                        problems.push((Check::FalselyRecovered, what));
                    }
                    track.has.split_off(&(given.offset + 1));
                    track.go_on(given);
                    track.just_recovered = true;
                    track.suspended = false;
                }
                (Some(given), None) => {
                    if !track.position_lost(at, room, given, store) {
                        let what =
                            format!("{room} is unrecovered from {given:?}, which the log held; now at {position:?}");
                        problems.push((Check::Refused, what));
                    }
                    track.forget_lost(at, room, 0, store, verdict);
                    track.anew(position, at);
                }
                (None, _) => {
                    if !track.suspended {
                        problems.push((Check::Client, format!("gives no position of {room}")));
                    }
                    track.anew(position, at);
                }
            }
            for (check, what) in problems {
                verdict.offend(check, at, self.says(&what));
            }
        }
        let gone: Vec<String> = self.tracks.keys().filter(|room| !rooms.contains_key(*room)).cloned().collect();
        for room in gone {
            verdict.offend(Check::Refused, at, self.says(&format!("is no member of {room} any more")));
            self.tracks.remove(&room);
        }
    }

    fn join(&mut self, Join { room, position }: &Join, at: Millis) {
        match self.tracks.get_mut(room) {
            Some(track) => track.anew(position, at),
            None => drop(self.tracks.insert(room.clone(), Track::new(position, at))),
        }
    }

    fn event(&mut self, event: &Event, at: Millis, verdict: &mut Verdict) {
        let Event { room, epoch, offset, stored, paged, by, nonce, .. } = event;
        let message = by.clone().zip(nonce.clone());
        if message.is_some() {
            let counts = &mut verdict.counts;
            *(if *paged {
                &mut counts.paged
            } else if *stored < self.began {
                &mut counts.replayed
            } else {
                &mut counts.live
            }) += 1;
        }
        let Some(track) = self.tracks.get_mut(room) else {
            verdict.offend(Check::OutOfOrder, at, self.says(&format!("{offset} of {room} before a position")));
            return;
        };
        if track.suspended {
            return;
        }
        let due = if *paged { track.missing.front().map_or(track.last + 1, |(from, _)| *from) } else { track.last + 1 };
        if *offset != due {
            let check = match track.has.get(offset) {
                _ if *offset > due && track.just_recovered => Check::FalselyRecovered,
                _ if *offset > due => Check::Lost,
                Some(held) if held.message == message => Check::Duplicated,
                _ => Check::OutOfOrder,
            };
            let how = if *paged { "a page" } else { "live or replayed" };
            let what = format!("{offset} of {room} ({epoch}, {how}) where {due} ({}) is due", track.epoch);
            let what = self.says(&what);
            verdict.offend(check, at, what);
        }
        let Some(track) = self.tracks.get_mut(room) else { return };
        track.just_recovered = false;
        if *paged {
            if let Some(first) = track.missing.front_mut() {
                first.0 = offset + 1;
                if first.0 > first.1 {
                    track.missing.pop_front();
                }
            }
        } else {
            track.last = track.last.max(*offset);
            track.epoch.clone_from(epoch);
        }
        let held = Held { epoch: epoch.clone(), stored: *stored, heard: at, message };
        track.has.insert(*offset, held);
    }

    fn gap(&mut self, gap: &Gap, at: Millis, store: &Store, verdict: &mut Verdict) {
        let Gap { room, epoch, from, to } = gap;
        verdict.counts.gaps += 1;
        let Some(track) = self.tracks.get_mut(room) else {
            verdict.offend(Check::OutOfOrder, at, self.says(&format!("a gap of {room} before a position")));
            return;
        };
        if track.suspended {
            // Who begins anew after a refused page hears no entries until then, but this tells of a loss all the same.
            if *epoch != track.epoch {
                track.forget_lost(at, room, *from, store, verdict);
            }
            return;
        }
        let mut problem = None;
        if *from > track.last + 1 {
            let check = if track.just_recovered { Check::FalselyRecovered } else { Check::Lost };
            problem = Some((check, format!("the gap {gap:?} where {} is due", track.last + 1)));
        } else if *from <= track.last {
            let undone: Vec<u64> = track.has.range(from..).map(|(offset, _)| *offset).collect();
            track.forget_lost(at, room, *from, store, verdict);
            // What is of the new life already came with a page before the gap; it is paged once more.
            let held = undone.iter().filter_map(|offset| track.has.get(offset));
            let kept = held.filter(|held| held.epoch != *epoch).count();
            track.claimed = None;
            if kept > 0 || *epoch == track.epoch {
                let what = format!(
                    "the gap {gap:?} undoes {kept} entries that the log held (last {}, {})",
                    track.last, track.epoch
                );
                problem = Some((Check::Refused, what));
            }
            track.has.split_off(from);
        }
        track.missing.retain(|(first, _)| first < from);
        if let Some(last) = track.missing.back_mut() {
            last.1 = last.1.min(from - 1);
        }
        if to >= from {
            track.missing.push_back((*from, *to));
        }
        track.last = *to;
        track.epoch.clone_from(epoch);
        track.just_recovered = false;
        if let Some((check, what)) = problem {
            verdict.offend(check, at, self.says(&what));
        }
    }

    fn refused(&mut self, refused: &Refused, at: Millis, store: &Store, verdict: &mut Verdict) {
        let Refused { room, epoch, after } = refused;
        let Some(track) = self.tracks.get_mut(room) else { return };
        track.suspended = true;
        // The gap named entries up to its end: were they lost since, then this is how it is told.
        let end = track.missing.front().map_or(*after, |(_, to)| *to);
        if !store.lost_by(at, room, epoch, end, at) {
            let what = self.says(&format!("log:get of {room} after {after} ({epoch}) is refused, and the log held it"));
            verdict.offend(Check::Refused, at, what);
        }
    }

    fn finish(&mut self, store: &Store, at: Millis, verdict: &mut Verdict) {
        let mut silent = Vec::new();
        for (room, track) in &self.tracks {
            if let Some((from, to)) = track.missing.front() {
                verdict.offend(Check::Unfinished, at, self.says(&format!("{from} to {to} of {room} were never paged")));
            }
            if let Some((at, what)) = &track.claimed {
                verdict.offend(Check::FalselyRecovered, *at, self.says(what));
            }
            for (offset, held) in &track.has {
                if store.lost(room, &held.epoch, *offset, held.stored) {
                    verdict.counts.not_told += u64::from(held.message.is_some());
                    silent.push((held.heard, room.clone(), *offset, held.message.clone()));
                }
            }
        }
        for (heard, room, offset, message) in silent {
            let what = format!("the store lost {offset} of {room} ({message:?}), and the person was never told");
            verdict.offend(Check::KeptSilent, heard, self.says(&what));
        }
    }
}
