//! Presence.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::id::{NodeId, UserId};

/// Which users are connected, and to which node. Presence expires: an entry counts while the heartbeat of its node is
/// fresh.
#[async_trait]
pub trait PresenceStore: Send + Sync + 'static {
    /// Sets whether `user` is connected to `node`: `card` is the public profile as JSON, `None` means disconnected.
    /// Returns whether the user was online on any node before, and whether the user is now.
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError>;

    /// The heartbeat of a node: its presence entries count for another `ttl_ms`. `occupied`: users are connected to it.
    /// Returns false if the store has lost what the node said of them, which the node has to say again.
    async fn beat(&self, node: &NodeId, ttl_ms: u64, occupied: bool) -> Result<bool, StoreError>;

    /// Returns the card of each user who is online; `None` for the others.
    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError>;

    /// Pages through the users who are online, ordered by id.
    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError>;

    /// Counts the users who are online.
    async fn online_count(&self) -> Result<u64, StoreError>;

    /// Removes entries of nodes whose heartbeat has expired, of at most `limit` users. Each user who thereby goes
    /// offline is returned by exactly one call, on one node.
    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError>;
}
