//! The health of the store.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::id::NodeId;
use crate::domain::trouble::Trouble;

/// Traffic to a store outside of the process, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Commands sent. A script is one.
    pub commands: u64,
    /// Connections opened.
    pub connects: u64,
}

/// The health of the store.
#[async_trait]
pub trait Health: Send + Sync + 'static {
    /// Checks that the store is set up so that it can give its guarantees.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] says what to change.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns why the store, or a part of it, can't be used right now; `None` if it can.
    fn trouble(&self) -> Option<Trouble>;

    /// Finds out whether the store takes what it refused, and whether it takes writes: [`Health::trouble`] tells. `node`
    /// is who asks.
    async fn probe(&self, _node: &NodeId) {}

    /// Returns the traffic to a store outside of the process; zero if there is none.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// Asks how much of its memory the store uses, the fullest part of it: 1 is all that it may. `None` without a limit.
    ///
    /// # Errors
    /// The store does not answer.
    async fn memory_used(&self) -> Result<Option<f64>, StoreError> {
        Ok(None)
    }

    /// Whether the store, or at least a part of it, can be used right now.
    fn is_available(&self) -> bool {
        self.trouble().is_none()
    }
}
