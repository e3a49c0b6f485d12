//! How often strangers may do something: whom nothing is known of but an address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::rate_limit::Rate;

/// Addresses that are told apart. To forget one is to let it begin anew; each costs 17 to 34 bytes.
pub const MAX_ADDRESSES: usize = 100_000;
/// The part of them that is forgotten together.
const FORGOTTEN: usize = MAX_ADDRESSES / 8;

/// Whoever is counted as one stranger: an IPv4 address, or the 64 bits of an IPv6 address that name a network, as whoever
/// has one address of it has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressBlock(u64);

impl From<IpAddr> for AddressBlock {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No IPv6 address that is routed begins with 32 zero bits.
            IpAddr::V4(address) => Self(u64::from(address.to_bits())),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self([a, b, c, d].iter().fold(0, |bits, part| bits << 16 | u64::from(*part)))
            }
        }
    }
}

/// Token buckets of one rate, one for each address, without a clock of their own.
#[derive(Debug)]
pub struct AddressBuckets {
    /// Time for one token, in nanoseconds.
    each: u64,
    /// Time for all that can be saved up.
    all: u64,
    /// When the bucket of an address is full again, if it is not.
    full_at: HashMap<AddressBlock, u64>,
}

impl AddressBuckets {
    /// Full buckets; `None` for a rate that is no limit.
    #[must_use]
    pub fn new(rate: Rate) -> Option<Self> {
        let each = 1_000_000_000_u64.checked_div(rate.per_second.into())?;
        Some(Self { each, all: each.saturating_mul(rate.burst.max(1).into()), full_at: HashMap::new() })
    }

    /// Takes a token of an address, at a time since some beginning: one that is there, or that comes within `patience`.
    /// Returns how long to wait for it.
    ///
    /// # Errors
    /// How long until there is one.
    pub fn take(&mut self, address: AddressBlock, now: Duration, patience: Duration) -> Result<Duration, Duration> {
        let now = nanoseconds(now);
        let full_at = self.full_at.get(&address).copied();
        let next = full_at.unwrap_or(0).max(now).saturating_add(self.each);
        let wait = Duration::from_nanos(next.saturating_sub(now.saturating_add(self.all)));
        if wait > patience {
            return Err(wait);
        }
        if full_at.is_none() && self.full_at.len() >= MAX_ADDRESSES {
            self.forget(now);
        }
        self.full_at.insert(address, next);
        Ok(wait)
    }

    /// Forgets addresses whose buckets are full; if these are too few, those whose buckets are the fullest.
    fn forget(&mut self, now: u64) {
        self.full_at.retain(|_, full_at| *full_at > now);
        let mut too_many = self.full_at.len().saturating_sub(MAX_ADDRESSES - FORGOTTEN);
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

    fn block(address: &str) -> AddressBlock {
        address.parse::<IpAddr>().unwrap().into()
    }

    fn buckets(per_second: u32, burst: u32) -> AddressBuckets {
        AddressBuckets::new(Rate { per_second, burst }).unwrap()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_network_of_ipv6_is_one_stranger_and_an_address_of_ipv4() {
        assert_eq!(block("2001:db8:1:2::1"), block("2001:db8:1:2:ffff::9"));
        assert_ne!(block("2001:db8:1:2::1"), block("2001:db8:1:3::1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
        assert_eq!(block("192.0.2.1"), block("::ffff:192.0.2.1"));
    }

    #[test]
    fn each_address_has_its_own_tokens() {
        let mut buckets = buckets(10, 3);
        for _ in 0..3 {
            assert_eq!(buckets.take(block("192.0.2.1"), MS, Duration::ZERO), Ok(Duration::ZERO));
        }
        assert_eq!(buckets.take(block("192.0.2.1"), MS, Duration::ZERO), Err(100 * MS));
        assert_eq!(buckets.take(block("192.0.2.2"), MS, Duration::ZERO), Ok(Duration::ZERO));
        assert_eq!(buckets.take(block("192.0.2.1"), 100 * MS, Duration::ZERO), Err(MS));
        assert_eq!(buckets.take(block("192.0.2.1"), 101 * MS, Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn who_waits_gets_the_tokens_in_turn() {
        let mut buckets = buckets(10, 1);
        let mut wait = || buckets.take(block("192.0.2.1"), MS, 250 * MS);
        assert_eq!([wait(), wait(), wait()], [Ok(Duration::ZERO), Ok(100 * MS), Ok(200 * MS)]);
        assert_eq!([wait(), wait()], [Err(300 * MS), Err(300 * MS)], "who is refused takes nothing");
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        assert!(AddressBuckets::new(Rate { per_second: 0, burst: 5 }).is_none());
    }

    #[test]
    fn of_too_many_addresses_those_with_the_fullest_buckets_are_forgotten() {
        let mut buckets = buckets(1, 10);
        let busy = block("192.0.2.1");
        for _ in 0..10 {
            assert!(buckets.take(busy, MS, Duration::ZERO).is_ok());
        }
        for number in 0..300_000_u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(number + (10 << 24)));
            assert!(buckets.take(address.into(), MS, Duration::ZERO).is_ok());
        }
        assert!(buckets.full_at.len() <= MAX_ADDRESSES);
        assert!(buckets.take(busy, MS, Duration::ZERO).is_err(), "who is busy is remembered");
        assert!(buckets.take(block("192.0.2.9"), Duration::from_secs(20), Duration::ZERO).is_ok());
    }

    #[test]
    fn addresses_whose_buckets_are_full_again_make_room() {
        let mut buckets = buckets(1, 2);
        for number in 0..100_000_u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
            assert!(buckets.take(address.into(), MS, Duration::ZERO).is_ok());
        }
        assert!(buckets.take(block("192.0.2.9"), Duration::from_secs(2), Duration::ZERO).is_ok());
        assert_eq!(buckets.full_at.len(), 1);
    }
}
