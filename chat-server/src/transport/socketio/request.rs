//! What a request is: a name, a payload, a rate class, and what is done for it.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::Client;
use super::context::Context;
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::position::{Offset, Position};
use crate::domain::rate_limit::Class;
use crate::domain::session::RevokeReason;
use crate::domain::trace::Traceparent;
use crate::service::actor::Actor;

/// A request: its payload, and what is done for it.
pub(crate) trait Request: DeserializeOwned + Send {
    /// The event's name.
    const NAME: &'static str;
    /// Which limit it counts towards.
    const RATE: RateClass;
    /// A well-formed payload, for tests and documents: JSON.
    const EXAMPLE: &'static str;
    /// Whether it may use the last reserve of the store's memory, although it is a change: it protects people, or lets
    /// something go.
    const PROTECTS: bool = false;
    /// Whether something of the user is kept because of it, so that a guest is stored first: every change, unless it says
    /// otherwise.
    const KEEPS: bool = matches!(Self::RATE, RateClass::Message | RateClass::Change);
    /// What answers it beside `ok`.
    type Answer: Serialize;

    /// Does it.
    ///
    /// # Errors
    /// What the ack says.
    fn handle(self, call: Call<'_>) -> impl Future<Output = Result<Reply<Self::Answer>, Refusal>> + Send;
}

/// Which limit a request counts towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateClass {
    /// A message: `--messages-per-second`. The use case takes the token, as repeating a stored nonce is free.
    Message,
    /// What passes and is not stored: the same limit, taken before the use case is called.
    Signal,
    /// A change of rooms, memberships or invites: `--changes-per-second`.
    Change,
    /// A question, or a note of what was read: `--queries-per-second`.
    Query,
}

impl RateClass {
    /// The tokens that are taken before the use case is called.
    pub(super) fn taken_before(self) -> Option<Class> {
        match self {
            Self::Message => None,
            Self::Signal => Some(Class::Message),
            Self::Change => Some(Class::Change),
            Self::Query => Some(Class::Query),
        }
    }
}

/// Who asks for what, by which socket.
pub(crate) struct Call<'a> {
    pub(crate) context: &'a Context,
    pub(crate) client: &'a Arc<Client>,
    pub(crate) actor: &'a Actor,
    /// Where the request belongs, if it is traced.
    pub(crate) trace: Option<Traceparent>,
}

/// What answers a request, and what follows the answer.
pub(crate) struct Reply<A> {
    pub(crate) answer: A,
    pub(crate) then: Then,
}

impl<A> From<A> for Reply<A> {
    fn from(answer: A) -> Self {
        Self { answer, then: Then::Nothing }
    }
}

/// What follows an answer: the events of a room begin behind it, never before.
#[derive(Debug)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// The events of a room begin, after this position.
    Deliver(RoomId, Position),
    /// `room:added` says where the events of a room begin; the offset is that of the joining.
    Added(RoomId, Offset),
    /// The socket is closed: it revoked its own session.
    Revoked(RevokeReason),
}

/// An answer without members.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Done {}
