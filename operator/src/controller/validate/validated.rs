//! A ChatCluster that can be built, and why one can't.

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

/// What stands between a spec and a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The word for it.
    pub reason: Reason,
    /// A sentence that says what is wrong.
    pub message: String,
}

/// A ChatCluster that can be built. Made once; inside, nobody asks again.
#[derive(Debug, Clone)]
pub struct ValidatedCluster {
    /// What its parts are called.
    pub names: Names,
    /// Where they are.
    pub namespace: String,
    /// Who owns them.
    pub owner: OwnerReference,
    /// The nodes' image.
    pub image: Image,
    /// Between how many nodes the chat moves, and by what.
    pub autoscaling: Option<Autoscaling>,
    /// The Redis behind them.
    pub redis: ValidatedRedis,
    /// How the chat is reached.
    pub exposure: Exposure,
    /// The nodes' settings: environment variables.
    pub settings: BTreeMap<String, String>,
    /// Within how many seconds a node hands its clients over.
    pub drain_seconds: i64,
    /// How many clients a second all nodes together hand over.
    pub max_reconnects_per_second: u32,
    /// How many nodes do at a time.
    pub concurrent_drains: usize,
    /// How many pods there may be beyond those that are asked for, while they are replaced.
    pub max_surge: Surge,
    /// The largest request that a client may make, in bytes.
    pub max_request_bytes: i64,
    /// What is said of the pods.
    pub pod: Pod,
    /// How many pods may be evicted at a time.
    pub max_unavailable: i32,
    /// Who may reach the pods.
    pub network_policy: NetworkPolicy,
    /// What is made for those who watch the chat.
    pub monitoring: Monitoring,
    /// Which kinds of the Prometheus Operator are installed.
    pub installed: InstalledKinds,
    /// The port of the collector that is told of messages.
    pub collector_port: Option<u16>,
    /// The namespace that the operator's own pods are in.
    pub operator_namespace: String,
    /// The keys that sign resume tokens.
    pub session_keys: Vec<u8>,
    /// The token for the admin port.
    pub admin_token: Vec<u8>,
}

/// The Redis behind the nodes.
#[derive(Debug, Clone)]
pub enum ValidatedRedis {
    /// None: one node, its memory.
    Embedded,
    /// One that the operator runs.
    Managed {
        /// As asked for.
        spec: Managed,
        /// How much memory Redis may use, in bytes. `None`: as much as there is.
        max_memory: Option<i64>,
        /// Its `appendfsync`: when what it wrote is on the disk.
        fsync: &'static str,
        /// Its password.
        password: Vec<u8>,
    },
    /// One that is there.
    External(Box<ValidatedExternal>),
}

/// Where a user and a password are, and what they are now.
#[derive(Debug, Clone)]
pub struct ValidatedCredentials {
    /// The Secret.
    pub secret: String,
    /// The key of the user, and the user.
    pub username: Option<(String, Vec<u8>)>,
    /// The key of the password, and the password.
    pub password: (String, Vec<u8>),
}

/// An external Redis that can be reached as it is asked for.
#[derive(Debug, Clone)]
pub struct ValidatedExternal {
    /// Where it is and how it is run, as the nodes take it. No secret.
    pub url: String,
    /// The ports of all servers.
    pub ports: Vec<u16>,
    /// Where the user and the password are, and what they are now.
    pub credentials: Option<ValidatedCredentials>,
    /// What the sentinels call the primary.
    pub sentinel_master: Option<String>,
    /// The same of the sentinels' own.
    pub sentinel_credentials: Option<ValidatedCredentials>,
    /// Where the CA certificates are.
    pub ca: Option<CaCertificates>,
    /// Where the nodes' certificate is.
    pub client_certificate: Option<ClientCertificate>,
    /// What all names begin with.
    pub key_prefix: String,
}

/// Why there is nothing to build.
#[derive(Debug)]
pub enum ValidateError {
    /// The user has to mend something.
    Spec(SpecError),
    /// Something is broken.
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
