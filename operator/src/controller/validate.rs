//! From what a user asked for, and what it names, to what can be built. Pure: no client, no clock.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use super::dereference::References;
use super::error::Error;
use super::names::Names;
use super::quantity::Quantity;
use super::unwatched::Kinds;
use crate::api::reason::Reason;
use crate::api::spec::autoscaling::Autoscaling;
use crate::api::spec::delivery::Durability;
use crate::api::spec::exposure::Exposure;
use crate::api::spec::monitoring::Monitoring;
use crate::api::spec::pod::{Pod, Resources};
use crate::api::spec::redis::{Managed, Redis};
use crate::api::spec::rollout::{Drain, Surge};
use crate::api::spec::tracing::Tracing;
use crate::api::spec::{ChatCluster, ChatClusterSpec, Image, NetworkPolicy};

mod external;
pub use external::ValidatedExternal;

/// The key in the Secret with the keys that sign resume tokens.
pub const SESSION_KEY: &str = "keys";
/// The key in the Secret with the token for the admin port.
pub const ADMIN_KEY: &str = "token";
/// The key in the Secret with the password of a managed Redis.
pub const PASSWORD_KEY: &str = "password";

/// What stands between a spec and a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
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
    pub reconnects_per_second: u32,
    /// How many nodes do at a time.
    pub drains_at_a_time: usize,
    /// How many pods there may be beyond those that are asked for, while they are replaced.
    pub surge: Surge,
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
    pub kinds: Kinds,
    /// The port of the collector that is told of messages.
    pub collector_port: Option<u16>,
    /// The namespace that the operator's own pods are in.
    pub operator_namespace: String,
    /// The keys that sign resume tokens.
    pub session: Vec<u8>,
    /// The token for the admin port.
    pub admin: Vec<u8>,
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

/// Checks everything.
///
/// # Errors
/// The first thing that stands between the spec and a chat, as [`Verdict::Problem`]; or a ChatCluster
/// that no API server gives.
pub fn validate(
    cluster: &ChatCluster,
    references: &References,
    operator_namespace: &str,
) -> Result<ValidatedCluster, Verdict> {
    let spec = &cluster.spec;
    let owner = cluster.controller_owner_ref(&()).ok_or(Error::Incomplete("a uid"))?;
    let namespace = cluster.metadata.namespace.clone().ok_or(Error::Incomplete("a namespace"))?;

    let settings = settings(cluster);
    check_extra_env(&spec.pod, &settings)?;
    check_resources("spec.pod.resources", &spec.pod.resources)?;
    Ok(ValidatedCluster {
        names: Names::of(cluster),
        namespace,
        owner,
        image: spec.image.clone(),
        autoscaling: spec.autoscaling.clone(),
        redis: redis(spec, references)?,
        exposure: spec.exposure.clone(),
        settings,
        drain_seconds: i64::from(spec.drain.timeout_seconds),
        reconnects_per_second: spec.drain.max_reconnects_per_second.unsigned_abs(),
        drains_at_a_time: drains_at_a_time(&spec.drain),
        surge: spec.rollout.max_surge.clone(),
        // As the server counts it: JSON can make four bytes of one, and small limits must leave room
        // for the other requests.
        max_request_bytes: i64::from(spec.limits.max_message_bytes).saturating_mul(4).max(65_536),
        pod: spec.pod.clone(),
        max_unavailable: spec.disruption.max_unavailable,
        network_policy: spec.network_policy.clone(),
        monitoring: spec.monitoring.clone(),
        kinds: references.kinds,
        collector_port: collector_port(&spec.tracing)?,
        operator_namespace: operator_namespace.to_owned(),
        session: references.session.value(SESSION_KEY),
        admin: references.admin.value(ADMIN_KEY),
    })
}

/// Why there is nothing to build.
#[derive(Debug)]
pub enum Verdict {
    /// The user has to mend something.
    Problem(Problem),
    /// Something is broken.
    Error(Error),
}

