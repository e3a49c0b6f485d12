//! What the subscribers of a node share.

use tokio::sync::mpsc;

use super::subscriptions::Subscriptions;
use crate::store::BusEvent;
use crate::store::redis::keys::Keyspace;

/// What the subscribers of a node share.
pub(crate) struct Shared {
    pub(crate) keyspace: Keyspace,
    pub(crate) subscriptions: Subscriptions,
    /// The queue of the node.
    pub(crate) events: mpsc::Sender<BusEvent>,
    /// Whether channels belong to slots, as in a Redis Cluster.
    pub(crate) sharded: bool,
}
