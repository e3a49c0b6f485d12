//! How often someone may do something: a token bucket without a clock of its own.

use super::position::Millis;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back in a second. 0: no limit.
    pub per_second: u32,
    /// Tokens that can be saved up; at least 1 where there is a limit.
    pub burst: u32,
}

/// What is left of a [`Rate`], in thousandths of a token.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    milli_tokens: u64,
    filled_at: Millis,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate, now: Millis) -> Self {
        Self { rate, milli_tokens: capacity(rate), filled_at: now }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// The milliseconds until there is one, at least 1.
    pub fn take(&mut self, now: Millis) -> Result<(), Millis> {
        if self.rate.per_second == 0 {
            return Ok(());
        }
        let per_second = u64::from(self.rate.per_second);
        let gained = now.saturating_sub(self.filled_at).saturating_mul(per_second);
        self.milli_tokens = self.milli_tokens.saturating_add(gained).min(capacity(self.rate));
        self.filled_at = self.filled_at.max(now);
        match self.milli_tokens.checked_sub(1000) {
            Some(left) => {
                self.milli_tokens = left;
                Ok(())
            }
            None => Err((1000 - self.milli_tokens).div_ceil(per_second).max(1)),
        }
    }
}

/// What a person does, as far as it is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// To say something, and what passes with it.
    Message,
    /// To change what is stored beside messages: rooms, memberships, invites.
    Change,
    /// To ask for what is stored, and to note what was read.
    Query,
}

/// How often one person may do each of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// [`Class::Message`].
    pub message: Rate,
    /// [`Class::Change`].
    pub change: Rate,
    /// [`Class::Query`].
    pub query: Rate,
}

impl Rates {
    /// No limit.
    pub const UNLIMITED: Self = {
        let rate = Rate { per_second: 0, burst: 0 };
        Self { message: rate, change: rate, query: rate }
    };
}

/// What is left of [`Rates`].
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    message: Bucket,
    change: Bucket,
    query: Bucket,
}

impl Budget {
    /// A full one.
    #[must_use]
    pub fn new(rates: Rates, now: Millis) -> Self {
        let Rates { message, change, query } = rates;
        let [message, change, query] = [message, change, query].map(|rate| Bucket::new(rate, now));
        Self { message, change, query }
    }

    /// Takes one token of this class.
    ///
    /// # Errors
    /// The milliseconds until there is one, at least 1.
    pub fn take(&mut self, class: Class, now: Millis) -> Result<(), Millis> {
        match class {
            Class::Message => self.message.take(now),
            Class::Change => self.change.take(now),
            Class::Query => self.query.take(now),
        }
    }
}

fn capacity(rate: Rate) -> u64 {
    u64::from(rate.burst.max(1)) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_rules() {
        let mut bucket = Bucket::new(Rate { per_second: 10, burst: 3 }, 0);
        for _ in 0..3 {
            assert_eq!(bucket.take(0), Ok(()));
        }
        assert_eq!(bucket.take(0), Err(100));
        assert_eq!(bucket.take(99), Err(1));
        assert_eq!(bucket.take(100), Ok(()));
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let mut bucket = Bucket::new(Rate { per_second: 7, burst: 1 }, 0);
        assert_eq!(bucket.take(0), Ok(()));
        let wait = bucket.take(0).unwrap_err();
        assert_eq!(bucket.take(wait), Ok(()));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let mut bucket = Bucket::new(Rate { per_second: 0, burst: 0 }, 0);
        assert!((0..1000).all(|_| bucket.take(0).is_ok()));
    }

    #[test]
    fn each_class_has_its_own_tokens() {
        let one = Rate { per_second: 1, burst: 1 };
        let mut budget = Budget::new(Rates { message: one, change: one, query: one }, 0);
        for class in [Class::Message, Class::Change, Class::Query] {
            assert_eq!(budget.take(class, 0), Ok(()));
            assert_eq!(budget.take(class, 0), Err(1000), "{class:?}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut bucket = Bucket::new(Rate { per_second: 1, burst: 1 }, 10_000);
        assert_eq!(bucket.take(10_000), Ok(()));
        assert!(bucket.take(5_000).is_err());
        assert!(bucket.take(10_500).is_err());
    }
}
