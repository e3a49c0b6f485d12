//! Errors of a reconciliation.

use crate::api::reason::Reason;

/// Why a reconciliation failed. The operator retries it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server can't be reached, or its response is invalid.
    #[error("API server: {0}")]
    Api(#[source] Box<kube::Error>),
    /// The API server rejected an object.
    #[error("{kind} {name}: {source}")]
    Rejected {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
        /// Response of the API server.
        source: Box<kube::Error>,
    },
    /// An object of this name has another owner.
    #[error("{kind} {name} already exists and has another owner")]
    NameConflict {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
    },
    /// An object of a deleted ChatCluster of the same name still exists.
    #[error("{kind} {name} of a deleted ChatCluster still exists")]
    Terminating {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
    },
    /// An object can't be serialized.
    #[error("can't serialize an object: {0}")]
    Json(#[from] serde_json::Error),
    /// The initial lists are not complete.
    #[error("can't list pods and ReplicaSets; see the log")]
    NotSynced,
    /// The system provides no random numbers.
    #[error("no source of random numbers")]
    NoRandomness,
    /// The ChatCluster lacks a field that every API server sets.
    #[error("the ChatCluster has no {0}")]
    Incomplete(&'static str),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Error {
    /// The reason in conditions.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NameConflict { .. } => Reason::NameConflict,
            Self::Rejected { .. } if self.exceeds_quota() => Reason::QuotaExceeded,
            _ => Reason::ApplyFailed,
        }
    }

    /// Whether the API server rejected the object itself and will do so again. Such an error
    /// concerns the author of the ChatCluster and is reported in the status; other errors concern
    /// whoever runs the operator.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::NameConflict { .. } => true,
            Self::Rejected { source, .. } => {
                matches!(&**source, kube::Error::Api(status)
                    if matches!(status.code, 400 | 403 | 422) && !is_rbac_denial(&status.message)
                        // Duplicate keys in a list: a 500 that will not go away.
                        || status.message.contains("failed to create typed patch object"))
            }
            _ => false,
        }
    }

    fn exceeds_quota(&self) -> bool {
        matches!(self, Self::Rejected { source, .. }
            if matches!(&**source, kube::Error::Api(status) if status.message.contains("exceeded quota")))
    }
}

/// Whether RBAC denies the operator itself, as happens for a moment while an API server starts.
/// Quotas and Pod Security answer 403 too.
fn is_rbac_denial(message: &str) -> bool {
    message.contains(" is forbidden: User \"")
}
