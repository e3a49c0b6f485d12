//! The last reserve of the store's memory: kept for messages, whatever else is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::domain::error::{Code, Refusal};
use crate::domain::limits::{Limit, STORE_RESERVE_PERCENT};

/// When to ask again for what was refused.
const RETRY_AFTER_MS: u64 = 5_000;

/// How much of the store's memory is in use, as last heard. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Reserve(Arc<AtomicU32>);

impl Reserve {
    /// Notes the share of the memory that is in use.
    pub fn note(&self, used: f64) {
        // A percentage, cut to what its type holds.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        self.0.store((used * 100.0).clamp(0.0, 1_000.0) as u32, Ordering::Relaxed);
    }

    /// How much is in use, in percent, if only the reserve is left.
    #[must_use]
    pub fn in_use(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|percent| *percent >= 100 - STORE_RESERVE_PERCENT)
    }

    /// Whether there is memory for something other than messages.
    ///
    /// # Errors
    /// `unavailable` if only the reserve is left.
    pub fn spare(&self) -> Result<(), Refusal> {
        match self.in_use() {
            None => Ok(()),
            Some(_) => {
                let what = "the store is almost full and takes messages only; try again later";
                Err(Refusal::new(Code::Unavailable, what).at(Limit::StoreMemory).retry_after_ms(RETRY_AFTER_MS))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tenth_is_the_reserve() {
        let reserve = Reserve::default();
        assert_eq!(reserve.spare(), Ok(()));
        for (used, spare) in [(0.0, true), (0.899, true), (0.9, false), (7.0, false), (f64::NAN, true), (0.5, true)] {
            reserve.note(used);
            assert_eq!(reserve.spare().is_ok(), spare, "{used}");
        }
    }
}
