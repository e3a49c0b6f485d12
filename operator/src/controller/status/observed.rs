//! What a reconciliation observed, and what one condition says of it.

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

/// Everything that was found.
pub struct Observed<'a> {
    /// The ChatCluster.
    pub cluster: &'a ChatCluster,
    /// What it said before.
    pub previous: &'a ChatClusterStatus,
    /// The nodes.
    pub fleet: &'a Fleet,
    /// The kind of them that is asked for.
    pub revision: &'a str,
    /// How many there are to be.
    pub desired: &'a DesiredReplicas,
    /// The ReplicaSet of those.
    pub replica_set: Option<&'a ReplicaSet>,
    /// The managed Redis.
    pub stateful_set: Option<&'a StatefulSet>,
    /// The nodes' Service.
    pub service: Option<&'a Service>,
    /// The way in from outside.
    pub ingress: Option<&'a Ingress>,
    /// The nodes' pods.
    pub node_pods: &'a [Arc<Pod>],
    /// Redis' pods.
    pub redis_pods: &'a [Arc<Pod>],
    /// What nodes that are not ready say.
    pub node_messages: &'a [String],
    /// What stands between the spec and a chat.
    pub spec_error: Option<&'a SpecError>,
    /// What could not be written.
    pub apply_error: Option<&'a Error>,
    /// Whether the named StorageClass is there.
    pub storage_class_exists: bool,
    /// Whether the named certificate is there.
    pub certificate_exists: bool,
    /// Which kinds of the Prometheus Operator are installed.
    pub installed: InstalledKinds,
    /// The time, in whole seconds.
    pub now: Time,
}

/// What one condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why.
    pub reason: Reason,
    /// A sentence for people.
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