impl From<Problem> for Verdict {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Error> for Verdict {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The nodes' settings, those aside that differ from pod to pod or are secret. The names are the
/// server's own (docs/configuration.md); a test parses them with the server's own configuration.
fn settings(cluster: &ChatCluster) -> BTreeMap<String, String> {
    let spec = &cluster.spec;
    [
        ("CHAT_LISTEN", "0.0.0.0:3000".to_owned()),
        ("CHAT_ADMIN_LISTEN", "0.0.0.0:9090".to_owned()),
        ("CHAT_ALLOWED_ORIGINS", spec.auth.allowed_origins.join(",")),
        ("CHAT_MAX_CONNECTIONS", spec.limits.max_connections_per_pod.to_string()),
        ("CHAT_MAX_MESSAGE_BYTES", spec.limits.max_message_bytes.to_string()),
        ("CHAT_MESSAGES_PER_SECOND", spec.limits.messages_per_second_per_user.to_string()),
        ("CHAT_MESSAGE_BURST", spec.limits.burst.to_string()),
        ("CHAT_DURABILITY", spec.delivery.durability.as_option().to_owned()),
        ("CHAT_DURABILITY_REPLICAS", spec.delivery.replicas.to_string()),
        ("CHAT_RETENTION_SECONDS", spec.retention.max_age_seconds.to_string()),
        ("CHAT_RETENTION_MESSAGES", spec.retention.max_messages_per_room.to_string()),
        ("CHAT_OTLP_ENDPOINT", spec.tracing.otlp_endpoint.clone()),
        ("CHAT_TRACE_SAMPLE_RATIO", spec.tracing.sample_ratio.clone()),
        ("CHAT_DRAIN_TIMEOUT_SECONDS", spec.drain.timeout_seconds.to_string()),
        ("CHAT_DRAIN_CONNECTIONS_PER_SECOND", drain_pace(&spec.drain).to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// How many clients a second one node hands over: no more than all together may.
fn drain_pace(drain: &Drain) -> i32 {
    drain.connections_per_second.min(drain.max_reconnects_per_second).max(1)
}

/// How many nodes may hand clients over at a time, each at its pace.
fn drains_at_a_time(drain: &Drain) -> usize {
    usize::try_from(drain.max_reconnects_per_second / drain_pace(drain)).unwrap_or_default().max(1)
}

/// The variables that the operator sets, beside [`settings`] (build/env.rs).
const RESERVED: [&str; 13] = [
    "CHAT_REDIS_URL",
    "CHAT_REDIS_USERNAME",
    "CHAT_REDIS_PASSWORD",
    "CHAT_REDIS_SENTINEL_MASTER",
    "CHAT_REDIS_SENTINEL_USERNAME",
    "CHAT_REDIS_SENTINEL_PASSWORD",
    "CHAT_REDIS_CA_FILE",
    "CHAT_REDIS_CERT_FILE",
    "CHAT_REDIS_KEY_FILE",
    "CHAT_REDIS_KEY_PREFIX",
    "CHAT_SESSION_KEYS",
    "CHAT_ADMIN_TOKEN_FILE",
    "CHAT_NODE_ID",
];

fn check_extra_env(pod: &Pod, settings: &BTreeMap<String, String>) -> Result<(), Problem> {
    let is_reserved = |name: &str| settings.contains_key(name) || RESERVED.contains(&name);
    match pod.extra_env.iter().find(|variable| is_reserved(&variable.name)) {
        None => Ok(()),
        Some(variable) => Err(Problem {
            reason: Reason::ReservedVariable,
            message: format!("spec.pod.extraEnv sets {}, which the operator sets from the spec", variable.name),
        }),
    }
}

/// What the schema's pattern lets through: a number that is no port.
fn collector_port(tracing: &Tracing) -> Result<Option<u16>, Problem> {
    tracing.port().map_err(|_| Problem {
        reason: Reason::InvalidValue,
        message: format!("spec.tracing.otlpEndpoint: {} names no port", tracing.otlp_endpoint),
    })
}

/// What the schema's pattern lets through and the API server would not: nothing so far but what is
/// too large to count.
fn check_resources(field: &str, resources: &Resources) -> Result<(), Problem> {
    for (name, amount) in resources.requests.iter().chain(&resources.limits) {
        if Quantity::parse(&amount.0).is_none() {
            return Err(Problem {
                reason: Reason::InvalidValue,
                message: format!("{field}: {name}: {} is no quantity", amount.0),
            });
        }
    }
    Ok(())
}

fn redis(spec: &ChatClusterSpec, references: &References) -> Result<ValidatedRedis, Problem> {
    match &spec.redis {
        None | Some(Redis { managed: None, external: None }) => Ok(ValidatedRedis::Embedded),
        Some(Redis { managed: Some(managed), .. }) => self::managed(managed, references, spec.delivery.durability),
        Some(Redis { external: Some(external), .. }) => external::external(external, &references.external),
    }
}

fn managed(spec: &Managed, references: &References, durability: Durability) -> Result<ValidatedRedis, Problem> {
    check_resources("spec.redis.managed.resources", &spec.resources)?;
    let limit = spec.resources.limits.get("memory").and_then(|amount| Quantity::parse(&amount.0));
    Ok(ValidatedRedis::Managed {
        spec: spec.clone(),
        // Rewriting the append-only file may for a while need as much again for what changes meanwhile.
        max_memory: limit.map(|limit| limit.whole() / 10 * 6),
        // Always, and not only WAITAOF at every second: that waits for the second to be over; and Redis 7.0 has none.
        fsync: if durability == Durability::Aof { "always" } else { "everysec" },
        password: references.redis.value(PASSWORD_KEY),
    })
}
