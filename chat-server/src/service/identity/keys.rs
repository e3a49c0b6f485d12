//! The keys that a node holds.

use std::sync::{Arc, PoisonError, RwLock};

use super::token::SigningKey;

/// The keys that a node holds; the first signs. Clones are the same.
#[derive(Clone)]
pub(super) struct Keys {
    /// Whether they come from the configuration, and the store has nothing to say about them.
    configured: bool,
    held: Arc<RwLock<Option<Arc<[SigningKey]>>>>,
}

impl Keys {
    pub(super) fn new(configured: Vec<SigningKey>) -> Self {
        let held = (!configured.is_empty()).then(|| configured.into());
        Self { configured: held.is_some(), held: Arc::new(RwLock::new(held)) }
    }

    /// Whether they come from the configuration.
    pub(super) fn are_configured(&self) -> bool {
        self.configured
    }

    /// The keys, once there are any.
    pub(super) fn held(&self) -> Option<Arc<[SigningKey]>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn hold(&self, keys: Arc<[SigningKey]>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }
}
