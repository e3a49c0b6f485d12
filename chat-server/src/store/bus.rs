//! Publishing and subscribing.

use async_trait::async_trait;

use super::{Entry, StoreError, Topic};
use crate::domain::id::NodeId;
use crate::domain::trace::Traceparent;

/// An event that a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// A new entry in the log of a subscribed topic, with [`Append::trace`](super::Append::trace). Entries arrive in
    /// the order of the log unless a [`BusEvent::Interrupted`] comes between.
    Entry(Topic, Entry, Option<Traceparent>),
    /// A signal to a subscribed topic. It is delivered at most once and not stored.
    Signal(Topic, String),
    /// Events may have been lost, in any topic: the subscriber has to compare with the logs.
    Interrupted,
}

/// The capacity of a node's queue of events. When it is full, events are lost and the node receives
/// [`BusEvent::Interrupted`].
pub const BUS_CAPACITY: usize = 8192;

/// Publishing and subscribing. The [`store`](super) module states the guarantees.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes a signal to all subscribers of a topic. It is not stored.
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError>;

    /// Subscribes to topics. The subscription is in force when this returns. Idempotent.
    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError>;

    /// Ends the subscriptions to topics. Idempotent.
    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError>;

    /// Returns the topics by which a node checks that it receives what is published: one for each part of the bus that
    /// can fail by itself. They may change.
    fn probes(&self, node: &NodeId) -> Vec<Topic>;

    /// Reconnects at least the part of the bus that carries this topic. A node calls it when a probe does not arrive.
    async fn renew_bus(&self, topic: &Topic);
}
