//! What the clients of a node share.

use std::sync::Arc;

use super::answers::Answers;
use super::arrivals::Arrivals;
use super::clients::Clients;
use super::outbox::Outboxes;
use super::strangers::Strangers;
use crate::delivery::{Batching, Hub};
use crate::domain::id::NodeId;
use crate::domain::rate_limit::Rates;
use crate::lifecycle::Lifecycle;
use crate::observability::metrics::Metrics;
use crate::observability::traces::Traces;
use crate::service::analytics::Analytics;
use crate::service::identity::Sessions;
use crate::service::messages::Messages;
use crate::service::presence::Presence;
use crate::service::recovery::Recovery;
use crate::service::reserve::Reserve;
use crate::service::rooms::Rooms;
use crate::store::Stores;

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest text, in bytes of UTF-8.
    pub max_message_bytes: usize,
    /// Largest packet, in bytes.
    pub max_payload: usize,
    /// How often one user may act on this node.
    pub rates: Rates,
}

/// What the clients of a node share.
pub struct Context {
    /// The node's name.
    pub node: NodeId,
    /// What a client may send.
    pub limits: Limits,
    /// The store, by its parts.
    pub stores: Stores,
    /// Guests and their resume tokens.
    pub sessions: Sessions,
    /// The use cases of rooms.
    pub rooms: Rooms,
    /// The use cases of messages.
    pub messages: Messages,
    /// What clients have missed.
    pub recovery: Recovery,
    /// Whether there is memory for something other than messages.
    pub reserve: Reserve,
    /// Who is online.
    pub presence: Presence,
    /// The feeds of rooms.
    pub hub: Hub,
    /// Batching of socket writes under load.
    pub batching: Batching,
    /// Answers that are not written yet.
    pub answers: Answers,
    /// The clients whose sessions are open.
    pub clients: Clients,
    /// The clients whose sessions are about to open.
    pub arrivals: Arrivals,
    /// How often strangers may begin something.
    pub strangers: Strangers,
    /// What waits to be sent to each client.
    pub outboxes: Outboxes,
    /// Usage analytics.
    pub analytics: Analytics,
    /// What is counted.
    pub metrics: Metrics,
    /// Distributed tracing.
    pub traces: Traces,
    /// Whether the node is cordoned, or drains.
    pub lifecycle: Arc<Lifecycle>,
}
