//! What people noticed of what was done to their chat.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::account::{Line, Millis, Person, What};
use super::crowd;
use super::judge::{Check, Counts, Verdict};
use crate::harness::Spread;

const SECOND: Millis = 1_000;

/// Of how many people it is true, by number.
type Histogram = BTreeMap<usize, usize>;

/// What people noticed.
#[derive(Debug)]
pub(crate) struct Report {
    counts: Counts,
    /// How often each kind of promise was broken.
    broken: Vec<(&'static str, usize)>,
    /// How many of those who use WebSocket were moved how often: their sessions after the first.
    websocket: Histogram,
    /// The same of those who poll.
    polling: Histogram,
    /// Why connections ended, and how many.
    closed: BTreeMap<String, usize>,
    /// Sessions after the first, by second of the talk.
    seconds: BTreeMap<Millis, usize>,
    /// The most of them within a second, whenever that begins.
    pub(crate) peak: usize,
    /// From the end of a connection to the next session, in milliseconds.
    recoveries: Vec<Millis>,
    /// The longest silence of each person, in milliseconds: from the ack of a message to whoever sent it until it came.
    silences: BTreeMap<Person, Millis>,
}

impl Report {
    /// How many people there were.
    pub(crate) fn people(&self) -> usize {
        [&self.websocket, &self.polling].into_iter().flat_map(Histogram::values).sum()
    }

