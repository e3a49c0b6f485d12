//! What is published to topics, and who receives it.

use async_trait::async_trait;

use super::{Entry, StoreError, Topic};
use crate::domain::id::NodeId;
use crate::domain::trace::Traceparent;

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// A new entry of a subscribed topic's log, in the order of the log unless [`BusEvent::Interrupted`] says otherwise;
    /// with it [`Append::trace`].
    Entry(Topic, Entry, Option<Traceparent>),
    /// A passing signal to a subscribed topic: heard at most once, not stored.
    Signal(Topic, String),
    /// Something may have been missed, in any topic: compare with the logs.
    Interrupted,
}

/// How many things heard may wait for the node before it is told [`BusEvent::Interrupted`] instead.
pub const BUS_CAPACITY: usize = 8192;

/// What is published to topics, and who receives it. [`Store`](super::Store) states what all implementations guarantee.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Tells all subscribers of a topic something that passes.
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError>;

    /// Hears what is published to the topics from now on. In force when it returns. Idempotent.
    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError>;

    /// Lets go of topics. Idempotent.
    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError>;

    /// The topics by which a node finds out whether it hears: one for each part of the bus that may
    /// fail by itself. May be others at another time.
    fn probes(&self, node: &NodeId) -> Vec<Topic>;

    /// Begins to hear anew, as after a loss of the connection, at least what is published to this
    /// topic: for one who found that it is not heard.
    async fn renew_bus(&self, topic: &Topic);
}
