//! What a client has missed, and whether the log still holds it.

use std::sync::Arc;

use crate::domain::id::RoomId;
use crate::domain::limits::RECOVERY_LIMIT;
use crate::domain::position::{Lineage, Offset, Position};
use crate::store::{Entry, Keep, LogStore, Range, StoreError, Stores, Topic};

/// Entries read at a time.
const READ_AT_ONCE: usize = 100;

/// Reads what clients have missed.
#[derive(Clone)]
pub struct Recovery {
    log: Arc<dyn LogStore>,
}

/// Whether a client can go on from where it was.
pub enum Continuation {
    /// It can: the log holds everything after its position.
    Covered {
        /// The epochs of the log.
        lineage: Lineage,
    },
    /// It can't: a part is gone, or the store lost what the position stands for.
    Lost {
        /// Of what the client has, up to where the log still holds the same, if that is less than it has.
        forked_at: Option<Offset>,
    },
}

/// What a client has missed that asks once.
pub struct Missed {
    /// The epochs of the log.
    pub lineage: Lineage,
    /// The entries after its position, one more than [`RECOVERY_LIMIT`] at most.
    pub entries: Vec<Entry>,
}

/// The next of what lies between what a client has and where its live events begin.
pub enum Step {
    /// These entries, which come next.
    Entries(Vec<Entry>),
    /// What is left is not sent entry by entry: it is too much, or a part of it is gone.
    Gap,
    /// The store lost entries meanwhile.
    Refused,
}

impl Recovery {
    /// Reads the logs of a store.
    #[must_use]
    pub fn new(stores: &Stores) -> Self {
        Self { log: stores.log.clone() }
    }

    /// Whether the log holds everything after `since`.
    ///
    /// # Errors
    /// The store's.
    pub async fn continuation(&self, room: &RoomId, since: &Position) -> Result<Continuation, StoreError> {
        let range = Range { after: since.offset, before: None, limit: 1, keep: Keep::Oldest };
        let slice = self.log.read(&Topic::room(room), range).await?;
        if slice.covers(since) {
            return Ok(Continuation::Covered { lineage: slice.lineage });
        }
        let forked_at = slice.lineage.shared_with(&since.epoch).filter(|shared| *shared < since.offset);
        Ok(Continuation::Lost { forked_at })
    }

    /// What came after `since`; `None` if the log does not hold all of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn missed(&self, room: &RoomId, since: &Position) -> Result<Option<Missed>, StoreError> {
        // A limit far below what a usize holds.
        #[allow(clippy::cast_possible_truncation)]
        let limit = RECOVERY_LIMIT as usize + 1;
        let range = Range { after: since.offset, before: None, limit, keep: Keep::Oldest };
        let slice = self.log.read(&Topic::room(room), range).await?;
        Ok(slice.covers(since).then_some(Missed { lineage: slice.lineage, entries: slice.entries }))
    }

    /// What comes next after `has`, up to `head`.
    ///
    /// # Errors
    /// The store's.
    pub async fn next(&self, room: &RoomId, head: &Position, has: Offset) -> Result<Step, StoreError> {
        let range = Range { after: has, before: Some(head.offset + 1), limit: READ_AT_ONCE, keep: Keep::Oldest };
        let slice = self.log.read(&Topic::room(room), range).await?;
        if !slice.lineage.holds(head) {
            return Ok(Step::Refused);
        }
        let contiguous = slice.first <= has + 1 && !slice.entries.is_empty();
        if !contiguous || head.offset - has > RECOVERY_LIMIT { Ok(Step::Gap) } else { Ok(Step::Entries(slice.entries)) }
    }
}
