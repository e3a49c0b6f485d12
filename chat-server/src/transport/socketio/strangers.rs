//! How often strangers may begin something here, by their addresses: a handshake, and a new guest.
//!
//! An address may be a school behind one NAT, all of whom come back at once: these bounds are far above one person's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::address::AddressBlock;
use crate::domain::bucket_table::BucketTable;
use crate::domain::rate_limit::Rate;

/// How long a new guest waits for its turn, below the time in which a connection must become a session.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whose request it is, as an extension of the request; `None` if that can't be told.
#[derive(Debug, Clone, Copy)]
pub struct Stranger(pub Option<AddressBlock>);

/// How often strangers may begin something. Clones are the same.
#[derive(Clone)]
pub struct Strangers(Arc<Inner>);

struct Inner {
    begun: Instant,
    handshakes: Option<Mutex<BucketTable<AddressBlock>>>,
    guests: Option<Mutex<BucketTable<AddressBlock>>>,
}

impl Strangers {
    /// Strangers who make handshakes and new guests at these rates at most, each address for itself.
    #[must_use]
    pub fn new(handshakes: Rate, guests: Rate) -> Self {
        let buckets = |rate| BucketTable::new(rate).map(Mutex::new);
        Self(Arc::new(Inner { begun: Instant::now(), handshakes: buckets(handshakes), guests: buckets(guests) }))
    }

    /// Counts a handshake.
    ///
    /// # Errors
    /// How long to wait, after too many.
    pub fn handshake(&self, from: Stranger) -> Result<(), Duration> {
        self.take(self.0.handshakes.as_ref(), from, Duration::ZERO).map(drop)
    }

    /// Counts a new guest, and waits until it is its turn. False if that would take too long.
    pub(super) async fn guest(&self, from: Stranger) -> bool {
        match self.take(self.0.guests.as_ref(), from, PATIENCE) {
            Ok(Duration::ZERO) => true,
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
            Err(_) => false,
        }
    }

    fn take(
        &self,
        buckets: Option<&Mutex<BucketTable<AddressBlock>>>,
        from: Stranger,
        patience: Duration,
    ) -> Result<Duration, Duration> {
        let (Some(buckets), Stranger(Some(address))) = (buckets, from) else { return Ok(Duration::ZERO) };
        buckets.lock().unwrap_or_else(PoisonError::into_inner).take(address, self.0.begun.elapsed(), patience)
    }
}
