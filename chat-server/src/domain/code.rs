//! The closed list of what a request can be refused for. The same word goes into the ack, the log and the metric.

use serde::Serialize;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is not of the form that the protocol gives it.
    BadRequest,
    /// Nobody known is behind the connection.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// There is no such thing, or it must not be known to be there.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// Too many requests; try again later.
    RateLimited,
    /// Over a stated limit.
    TooLarge,
    /// The store can't be reached, or the outcome is not known. The same request may be sent again.
    Unavailable,
    /// This node is about to stop.
    Draining,
    /// No such request in this version.
    Unsupported,
}

impl Code {
    /// Every code, for metrics and documents.
    pub const ALL: [Self; 10] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::RateLimited,
        Self::TooLarge,
        Self::Unavailable,
        Self::Draining,
        Self::Unsupported,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Draining => "draining",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether the same request may succeed later, unchanged.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Draining)
    }
}
