//! How often strangers may begin something here, by their addresses: a handshake, and to be a guest who is stored.
//!
//! An address may be a school behind one NAT, all of whom come back at once: these bounds are far above one person's. Where
//! an address may stand for many of them, they are [`MANY`] times as high.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::address::{AddressBlock, Stranger};
use crate::domain::bucket_table::BucketTable;
use crate::domain::error::{Code, Refusal};
use crate::domain::limits::{Limit, MANY_STRANGERS as MANY};
use crate::domain::rate_limit::Rate;

/// How often strangers may begin something. Clones are the same.
#[derive(Clone)]
pub struct Strangers(Arc<Inner>);

struct Inner {
    begun: Instant,
    handshakes: Option<ByAddress>,
    guests: Option<Guests>,
}

/// New guests, each counted for its address and for the node.
struct Guests {
    by_address: ByAddress,
    node: Mutex<BucketTable<()>>,
}

/// What is counted for addresses.
struct ByAddress {
    /// For each network.
    each: Mutex<BucketTable<AddressBlock>>,
    /// For those that may be many: all networks of a customer, and whoever comes by an address that all may share.
    many: Mutex<BucketTable<AddressBlock>>,
}

impl ByAddress {
    fn new(rate: Rate) -> Option<Self> {
        let (each, many) = (BucketTable::new(rate)?, BucketTable::new(many(rate))?);
        Some(Self { each: Mutex::new(each), many: Mutex::new(many) })
    }

    /// The network's own first: one that is refused takes nothing away from its neighbours.
    fn take(&self, from: Stranger, now: Duration) -> Result<(), Duration> {
        match from {
            Stranger::Network(block) => {
                take(&self.each, block, now)?;
                block.customer().map_or(Ok(()), |customer| take(&self.many, customer, now))
            }
            Stranger::Shared(block) => take(&self.many, block, now),
        }
    }
}

fn many(Rate { per_second, burst }: Rate) -> Rate {
    Rate { per_second: per_second.saturating_mul(MANY), burst: burst.saturating_mul(MANY) }
}

fn take<K: Eq + std::hash::Hash>(buckets: &Mutex<BucketTable<K>>, key: K, now: Duration) -> Result<(), Duration> {
    buckets.lock().unwrap_or_else(PoisonError::into_inner).take(key, now)
}

impl Strangers {
    /// Strangers who make handshakes and new guests at these rates at most, each address for itself.
    #[must_use]
    pub fn new(handshakes: Rate, guests: Rate) -> Self {
        let node = BucketTable::new(many(guests)).map(Mutex::new);
        let guests = ByAddress::new(guests).zip(node).map(|(by_address, node)| Guests { by_address, node });
        Self(Arc::new(Inner { begun: Instant::now(), handshakes: ByAddress::new(handshakes), guests }))
    }

    /// Counts a handshake.
    ///
    /// # Errors
    /// How long to wait, after too many.
    pub fn handshake(&self, from: Stranger) -> Result<(), Duration> {
        self.0.handshakes.as_ref().map_or(Ok(()), |handshakes| handshakes.take(from, self.0.begun.elapsed()))
    }

    /// Counts a guest who is about to be stored.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which to try again.
    pub(super) fn guest(&self, from: Stranger) -> Result<(), Refusal> {
        let Some(Guests { by_address, node }) = &self.0.guests else { return Ok(()) };
        let now = self.0.begun.elapsed();
        let refusal = |limit, what, wait: Duration| {
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            Refusal::new(Code::RateLimited, what).at(limit).retry_after_ms(wait)
        };
        by_address
            .take(from, now)
            .map_err(|wait| refusal(Limit::NewGuests, "too many new guests come from your address; wait", wait))?;
        take(node, (), now)
            .map_err(|wait| refusal(Limit::NodeGuests, "too many new guests come to this node; wait", wait))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(address: &str) -> Stranger {
        Stranger::Network(address.parse::<IpAddr>().unwrap().into())
    }

    /// So many begin at once; the rate is too low for one more to come meanwhile.
    fn strangers(burst: u32) -> Strangers {
        let rate = Rate { per_second: 1, burst };
        Strangers::new(rate, rate)
    }

    #[test]
    fn a_customer_of_a_provider_has_many_networks_and_not_as_much_for_each() {
        let strangers = strangers(5);
        let passed = |customer: &str| {
            let networks = (0..1_000).map(|number| network(&format!("2001:db8:{customer}:{number:x}::1")));
            networks.filter(|from| strangers.handshake(*from).is_ok()).count()
        };
        let most = 5 * MANY as usize;
        assert!((most..most + 20).contains(&passed("1")), "one each, and twenty times an address's together");
        assert!((most..most + 20).contains(&passed("2")), "another customer is not concerned");
        assert_eq!(strangers.handshake(network("192.0.2.1")), Ok(()));
    }

    #[test]
    fn a_network_that_is_refused_takes_nothing_from_its_neighbours() {
        let strangers = strangers(5);
        let greedy = (0..10_000).filter(|_| strangers.handshake(network("2001:db8:1:1::1")).is_ok()).count();
        assert!((5..10).contains(&greedy), "{greedy}");
        assert_eq!(strangers.handshake(network("2001:db8:1:2::1")), Ok(()));
    }

    #[test]
    fn an_address_that_all_may_share_has_a_bound_that_is_far_higher() {
        let strangers = strangers(5);
        let shared = Stranger::Shared("10.0.0.1".parse::<IpAddr>().unwrap().into());
        let passed = (0..1_000).filter(|_| strangers.handshake(shared).is_ok()).count();
        let most = 5 * MANY as usize;
        assert!((most..most + 20).contains(&passed), "{passed}");
    }

    #[test]
    fn many_addresses_together_make_so_many_guests_of_a_node() {
        let strangers = strangers(5);
        let guests = (0..250).map(|number| strangers.guest(network(&format!("192.0.2.{number}"))));
        let refused: Vec<Refusal> = guests.filter_map(Result::err).collect();
        assert!((130..=150).contains(&refused.len()), "{}", refused.len());
        assert!(refused.iter().all(|refusal| refusal.limit == Some(Limit::NodeGuests)));
        assert!(refused.iter().all(|refusal| refusal.retry_after_ms.is_some_and(|wait| wait > 0)));
        // Nobody else pays for handshakes.
        assert_eq!(strangers.handshake(network("192.0.2.1")), Ok(()));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let none = Rate { per_second: 0, burst: 0 };
        let strangers = Strangers::new(none, none);
        assert!((0..10_000).all(|_| strangers.guest(network("192.0.2.1")).is_ok()));
        assert!((0..10_000).all(|_| strangers.handshake(Stranger::default()).is_ok()));
    }
}
