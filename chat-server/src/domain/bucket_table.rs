//! How often something may be done, counted for each of many: addresses of strangers, or users to whom something is done.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::rate_limit::Rate;

/// Keys that are told apart. To forget one is to let it begin anew.
const MAX_KEYS: usize = 100_000;
/// The part of them that is forgotten together.
const FORGOTTEN: usize = MAX_KEYS / 8;

/// Token buckets of one rate, one for each key, without a clock of their own.
#[derive(Debug)]
pub struct BucketTable<K> {
    /// Time for one token, in nanoseconds.
    each: u64,
    /// Time for all that can be saved up.
    all: u64,
    /// When the bucket of a key is full again, if it is not.
    full_at: HashMap<K, u64>,
}

impl<K: Eq + Hash> BucketTable<K> {
    /// Full buckets; `None` for a rate that is no limit.
    #[must_use]
    pub fn new(rate: Rate) -> Option<Self> {
        let each = 1_000_000_000_u64.checked_div(rate.per_second.into())?;
        Some(Self { each, all: each.saturating_mul(rate.burst.max(1).into()), full_at: HashMap::new() })
    }

    /// Takes a token of a key, at a time since some beginning.
    ///
    /// # Errors
    /// How long until there is one.
    pub fn take(&mut self, key: K, now: Duration) -> Result<(), Duration> {
        let now = nanoseconds(now);
        let full_at = self.full_at.get(&key).copied();
        let next = full_at.unwrap_or(0).max(now).saturating_add(self.each);
        let wait = Duration::from_nanos(next.saturating_sub(now.saturating_add(self.all)));
        if !wait.is_zero() {
            return Err(wait);
        }
        if full_at.is_none() && self.full_at.len() >= MAX_KEYS {
            self.forget(now);
        }
        self.full_at.insert(key, next);
        Ok(())
    }

    /// Forgets keys whose buckets are full; if these are too few, those whose buckets are the fullest.
    fn forget(&mut self, now: u64) {
        self.full_at.retain(|_, full_at| *full_at > now);
        let mut too_many = self.full_at.len().saturating_sub(MAX_KEYS - FORGOTTEN);
        if too_many > 0 {
            let mut all: Vec<u64> = self.full_at.values().copied().collect();
            let (_, last, _) = all.select_nth_unstable(too_many - 1);
            let last = *last;
            self.full_at.retain(|_, full_at| {
                let goes = *full_at <= last && too_many > 0;
                too_many -= usize::from(goes);
                !goes
            });
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(per_second: u32, burst: u32) -> BucketTable<u32> {
        BucketTable::new(Rate { per_second, burst }).unwrap()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_key_has_its_own_tokens() {
        let mut buckets = buckets(10, 3);
        for _ in 0..3 {
            assert_eq!(buckets.take(1, MS), Ok(()));
        }
        assert_eq!(buckets.take(1, MS), Err(100 * MS));
        assert_eq!(buckets.take(2, MS), Ok(()));
        assert_eq!(buckets.take(1, 100 * MS), Err(MS));
        assert_eq!(buckets.take(1, 101 * MS), Ok(()));
    }

    #[test]
    fn who_is_refused_takes_nothing() {
        let mut buckets = buckets(10, 1);
        assert_eq!(buckets.take(1, MS), Ok(()));
        assert_eq!([buckets.take(1, MS), buckets.take(1, MS)], [Err(100 * MS), Err(100 * MS)]);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        assert!(BucketTable::<u32>::new(Rate { per_second: 0, burst: 5 }).is_none());
    }

    #[test]
    fn of_too_many_keys_those_with_the_fullest_buckets_are_forgotten() {
        let mut buckets = buckets(1, 10);
        let busy = 1;
        for _ in 0..10 {
            assert!(buckets.take(busy, MS).is_ok());
        }
        for number in 0..300_000_u32 {
            assert!(buckets.take(number + 10, MS).is_ok());
        }
        assert!(buckets.full_at.len() <= MAX_KEYS);
        assert!(buckets.take(busy, MS).is_err(), "who is busy is remembered");
        assert!(buckets.take(9_000_000, Duration::from_secs(20)).is_ok());
    }

    #[test]
    fn keys_whose_buckets_are_full_again_make_room() {
        let mut buckets = buckets(1, 2);
        for number in 0..100_000_u32 {
            assert!(buckets.take(number, MS).is_ok());
        }
        assert!(buckets.take(9_000_000, Duration::from_secs(2)).is_ok());
        assert_eq!(buckets.full_at.len(), 1);
    }
}
