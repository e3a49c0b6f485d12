//! What a reconciliation observed, and the value of a condition.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::prometheus::InstalledKinds;
use crate::api::reason::Reason;
use crate::api::spec::ChatCluster;
use crate::api::status::ChatClusterStatus;
use crate::controller::error::Error;
use crate::controller::fleet::Fleet;
use crate::controller::fleet::autoscale::DesiredReplicas;
use crate::controller::validate::SpecError;

/// Everything that the status depends on.
pub struct Observed<'a> {
    /// The ChatCluster.
    pub cluster: &'a ChatCluster,
    /// Its previous status.
    pub previous: &'a ChatClusterStatus,
    /// The nodes.
    pub fleet: &'a Fleet,
    /// The desired revision.
    pub revision: &'a str,
    /// The desired number of nodes.
    pub desired: &'a DesiredReplicas,
    /// ReplicaSet of the desired revision.
    pub replica_set: Option<&'a ReplicaSet>,
    /// StatefulSet of a managed Redis.
    pub stateful_set: Option<&'a StatefulSet>,
    /// Service of the nodes.
    pub service: Option<&'a Service>,
    /// Ingress of the nodes.
    pub ingress: Option<&'a Ingress>,
    /// Pods of the nodes.
    pub node_pods: &'a [Arc<Pod>],
    /// Pods of a managed Redis.
    pub redis_pods: &'a [Arc<Pod>],
    /// Responses of unready nodes to `GET /readyz`.
    pub node_messages: &'a [String],
    /// The first error in the spec.
    pub spec_error: Option<&'a SpecError>,
    /// Error of applying the objects.
    pub apply_error: Option<&'a Error>,
    /// Whether the StorageClass exists.
    pub storage_class_exists: bool,
    /// Whether the Ingress' certificate exists.
    pub certificate_exists: bool,
    /// Installed kinds of the Prometheus Operator.
    pub installed: InstalledKinds,
    /// Current time, in whole seconds.
    pub now: Time,
}

/// The value of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// The reason.
    pub reason: Reason,
    /// The message.
    pub message: String,
}

impl Finding {
    pub(super) fn new(status: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    pub(super) fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self::new("True", reason, message)
    }

    pub(super) fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self::new("False", reason, message)
    }
}
