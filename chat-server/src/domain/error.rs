//! A refusal: its code, a sentence, and what to do.

use serde::Serialize;

pub use super::code::Code;
use super::limits::Limit;
use super::trouble::Trouble;

/// A refusal, as it is told to the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[error("{}: {message}", code.as_str())]
pub struct Refusal {
    /// The word from the closed list.
    pub code: Code,
    /// A sentence for the developer who reads it; never a secret, never internals.
    pub message: String,
    /// Whether the same request may succeed later, unchanged.
    pub temporary: bool,
    /// When to try again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The bound that was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Why the store refused, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<Trouble>,
    /// What went wrong, for the log; the client is not told.
    #[serde(skip)]
    pub cause: Option<String>,
}

impl Refusal {
    /// A refusal with a sentence that says what to do.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            temporary: code.is_temporary(),
            retry_after_ms: None,
            limit: None,
            store: None,
            cause: None,
        }
    }

    /// Says for the log what went wrong.
    #[must_use]
    pub fn because(mut self, cause: String) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Says why the store refused.
    #[must_use]
    pub fn in_trouble(mut self, trouble: Trouble) -> Self {
        self.store = Some(trouble);
        self
    }

    /// Says which bound was met.
    #[must_use]
    pub fn at(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }
}
