//! Who is connected.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::id::{NodeId, UserId};

/// Who is connected, and to which node. [`Store`](super::Store) states what all implementations guarantee.
#[async_trait]
pub trait PresenceStore: Send + Sync + 'static {
    /// Says that `user` is connected to `node` (`card`: what is shown of the person, JSON) or no
    /// longer is (`None`). Holds only while the node's [`PresenceStore::beat`] is fresh.
    /// Returns whether the user was online anywhere before, and is now.
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError>;

    /// Keeps alive all that `node` said of presence, for `ttl_ms`.
    async fn beat(&self, node: &NodeId, ttl_ms: u64) -> Result<(), StoreError>;

    /// The cards of users that are connected to a live node; `None` for the others.
    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError>;

    /// Pages through the users that are connected, by id.
    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError>;

    /// How many users are connected.
    async fn online_count(&self) -> Result<u64, StoreError>;

    /// Removes the presence of nodes whose beat ran out, at most `limit` users a call. Each user
    /// that is thereby no longer online anywhere is returned by exactly one call on one node.
    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError>;
}
