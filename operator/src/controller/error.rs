//! What can go wrong while a ChatCluster is carried out.

use crate::api::reason::Reason;

/// Why a reconciliation ended early. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server can't be asked, or its answer can't be read.
    #[error("API server: {0}")]
    Api(#[source] Box<kube::Error>),
    /// The API server refused to take an object.
    #[error("{kind} {name}: {source}")]
    Rejected {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The API server's answer.
        source: Box<kube::Error>,
    },
    /// An object of that name belongs to somebody else.
    #[error("{kind} {name} already exists and has another owner")]
    NameConflict {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object of an earlier ChatCluster of the same name is not gone yet.
    #[error("{kind} {name} of a deleted ChatCluster still exists")]
    Terminating {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object can't be written as JSON.
    #[error("can't serialize an object: {0}")]
    Json(#[from] serde_json::Error),
    /// It is not known which pods there are.
    #[error("can't list pods and ReplicaSets; see the log")]
    NotSynced,
    /// The machine gives no random numbers.
    #[error("no source of random numbers")]
    NoRandomness,
    /// A ChatCluster without a namespace or a uid, which no API server gives.
    #[error("the ChatCluster has no {0}")]
    Incomplete(&'static str),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Error {
    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NameConflict { .. } => Reason::NameConflict,
            Self::Rejected { .. } if self.exceeds_quota() => Reason::QuotaExceeded,
            _ => Reason::ApplyFailed,
        }
    }

    /// Whether the ChatCluster's author has to know of it, rather than who runs the operator: the
    /// API server judged what was written, and will judge the same again.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::NameConflict { .. } => true,
            Self::Rejected { source, .. } => {
                matches!(&**source, kube::Error::Api(status)
                    if matches!(status.code, 400 | 403 | 422) && !is_rbac_denial(&status.message)
                        // Two items of one key in a list: a 500, but the same every time.
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

/// Whether the operator itself is told that it may not, in the words of RBAC: so it is for a moment while
/// an API server starts. Quotas and pod security say 403 too.
fn is_rbac_denial(message: &str) -> bool {
    message.contains(" is forbidden: User \"")
}
