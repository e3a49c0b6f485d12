//! A valid ChatCluster, and why one is invalid.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::api::prometheus::InstalledKinds;
use crate::api::reason::Reason;
use crate::api::spec::autoscaling::Autoscaling;
use crate::api::spec::exposure::Exposure;
use crate::api::spec::monitoring::Monitoring;
use crate::api::spec::pod::Pod;
use crate::api::spec::redis::Managed;
use crate::api::spec::redis::external::{CaCertificates, ClientCertificate};
use crate::api::spec::rollout::Surge;
use crate::api::spec::{Image, NetworkPolicy};
use crate::controller::error::Error;
use crate::controller::names::Names;

/// An error in the spec or in what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// Reason for conditions.
    pub reason: Reason,
    /// Message for conditions.
    pub message: String,
}

/// A valid ChatCluster: the code that builds its objects checks nothing again.
#[derive(Debug, Clone)]
pub struct ValidatedCluster {
    /// Names of its objects.
    pub names: Names,
    /// Their namespace.
    pub namespace: String,
    /// Their owner reference.
    pub owner: OwnerReference,
    /// Image of the nodes.
    pub image: Image,
    /// Bounds and targets of autoscaling.
    pub autoscaling: Option<Autoscaling>,
    /// Redis of the nodes.
    pub redis: ValidatedRedis,
    /// Service and Ingress.
    pub exposure: Exposure,
    /// Environment variables of the nodes.
    pub settings: BTreeMap<String, String>,
    /// Deadline of a drain, in seconds.
    pub drain_seconds: i64,
    /// The reconnect budget, per second.
    pub max_reconnects_per_second: u32,
    /// Nodes that may drain at a time.
    pub concurrent_drains: usize,
    /// Pods above the desired number during a rollout.
    pub max_surge: Surge,
    /// Largest request of a client, in bytes.
    pub max_request_bytes: i64,
    /// Settings of the pods.
    pub pod: Pod,
    /// Pods that may be evicted at a time.
    pub max_unavailable: i32,
    /// Settings of the NetworkPolicies.
    pub network_policy: NetworkPolicy,
    /// Which monitoring objects to create.
    pub monitoring: Monitoring,
    /// Installed kinds of the Prometheus Operator.
    pub installed: InstalledKinds,
    /// Port of the trace collector, if tracing is enabled.
    pub collector_port: Option<u16>,
    /// Namespace of the operator's own pods.
    pub operator_namespace: String,
    /// Keys that sign resume tokens.
    pub session_keys: Vec<u8>,
    /// Token of the admin port.
    pub admin_token: Vec<u8>,
}

/// Redis of the nodes.
#[derive(Debug, Clone)]
pub enum ValidatedRedis {
    /// None: one node, with everything in memory.
    Embedded,
    /// Managed by the operator.
    Managed {
        /// Its spec.
        spec: Managed,
        /// Memory limit of Redis, in bytes; `None` for no limit.
        max_memory: Option<i64>,
        /// Value of `appendfsync`.
        fsync: &'static str,
        /// Password.
        password: Vec<u8>,
    },
    /// External.
    External(Box<ValidatedExternal>),
}

/// References to a user name and a password, with their values.
#[derive(Debug, Clone)]
pub struct ValidatedCredentials {
    /// Name of the Secret.
    pub secret: String,
    /// Key and value of the user name.
    pub username: Option<(String, Vec<u8>)>,
    /// Key and value of the password.
    pub password: (String, Vec<u8>),
}

/// A valid external Redis.
#[derive(Debug, Clone)]
pub struct ValidatedExternal {
    /// URL for the server's option `--redis-url`. Contains no secret.
    pub url: String,
    /// Ports of all servers.
    pub ports: Vec<u16>,
    /// Credentials of Redis.
    pub credentials: Option<ValidatedCredentials>,
    /// Name of the primary in the sentinels.
    pub sentinel_master: Option<String>,
    /// Credentials of the sentinels.
    pub sentinel_credentials: Option<ValidatedCredentials>,
    /// Reference to the CA certificates.
    pub ca: Option<CaCertificates>,
    /// Reference to the client certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// Prefix of all keys and channels.
    pub key_prefix: String,
}

/// Why a ChatCluster can't be validated.
#[derive(Debug)]
pub enum ValidateError {
    /// The spec is invalid.
    Spec(SpecError),
    /// An internal error.
    Internal(Error),
}

impl From<SpecError> for ValidateError {
    fn from(error: SpecError) -> Self {
        Self::Spec(error)
    }
}

impl From<Error> for ValidateError {
    fn from(error: Error) -> Self {
        Self::Internal(error)
    }
}
