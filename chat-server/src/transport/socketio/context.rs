//! What the clients of a node share.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::answers::Answers;
use super::arrivals::Arrivals;
use super::clients::Clients;
use super::outbox::Outboxes;
use crate::delivery::{Batching, Hub};
use crate::domain::id::{NodeId, RoomId};
use crate::domain::position::{Millis, Offset, Position};
use crate::domain::rate_limit::Rate;
use crate::node::lifecycle::Lifecycle;
use crate::observability::metrics::Metrics;
use crate::observability::traces::Traces;
use crate::service::analytics::Analytics;
use crate::service::identity::Sessions;
use crate::service::presence::Presence;
use crate::service::rooms::Rooms;
use crate::store::Stores;

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest text, in bytes of UTF-8.
    pub max_message_bytes: usize,
    /// Largest packet, in bytes.
    pub max_payload: usize,
    /// How often one user may send on this node.
    pub rate: Rate,
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
    /// The use cases of rooms and messages.
    pub rooms: Rooms,
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

impl Context {
    /// The node's clock. Only for rates and for telling clients how far theirs is off; what is
    /// stored has the store's time.
    #[must_use]
    pub fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }
}

/// An answer that is to be sent before a room's events begin to flow.
pub(super) struct After {
    pub(super) answer: serde_json::Value,
    pub(super) then: Then,
}

/// What follows an answer.
pub(super) enum Then {
    /// Nothing.
    Nothing,
    /// The events of a room begin, after this position.
    Hear(RoomId, Position),
    /// `room:added` says where the events of a room begin; the offset is that of the joining.
    Added(RoomId, Offset),
}