    /// How many people were moved more than so many times.
    pub(crate) fn moved_more_than(&self, times: usize) -> usize {
        let all = [&self.websocket, &self.polling].into_iter().flatten();
        all.filter(|(moves, _)| **moves > times).map(|(_, people)| people).sum()
    }
}

/// Puts it together from all accounts; `begun` is when the talk began.
pub(crate) fn report(lines: &[Line], verdict: &Verdict, begun: Millis) -> Report {
    let checks = [
        ("lost", Check::Lost),
        ("duplicated", Check::Duplicated),
        ("out of order", Check::OutOfOrder),
        ("falsely recovered", Check::FalselyRecovered),
        ("refused", Check::Refused),
        ("unfinished", Check::Unfinished),
    ];
    let mut sessions: BTreeMap<Person, Vec<Millis>> = BTreeMap::new();
    let (mut closed, mut since, mut recoveries) = (BTreeMap::new(), HashMap::new(), Vec::new());
    for line in lines {
        match &line.what {
            What::Session(_) => {
                sessions.entry(line.person).or_default().push(line.at);
                recoveries.extend(since.remove(&line.person).map(|since| line.at - since));
            }
            What::Close(close) => {
                *closed.entry(close.reason.clone()).or_default() += 1;
                since.insert(line.person, line.at);
            }
            _ => {}
        }
    }
    let (mut websocket, mut polling) = (Histogram::new(), Histogram::new());
    for (&person, sessions) in &sessions {
        let moves = if crowd::polls(person) { &mut polling } else { &mut websocket };
        *moves.entry(sessions.len() - 1).or_default() += 1;
    }
    let mut again: Vec<Millis> = sessions.into_values().flat_map(|sessions| sessions.into_iter().skip(1)).collect();
    again.sort_unstable();
    let mut seconds = BTreeMap::new();
    for at in &again {
        *seconds.entry(at.saturating_sub(begun) / SECOND).or_default() += 1;
    }
    Report {
        counts: verdict.counts.clone(),
        broken: checks.map(|(name, check)| (name, verdict.broken(check))).to_vec(),
        websocket,
        polling,
        closed,
        seconds,
        peak: peak(&again),
        recoveries,
        silences: silences(lines),
    }
}

/// The most that lie within a second.
fn peak(sorted: &[Millis]) -> usize {
    let until = |at: Millis| sorted.partition_point(|other| *other < at + SECOND);
    sorted.iter().enumerate().map(|(place, at)| until(*at) - place).max().unwrap_or(0)
}

/// The longest that each person had to wait for a message after it was acked to somebody.
fn silences(lines: &[Line]) -> BTreeMap<Person, Millis> {
    let mut rooms = HashMap::new();
    let mut acked: HashMap<(&str, &str, u64), Millis> = HashMap::new();
    for line in lines {
        match &line.what {
            What::Send(send) => drop(rooms.insert((line.person, &send.nonce), send.room.as_str())),
            What::Ack(ack) => {
                let Some(room) = rooms.get(&(line.person, &ack.nonce)) else { continue };
                let first = acked.entry((room, &ack.position.epoch, ack.position.offset)).or_insert(line.at);
                // Whoever says it once more is acked once more.
                *first = line.at.min(*first);
            }
            _ => {}
        }
    }
    let mut longest = BTreeMap::new();
    for line in lines {
        let What::Event(event) = &line.what else { continue };
        let Some(acked) = acked.get(&(event.room.as_str(), &event.epoch, event.offset)) else { continue };
        let longest: &mut Millis = longest.entry(line.person).or_default();
        *longest = line.at.saturating_sub(*acked).max(*longest);
    }
    longest
}

/// Times in milliseconds, none of which is so long that it would matter.
#[allow(clippy::cast_precision_loss)]
fn spread<'a>(times: impl IntoIterator<Item = &'a Millis>) -> Spread {
    Spread::of(times.into_iter().map(|time| *time as f64))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { sent, acked, resent, delivered, live, replayed, paged, .. } = self.counts;
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(f, "  {name:<22} {value}");
        line("sent", &format_args!("{sent}, {resent} of them more than once"))?;
        line("acked", &acked)?;
        line("delivered", &format_args!("{delivered} ({live} live, {replayed} replayed, {paged} paged)"))?;
        for (name, count) in &self.broken {
            line(name, count)?;
        }
        line("moves, WebSocket", &format_args!("{:?} (moves: people)", self.websocket))?;
        line("moves, polling", &format_args!("{:?}", self.polling))?;
        line("connections ended", &format_args!("{:?}", self.closed))?;
        line("time to recover", &spread(&self.recoveries))?;
        let longest = self.silences.iter().max_by_key(|(_, silence)| **silence);
        let (person, silence) = longest.unwrap_or((&0, &0));
        line("longest silence", &format_args!("{silence} ms, of person {person}"))?;
        line("of each person", &spread(self.silences.values()))?;
        line("reconnects", &format_args!("{} in any second at most", self.peak))?;
        for (second, count) in &self.seconds {
            writeln!(f, "    {second:>4} s {count:>4} {}", "#".repeat(*count))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::line;
    use super::*;

    fn reported(lines: &[&str]) -> Report {
        let lines: Vec<Line> = lines.iter().map(|text| line(text)).collect();
        report(&lines, &Verdict::default(), 1_000)
    }

    fn session(person: Person, at: Millis) -> String {
        format!(
            r#"["session",{at},{person},{{"node":"n","user":"u","given":null,"recovered":false,"unrecovered":[],"rooms":{{}}}}]"#
        )
    }

    #[test]
    fn moves_are_counted_apart_and_the_peak_lies_across_seconds() {
        // Person 5 polls.
        let told = [(0, 500), (5, 500), (0, 1_900), (5, 2_100), (0, 2_899), (5, 2_900)];
        let lines = told.map(|(person, at)| session(person, at));
        let report = reported(&lines.each_ref().map(String::as_str));
        assert_eq!(report.websocket, [(2, 1)].into());
        assert_eq!(report.polling, [(2, 1)].into());
        assert_eq!(report.seconds, [(0, 1), (1, 3)].into());
        assert_eq!(report.peak, 3, "from 1.9 s until before 2.9 s");
        assert_eq!((report.people(), report.moved_more_than(0)), (2, 2));
        assert_eq!(report.moved_more_than(2), 0);
    }

    #[test]
    fn silence_is_from_the_first_ack_to_anybody_until_the_message_came() {
        let ack = |at| {
            format!(
                r#"["ack",{at},1,{{"nonce":"1-1","attempt":1,"connection":1,"position":{{"epoch":"e","offset":7}},"id":"m","at":1}}]"#
            )
        };
        let event = |person, at| {
            format!(
                r#"["event",{at},{person},{{"room":"r","epoch":"e","offset":7,"id":"m","at":1,"paged":false,"by":"u","nonce":"1-1"}}]"#
            )
        };
        let send = r#"["send",100,1,{"room":"r","nonce":"1-1","attempt":1,"connection":1}]"#.to_owned();
        let lines = [send, event(1, 105), ack(110), ack(900), event(2, 1_110)];
        let report = reported(&lines.each_ref().map(String::as_str));
        assert_eq!(report.silences, [(1, 0), (2, 1_000)].into());
    }
}
