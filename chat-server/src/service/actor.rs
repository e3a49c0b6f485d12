//! Who acts. Every use case is told, so that Socket.IO, an HTTP API, bots and webhooks are the same to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::error::{Code, Refusal};
use crate::domain::id::ConnectionId;
use crate::domain::limits::Limit;
use crate::domain::position::Millis;
use crate::domain::rate_limit::{Budget, Class, Rates};
use crate::domain::user::User;

/// Who acts, by which connection, and how often they still may.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The person.
    pub user: Arc<User>,
    /// The connection that asks: it knows what it did, and is left out where the person's others are told.
    pub connection: Option<ConnectionId>,
    budget: Arc<Mutex<Budget>>,
}

impl Actor {
    /// A person who acts, limited by `budget`, which all of the person's connections to this node share.
    #[must_use]
    pub fn new(user: Arc<User>, connection: Option<ConnectionId>, budget: Arc<Mutex<Budget>>) -> Self {
        Self { user, connection, budget }
    }

    /// A person whom nothing limits: for what the chat does by itself, and for benchmarks.
    #[must_use]
    pub fn unlimited(user: User) -> Self {
        Self::new(Arc::new(user), None, Arc::new(Mutex::new(Budget::new(Rates::UNLIMITED, 0))))
    }

    /// The socket that asks, as notices name it.
    pub(crate) fn socket(&self) -> Option<String> {
        self.connection.map(|connection| connection.to_string())
    }

    /// Takes one of the person's tokens of this class.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which there is one again.
    pub fn take_token(&self, class: Class) -> Result<(), Refusal> {
        let taken = self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(class, now());
        let (limit, what) = match class {
            Class::Message => (Limit::Messages, "too many messages; wait"),
            Class::Change => (Limit::Changes, "too many changes of rooms; wait"),
            Class::Query => (Limit::Queries, "too many requests; wait"),
        };
        taken.map_err(|wait| Refusal::new(Code::RateLimited, what).at(limit).retry_after_ms(wait))
    }
}

/// The clock of this node: for rates, and for telling clients how far theirs is off. What is stored has the store's time.
#[must_use]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
