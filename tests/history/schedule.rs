//! What goes wrong, and when: a function of the seed alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// `kill -9` of a node, and its start.
    NodeKilled,
    /// SIGTERM of a node, and its start.
    NodeEnded,
    /// SIGSTOP of a node, and SIGCONT.
    NodeFrozen,
    /// SIGTERM of Redis, and its start with all that it had.
    RedisRestarted,
    /// `kill -9` of Redis, and its start with what it had some seconds before.
    RedisLost,
    /// The keys by which nodes tell who is there, and which names are taken, are deleted by hand.
    SharedKeysLost,
    /// Redis answers, and refuses writes: too few replicas, or its memory is full.
    RedisRefuses,
    /// `kill -9` of a primary, whose replica takes over; it comes back as a replica.
    PrimaryKilled,
    /// The same, where replicas were cut off some time before: as many as acks don't wait for.
    PrimaryLost,
    /// The slot of a room goes to another shard.
    SlotMoved,
    /// `CLIENT KILL TYPE pubsub`.
    PubsubKilled,
    /// The connections of a node to Redis are closed, and new ones too.
    BusCut,
    /// Nothing gets through between a node and Redis.
    BusStalled,
    /// Everything is late between a node and Redis.
    BusDelayed,
    /// The connections of people to a node are closed, and new ones too.
    LinkCut,
    /// Nothing gets through between people and a node.
    LinkStalled,
    /// Everything is late between people and a node.
    LinkDelayed,
    /// Some people read nothing for some seconds.
    ReadersSlow,
    /// Some people read nothing for longer than the server waits.
    ReadersAsleep,
    /// Some people go and come back.
    PeopleLeave,
}

/// What is not touched by two faults at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Nodes,
    Redis,
    Links,
    People,
}

impl Kind {
    /// All that can go wrong over one Redis.
    pub(crate) const ALL: [Self; 17] = [
        Self::NodeKilled,
        Self::NodeEnded,
        Self::NodeFrozen,
        Self::RedisRestarted,
        Self::RedisLost,
        Self::SharedKeysLost,
        Self::RedisRefuses,
        Self::PubsubKilled,
        Self::BusCut,
        Self::BusStalled,
        Self::BusDelayed,
        Self::LinkCut,
        Self::LinkStalled,
        Self::LinkDelayed,
        Self::ReadersSlow,
        Self::ReadersAsleep,
        Self::PeopleLeave,
    ];

    /// Where it happens.
    pub(crate) fn lane(self) -> Lane {
        match self {
            Self::NodeKilled | Self::NodeEnded | Self::NodeFrozen => Lane::Nodes,
            Self::RedisRestarted
            | Self::RedisLost
            | Self::SharedKeysLost
            | Self::RedisRefuses
            | Self::PrimaryKilled
            | Self::PrimaryLost
            | Self::SlotMoved
            | Self::PubsubKilled
            | Self::BusCut
            | Self::BusStalled
            | Self::BusDelayed => Lane::Redis,
            Self::LinkCut | Self::LinkStalled | Self::LinkDelayed => Lane::Links,
            Self::ReadersSlow | Self::ReadersAsleep | Self::PeopleLeave => Lane::People,
        }
    }

    /// How long it lasts, in milliseconds: between these.
    fn lasts(self) -> (u64, u64) {
        match self {
            Self::NodeKilled => (500, 3_000),
            Self::NodeEnded | Self::PubsubKilled | Self::SharedKeysLost | Self::PrimaryKilled | Self::SlotMoved => {
                (0, 0)
            }
            Self::NodeFrozen => (2_000, 4_000),
            Self::RedisRestarted => (300, 1_500),
            // How much is lost.
            Self::RedisLost => (1_500, 4_000),
            Self::PrimaryLost => (500, 2_000),
            Self::RedisRefuses => (1_500, 5_000),
            Self::BusCut => (300, 2_000),
            Self::BusStalled => (1_500, 5_000),
            Self::BusDelayed => (2_000, 5_000),
            Self::LinkCut => (200, 1_000),
            Self::LinkStalled => (1_500, 5_000),
            Self::LinkDelayed => (2_000, 6_000),
            Self::ReadersSlow => (2_000, 8_000),
            Self::ReadersAsleep => (58_000, 70_000),
            Self::PeopleLeave => (2_000, 12_000),
        }
    }
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// When it begins, counted from the start of the talk.
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    /// Which node of those that somebody is on, or which of the people: whoever needs a number takes the remainder.
    pub(crate) choice: u64,
}

