//! What a run comes to, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::faults::Happened;
use super::judge::{Check, Verdict};
use super::run::Plan;
use super::schedule::{Kind, Lane};

/// How many offences are shown.
const SHOWN: usize = 12;

/// The ledger of a run.
pub(crate) fn ledger(plan: &Plan, verdict: &Verdict, happened: &[Happened]) -> String {
    let Verdict { counts, times, .. } = verdict;
    let broken = |check| verdict.broken(check);
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "  {name:<22} {value}").expect("a text takes all");
    line("seed", format!("{}, {} s of talk", plan.seed, plan.length.as_secs()));
    line("nodes, people, rooms", format!("{}, {}, {} and the lobby", plan.nodes, plan.people, plan.rooms));
    line("sent", format!("{}, {} of them more than once", counts.sent, counts.resent));
    line("acked", counts.acked.to_string());
    line(
        "delivered",
        format!("{} ({} live, {} replayed, {} paged)", counts.delivered, counts.live, counts.replayed, counts.paged),
    );
    line("lost", broken(Check::Lost).to_string());
    line("duplicated", broken(Check::Duplicated).to_string());
    line("out of order", broken(Check::OutOfOrder).to_string());
    line("disagreements", broken(Check::Disagreement).to_string());
    line("nonces moved", broken(Check::NonceMoved).to_string());
    line("falsely recovered", broken(Check::FalselyRecovered).to_string());
    line("refused", broken(Check::Refused).to_string());
    line(
        "lost by the store",
        format!(
            "{}, {} of them healed by who sent them; members told {}, not told {}",
            counts.lost_by_store, counts.healed, counts.told, counts.not_told
        ),
    );
    line(
        "sessions",
        format!(
            "{}, {} recovered, {} rooms unrecovered, {} gaps",
            counts.sessions, counts.recovered, counts.unrecovered, counts.gaps
        ),
    );
    let spread = times.recoveries;
    line(
        "time to recover",
        format!("p50 {} ms, p99 {} ms, max {} ms of {}", spread.p50, spread.p99, spread.max, spread.count),
    );
    line("longest silence", format!("{} ms", times.silence));
    if !times.outages.is_empty() {
        line("stored again after", format!("{:?} ms without Redis", times.outages));
    }
    for (name, spread) in [("send to ack", times.acks), ("and not hindered", times.acks_unhindered)] {
        line(name, format!("p50 {} ms, p99 {} ms, max {} ms", spread.p50, spread.p99, spread.max));
    }
    for (name, share) in [("acked within 5 s", times.in_time), ("and not hindered", times.in_time_unhindered)] {
        line(name, format!("{:.2} % ({} of {})", share.percent(), share.part, share.whole));
    }
    for (kind, (fired, hits)) in tally(happened) {
        line(&format!("{kind:?}"), format!("{fired} times, hit {hits} {}", unit(kind)));
    }
    text
}

/// How often each kind of fault was carried out, and how much it hit.
pub(crate) fn tally(happened: &[Happened]) -> BTreeMap<Kind, (u64, u64)> {
    let mut tally: BTreeMap<Kind, (u64, u64)> = BTreeMap::new();
    for happened in happened {
        let (fired, hits) = tally.entry(happened.kind).or_default();
        *fired += 1;
        *hits += happened.hits;
    }
    tally
}

fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::RedisLost => "entries",
        Kind::SlotMoved => "rooms",
        Kind::SharedKeysLost => "keys",
        Kind::PubsubKilled => "subscribers",
        kind if kind.lane() == Lane::Redis => "connections of nodes",
        Kind::ReadersSlow | Kind::ReadersAsleep | Kind::PeopleLeave => "people",
        _ => "sockets",
    }
}

/// The first offences, and how many there are of each kind.
pub(crate) fn offences(verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut shown: BTreeMap<Check, usize> = BTreeMap::new();
    for offence in &verdict.offences {
        let shown = shown.entry(offence.check).or_default();
        *shown += 1;
        if *shown <= SHOWN {
            writeln!(text, "  {:?} at {}: {}", offence.check, offence.at, offence.what).expect("a text takes all");
        }
    }
    for (check, count) in shown {
        writeln!(text, "  {count} × {check:?}").expect("a text takes all");
    }
    text
}
