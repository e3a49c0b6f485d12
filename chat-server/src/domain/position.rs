//! Positions in the log of a room.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::RoomId;

/// Milliseconds since 1970, by the store's clock.
pub type Millis = u64;

/// The place of an entry in a room's log: 1 for the first, 0 for "before the first".
pub type Offset = u64;

/// The epoch of an offset. A log begins a new epoch when its store may have lost entries, so that an
/// offset that is assigned twice never names two entries. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Epoch(std::sync::Arc<str>);

impl Epoch {
    /// Wraps an epoch as it is stored.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The epoch as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All entries up to and including `offset`, in an epoch of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Position {
    /// The epoch of the offset.
    pub epoch: Epoch,
    /// The offset of the last entry that was received.
    pub offset: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

/// Entries of a room's log that a client may have missed: it pages them with `log:get`.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Gap<'a> {
    /// The room.
    pub room: &'a RoomId,
    /// The epoch of the log.
    pub epoch: &'a Epoch,
    /// The first of them.
    pub from: Offset,
    /// The last of them.
    pub to: Offset,
}

/// The epoch of a log and the epochs before it. Offsets continue from one epoch to the next. An entry
/// of an earlier epoch is valid up to where that epoch and all epochs after it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage {
    /// The present epoch; empty if the log has none yet.
    pub epoch: Epoch,
    /// Where earlier epochs ended, oldest first.
    pub ended: Vec<Position>,
}

impl Lineage {
    /// Up to which offset an entry of an epoch is the entry that the log holds at that offset. `None` if
    /// the epoch is not known.
    #[must_use]
    pub fn shared_with(&self, epoch: &Epoch) -> Option<Offset> {
        if *epoch == self.epoch {
            return Some(Offset::MAX);
        }
        let from = self.ended.iter().rposition(|end| end.epoch == *epoch)?;
        // A later epoch may have ended at a lower offset than an earlier one: more was lost then.
        self.ended[from..].iter().map(|end| end.offset).min()
    }

    /// Up to which offset this log and another view of it agree.
    #[must_use]
    pub fn shared_with_log(&self, other: &Self) -> Option<Offset> {
        if let Some(shared) = self.shared_with(&other.epoch) {
            return Some(shared);
        }
        // The epoch that is not known here continued earlier ones, up to where they ended.
        let mut upto = Offset::MAX;
        other.ended.iter().rev().find_map(|end| {
            upto = upto.min(end.offset);
            self.shared_with(&end.epoch).map(|shared| shared.min(upto))
        })
    }

    /// Whether all entries up to `position` are entries of this log, removed ones included.
    #[must_use]
    pub fn holds(&self, position: &Position) -> bool {
        self.shared_with(&position.epoch).is_some_and(|shared| position.offset <= shared)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(epoch: &str, offset: Offset) -> Position {
        Position { epoch: Epoch::new(epoch), offset }
    }

    #[test]
    fn a_position_is_held_up_to_the_lowest_end_of_the_epochs_since() {
        let ended = vec![position("a", 10), position("b", 15), position("c", 12)];
        let lineage = Lineage { epoch: Epoch::new("d"), ended };
        assert!(lineage.holds(&position("d", 99)));
        assert!(lineage.holds(&position("c", 12)) && !lineage.holds(&position("c", 13)));
        assert!(lineage.holds(&position("b", 12)) && !lineage.holds(&position("b", 13)), "c lost a part of b");
        assert!(lineage.holds(&position("a", 10)) && !lineage.holds(&position("a", 11)));
        assert!(!lineage.holds(&position("x", 0)), "an unknown epoch");
    }

    #[test]
    fn an_epoch_that_was_lost_entirely_is_shared_up_to_where_it_began() {
        let lost = Lineage { epoch: Epoch::new("lost"), ended: vec![position("a", 10), position("b", 20)] };
        let back = Lineage { epoch: Epoch::new("c"), ended: vec![position("a", 10), position("b", 25)] };
        assert_eq!(back.shared_with(&lost.epoch), None);
        assert_eq!(back.shared_with_log(&lost), Some(20));
        let further = Lineage { epoch: Epoch::new("d"), ended: vec![position("a", 7)] };
        assert_eq!(further.shared_with_log(&lost), Some(7));
        assert_eq!(Lineage::default().shared_with_log(&lost), None);
    }

    /// A store at one moment: its entries and its lineage.
    #[derive(Clone)]
    struct Store {
        lineage: Lineage,
        /// Entries, each of which is told from all others by its number.
        log: Vec<u32>,
    }

    impl Store {
        fn position(&self) -> Position {
            Position { epoch: self.lineage.epoch.clone(), offset: self.log.len() as Offset }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// An entry is stored, and somebody receives everything up to it.
        Append,
        /// The store comes back as it was so many steps before (0: as it is), and begins a new epoch.
        Restart(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![4 => Just(Step::Append), 1 => (0usize..6).prop_map(Step::Restart)];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn a_position_holds_exactly_while_all_that_it_stands_for_is_in_the_log(steps in steps()) {
            let first = Lineage { epoch: Epoch::new("e0"), ended: Vec::new() };
            let mut store = Store { lineage: first, log: Vec::new() };
            // What the store held after each step, of which the end may be lost.
            let mut past = vec![store.clone()];
            let mut received = vec![store.clone()];
            for (number, step) in (1u32..).zip(steps) {
                match step {
                    Step::Append => store.log.push(number),
                    Step::Restart(lost) => {
                        store = past[past.len() - 1 - lost.min(past.len() - 1)].clone();
                        let ended = store.position();
                        store.lineage.ended.push(ended);
                        store.lineage.epoch = Epoch::new(&format!("e{number}"));
                    }
                }
                past.push(store.clone());
                received.push(store.clone());
            }
            for client in &received {
                let position = client.position();
                let holds = store.lineage.holds(&position);
                let is_prefix = store.log.starts_with(&client.log);
                prop_assert!(!holds || is_prefix, "{position} is held and is not what the log has");
                // An epoch that was begun and lost with all its entries is not known any more.
                let known = store.lineage.shared_with(&position.epoch).is_some();
                prop_assert!(holds || !is_prefix || !known, "{position} is refused although the log has it all");
            }
        }
    }
}
