//! How long things took.

use std::collections::BTreeMap;

use super::order::Sent;
use super::{Store, percentile};
use crate::history::account::{Line, Millis, Person, What};
use crate::history::faults::{Happened, Outage};
use crate::history::schedule::Kind;

/// An ack that comes later than this is late.
const IN_TIME: Millis = 5_000;

/// The middle, the end, and the very end.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) p50: Millis,
    pub(crate) p99: Millis,
    pub(crate) max: Millis,
    pub(crate) count: usize,
}

impl Spread {
    fn of(mut all: Vec<Millis>) -> Self {
        all.sort_unstable();
        Self {
            p50: percentile(&all, 50),
            p99: percentile(&all, 99),
            max: all.last().copied().unwrap_or(0),
            count: all.len(),
        }
    }
}

/// So many of so many.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) part: u64,
    pub(crate) whole: u64,
}

impl Share {
    fn count(&mut self, is_part: bool) {
        self.whole += 1;
        self.part += u64::from(is_part);
    }

    /// In percent; all of nothing is all.
    #[allow(clippy::cast_precision_loss)] // Nobody sends that many messages.
    pub(crate) fn percent(&self) -> f64 {
        if self.whole == 0 { 100.0 } else { self.part as f64 * 100.0 / self.whole as f64 }
    }
}

/// How long things took.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From the wish to send to the ack.
    pub(crate) acks: Spread,
    /// And of those that count for [`Times::in_time_unhindered`].
    pub(crate) acks_unhindered: Spread,
    /// From the end of a connection to the next session.
    pub(crate) recoveries: Spread,
    /// From each end of a Redis to the first message that the next one stored.
    pub(crate) outages: Vec<Millis>,
    /// The longest that somebody heard nothing who was reading, until the last line of talk.
    pub(crate) silence: Millis,
    /// Sends acked in time, outside of the downtime of Redis.
    pub(crate) in_time: Share,
    /// And outside of what was done to the sender, its node or its link: stopped, stalled, cut, away, not reading.
    pub(crate) in_time_unhindered: Share,
}

type Span = (Millis, Millis);

fn overlaps((from, to): Span, (begun, ended): Span) -> bool {
    from <= ended && begun <= to
}

/// Where a person was, and when it could not have been answered for a reason of its own.
struct Whereabouts {
    /// From when on which address was tried.
    places: Vec<(Millis, usize)>,
    deaf: Vec<Span>,
}

impl Whereabouts {
    fn of(lines: &[&Line]) -> Self {
        let mut places = vec![(0, usize::MAX)];
        let (mut deaf, mut left) = (Vec::new(), None);
        for line in lines {
            match &line.what {
                What::Try(tried) => places.push((line.at, tried.url)),
                What::Session(session) => {
                    let node = session.node.rsplit('-').next().and_then(|number| number.parse().ok());
                    places.push((line.at, node.unwrap_or(usize::MAX)));
                    if let Some(since) = left.take() {
                        deaf.push((since, line.at));
                    }
                }
                What::Pause(pause) => deaf.push((line.at, line.at + pause.ms)),
                What::Close(close) if close.reason == "io client disconnect" => left = Some(line.at),
                _ => {}
            }
        }
        Self { places, deaf }
    }

    /// Whether the person was at a node, or tried to be, at some moment of a span.
    fn was_at(&self, node: usize, (from, to): Span) -> bool {
        let last_before = self.places.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        self.places[last_before..].iter().take_while(|(at, _)| *at <= to).any(|(_, place)| *place == node)
    }
}

/// Whether a fault keeps those at a node from being answered while it lasts.
fn hinders(kind: Kind) -> bool {
    matches!(kind, Kind::NodeFrozen | Kind::LinkCut | Kind::LinkStalled | Kind::BusCut | Kind::BusStalled)
}

/// Whether a fault keeps all from being answered while it lasts.
fn hinders_all(kind: Kind) -> bool {
    kind == Kind::RedisRefuses
}

pub(super) fn of(
    people: &BTreeMap<Person, Vec<&Line>>,
    sends: &BTreeMap<Person, Vec<Sent>>,
    happened: &[Happened],
    store: &Store,
) -> Times {
    let mut times = Times::default();
    let (mut acks, mut unhindered, mut recoveries) = (Vec::new(), Vec::new(), Vec::new());
    let talk_ended = sends.values().flatten().map(|sent| sent.issued).max().unwrap_or(0);
    for (person, lines) in people {
        let whereabouts = Whereabouts::of(lines);
        for sent in &sends[person] {
            let Some(ack) = sent.acks.first() else { continue };
            let span = (sent.issued, ack.at);
            acks.push(span.1 - span.0);
            let in_time = span.1 - span.0 <= IN_TIME;
            if store.outages.iter().any(|outage| overlaps(span, (outage.down, outage.up))) {
                continue;
            }
            times.in_time.count(in_time);
            let hindered = whereabouts.deaf.iter().any(|deaf| overlaps(span, *deaf))
                || happened.iter().any(|fault| {
                    let at = fault.node.filter(|_| hinders(fault.kind));
                    overlaps(span, (fault.begun, fault.ended))
                        && (hinders_all(fault.kind) || at.is_some_and(|node| whereabouts.was_at(node, span)))
                });
            if !hindered {
                times.in_time_unhindered.count(in_time);
                unhindered.push(span.1 - span.0);
            }
        }
        let (mut closed, mut heard): (Option<Millis>, Option<Millis>) = (None, None);
        for line in lines {
            match &line.what {
                What::Close(close) if close.reason != "io client disconnect" => {
                    // Who sleeps does not try to come back.
                    closed =
                        Some(line.at).filter(|at| !whereabouts.deaf.iter().any(|deaf| overlaps((*at, *at), *deaf)));
                }
                What::Session(_) => recoveries.extend(closed.take().map(|closed| line.at - closed)),
                What::Event(_) => {
                    if let Some(before) = heard.replace(line.at)
                        && line.at <= talk_ended
                        && !whereabouts.deaf.iter().any(|deaf| overlaps((before, line.at), *deaf))
                    {
                        times.silence = times.silence.max(line.at - before);
                    }
                }
                _ => {}
            }
        }
    }
    times.outages = store.outages.iter().filter_map(|outage| stored_again(outage, sends)).collect();
    times.acks = Spread::of(acks);
    times.acks_unhindered = Spread::of(unhindered);
    times.recoveries = Spread::of(recoveries);
    times
}

/// How long after the end of a Redis the next one stored a message, of those rooms that were away.
fn stored_again(outage: &Outage, sends: &BTreeMap<Person, Vec<Sent>>) -> Option<Millis> {
    let concerned = sends.values().flatten().filter(|sent| outage.heads.contains_key(&sent.room));
    let stored = concerned.flat_map(|sent| &sent.acks).map(|ack| ack.stored);
    stored.filter(|stored| *stored >= outage.up).min().map(|first| first - outage.down)
}
