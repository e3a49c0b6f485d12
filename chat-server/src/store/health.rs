//! Whether the store answers, and is set up as it has to be.

use async_trait::async_trait;

use super::StoreError;

/// What went to a store outside of the process, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Commands; a script is one.
    pub commands: u64,
    /// Connections that came to be.
    pub connects: u64,
}

/// Whether the store answers, and is set up as it has to be. [`Store`](super::Store) states what all implementations guarantee.
#[async_trait]
pub trait Health: Send + Sync + 'static {
    /// Whether the store is set up so that it can keep what is promised.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Why the broker, or a part of it, does not answer right now, in a few fixed words. `None`: it does.
    fn trouble(&self) -> Option<&'static str>;

    /// What went to a store outside of the process: nothing, where there is none.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// Whether the broker answers right now, at least some.
    fn is_available(&self) -> bool {
        self.trouble().is_none()
    }
}