/// Nothing happens before this, so that there is something to be lost.
const CALM_MS: u64 = 1_500;
/// How long a lane rests between two faults, in milliseconds: between these.
const REST: (u64, u64) = (1_000, 7_000);

/// All that goes wrong in a run of this length, by the time at which it begins. In each lane the kinds take turns, in
/// an order of the seed's.
pub(crate) fn schedule(seed: u64, length: Duration, kinds: &[Kind]) -> Vec<Fault> {
    let length = millis(length);
    let mut faults = Vec::new();
    for lane in [Lane::Nodes, Lane::Redis, Lane::Links, Lane::People] {
        let of_lane: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.lane() == lane).collect();
        let mut dice = Dice::new(seed ^ (lane as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut at = CALM_MS + dice.between((0, REST.1 / 2));
        let mut turn: Vec<Kind> = Vec::new();
        // Kinds that would not end in time are left out, so that the others have their turn.
        while of_lane.iter().any(|kind| at + kind.lasts().1 <= length) {
            if turn.is_empty() {
                turn = dice.shuffled(&of_lane);
            }
            let Some(kind) = turn.pop() else { break };
            let lasts = dice.between(kind.lasts());
            let choice = dice.next();
            if at + lasts <= length {
                let (at, lasts) = (Duration::from_millis(at), Duration::from_millis(lasts));
                faults.push(Fault { kind, at, lasts, choice });
            } else {
                continue;
            }
            at += lasts + dice.between(REST);
        }
    }
    faults.sort_by_key(|fault| (fault.at, fault.kind));
    faults
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a length in milliseconds")
}

/// Numbers that look like chance (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// The same in another order.
    pub(crate) fn shuffled<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        let mut all = all.to_vec();
        for last in (1..all.len()).rev() {
            let other = usize::try_from(self.next() % (last as u64 + 1)).expect("below the length");
            all.swap(last, other);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_gives_another() {
        assert_eq!(schedule(7, TEN_MINUTES, &Kind::ALL), schedule(7, TEN_MINUTES, &Kind::ALL));
        assert_ne!(schedule(7, TEN_MINUTES, &Kind::ALL), schedule(8, TEN_MINUTES, &Kind::ALL));
    }

    #[test]
    fn every_kind_has_its_turn_in_a_long_run() {
        for seed in 0..200 {
            let kinds: BTreeSet<Kind> =
                schedule(seed, TEN_MINUTES, &Kind::ALL).iter().map(|fault| fault.kind).collect();
            assert_eq!(kinds.len(), Kind::ALL.len(), "seed {seed}");
        }
    }

    #[test]
    fn only_what_was_asked_for_happens_and_all_of_it_ends_in_time() {
        let kinds = [Kind::NodeKilled, Kind::ReadersAsleep];
        for seed in 0..200 {
            let length = Duration::from_secs(30);
            let faults = schedule(seed, length, &kinds);
            assert!(!faults.is_empty());
            for fault in faults {
                assert_eq!(fault.kind, Kind::NodeKilled, "the other lasts too long");
                assert!(fault.at + fault.lasts <= length, "{fault:?}");
            }
        }
    }

    #[test]
    fn two_faults_never_touch_the_same_thing_at_once() {
        let faults = schedule(3, TEN_MINUTES, &Kind::ALL);
        for lane in [Lane::Nodes, Lane::Redis, Lane::Links, Lane::People] {
            let of_lane: Vec<&Fault> = faults.iter().filter(|fault| fault.kind.lane() == lane).collect();
            assert!(of_lane.windows(2).all(|two| two[0].at + two[0].lasts < two[1].at), "{lane:?}");
        }
    }
}
