//! Validates a spec and what it refers to. Pure: no client, no clock.

use std::collections::BTreeMap;

use kube::Resource;

use super::dereference::References;
use super::error::Error;
use super::fleet::drain_budget;
use super::names::Names;
use super::quantity::Quantity;
use crate::api::reason::Reason;
use crate::api::spec::delivery::Durability;
use crate::api::spec::pod::{Pod, Resources};
use crate::api::spec::redis::{Managed, Redis};
use crate::api::spec::tracing::Tracing;
use crate::api::spec::{ChatCluster, ChatClusterSpec};

mod addresses;
mod external;
mod validated;

pub use validated::{
    SpecError, ValidateError, ValidatedCluster, ValidatedCredentials, ValidatedExternal, ValidatedRedis,
};

/// Key of the resume token keys in their Secret.
pub const SESSION_KEY: &str = "keys";
/// The shortest of these keys, in bytes: the server's bound.
const MIN_SESSION_KEY: usize = 32;
/// Key of the admin token in its Secret.
pub const ADMIN_KEY: &str = "token";
/// Key of the password in the Secret of a managed Redis.
pub const PASSWORD_KEY: &str = "password";

/// Validates a ChatCluster.
///
/// # Errors
/// The first invalid value, as [`ValidateError::Spec`]; or a field that every API server sets is
/// missing.
pub fn validate(
    cluster: &ChatCluster,
    references: &References,
    operator_namespace: &str,
) -> Result<ValidatedCluster, ValidateError> {
    let spec = &cluster.spec;
    let owner = cluster.controller_owner_ref(&()).ok_or(Error::Incomplete("uid"))?;
    let namespace = cluster.metadata.namespace.clone().ok_or(Error::Incomplete("namespace"))?;

    let settings = settings(cluster);
    check_extra_env(&spec.pod, &settings)?;
    check_resources("spec.pod.resources", &spec.pod.resources)?;
    addresses::check_networks(spec.exposure.trusted_proxies.as_deref().unwrap_or_default())?;
    addresses::check_origins(&spec.auth.allowed_origins)?;
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
        max_reconnects_per_second: spec.drain.max_reconnects_per_second.unsigned_abs(),
        concurrent_drains: drain_budget::concurrent_drains(&spec.drain),
        max_surge: spec.rollout.max_surge.clone(),
        // As the server computes it: JSON can escape one byte as four, and low limits must leave
        // room for other requests.
        max_request_bytes: i64::from(spec.limits.max_message_bytes).saturating_mul(4).max(65_536),
        pod: spec.pod.clone(),
        max_unavailable: spec.disruption.max_unavailable,
        network_policy: spec.network_policy.clone(),
        monitoring: spec.monitoring.clone(),
        installed: references.installed,
        collector_port: collector_port(&spec.tracing)?,
        operator_namespace: operator_namespace.to_owned(),
        session_keys: session_keys(references)?,
        admin_token: references.admin.value(ADMIN_KEY),
    })
}

/// Environment variables of the nodes that are the same for every pod and not secret. The names are
/// the server's (docs/configuration.md); a test parses them with the server's own configuration.
fn settings(cluster: &ChatCluster) -> BTreeMap<String, String> {
    let spec = &cluster.spec;
    [
        ("CHAT_LISTEN", "0.0.0.0:3000".to_owned()),
        ("CHAT_ADMIN_LISTEN", "0.0.0.0:9090".to_owned()),
        ("CHAT_BASE_PATH", spec.exposure.path.clone()),
        ("CHAT_ALLOWED_ORIGINS", spec.auth.allowed_origins.join(",")),
        ("CHAT_TRUSTED_PROXIES", spec.exposure.trusted_proxies().join(",")),
        ("CHAT_MAX_CONNECTIONS", spec.limits.max_connections_per_pod.to_string()),
        ("CHAT_MAX_MESSAGE_BYTES", spec.limits.max_message_bytes.to_string()),
        ("CHAT_MESSAGES_PER_SECOND", spec.limits.messages_per_second_per_user.to_string()),
        ("CHAT_MESSAGE_BURST", spec.limits.burst.to_string()),
        ("CHAT_CHANGES_PER_SECOND", spec.limits.changes_per_second_per_user.to_string()),
        ("CHAT_QUERIES_PER_SECOND", spec.limits.queries_per_second_per_user.to_string()),
        ("CHAT_HANDSHAKES_PER_SECOND_PER_ADDRESS", spec.limits.handshakes_per_second_per_address.to_string()),
        ("CHAT_NEW_GUESTS_PER_SECOND_PER_ADDRESS", spec.limits.new_guests_per_second_per_address.to_string()),
        ("CHAT_DURABILITY", spec.delivery.durability.as_option().to_owned()),
        ("CHAT_DURABILITY_REPLICAS", spec.delivery.replicas.to_string()),
        ("CHAT_RETENTION_SECONDS", spec.retention.max_age_seconds.to_string()),
        ("CHAT_RETENTION_MESSAGES", spec.retention.max_messages_per_room.to_string()),
        ("CHAT_OTLP_ENDPOINT", spec.tracing.otlp_endpoint.clone()),
        ("CHAT_TRACE_SAMPLE_RATIO", spec.tracing.sample_ratio.clone()),
        ("CHAT_DRAIN_TIMEOUT_SECONDS", spec.drain.timeout_seconds.to_string()),
        ("CHAT_DRAIN_CONNECTIONS_PER_SECOND", drain_budget::pace(&spec.drain).to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Variables that the operator sets besides [`settings`] (build/env.rs).
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

fn check_extra_env(pod: &Pod, settings: &BTreeMap<String, String>) -> Result<(), SpecError> {
    let is_reserved = |name: &str| settings.contains_key(name) || RESERVED.contains(&name);
    match pod.extra_env.iter().find(|variable| is_reserved(&variable.name)) {
        None => Ok(()),
        Some(variable) => Err(SpecError {
            reason: Reason::ReservedVariable,
            message: format!(
                "spec.pod.extraEnv sets {}, which is reserved: the operator sets it from the spec",
                variable.name
            ),
        }),
    }
}

/// With a shorter key a node does not start. The Secret is the operator's, and people replace keys in it.
fn session_keys(references: &References) -> Result<Vec<u8>, SpecError> {
    let keys = references.session.value(SESSION_KEY);
    if keys.split(|byte| *byte == b',').all(|key| key.len() >= MIN_SESSION_KEY) {
        return Ok(keys);
    }
    Err(SpecError {
        reason: Reason::InvalidValue,
        message: format!(
            "the Secret with the session keys: each of the keys under {SESSION_KEY}, separated by commas, must have at \
             least {MIN_SESSION_KEY} characters"
        ),
    })
}

/// The schema's pattern accepts numbers that are not ports.
fn collector_port(tracing: &Tracing) -> Result<Option<u16>, SpecError> {
    tracing.port().map_err(|_| SpecError {
        reason: Reason::InvalidValue,
        message: format!("spec.tracing.otlpEndpoint: {} has no valid port", tracing.otlp_endpoint),
    })
}

/// The schema's pattern accepts quantities that are too large.
fn check_resources(field: &str, resources: &Resources) -> Result<(), SpecError> {
    for (name, amount) in resources.requests.iter().chain(&resources.limits) {
        if Quantity::parse(&amount.0).is_none() {
            return Err(SpecError {
                reason: Reason::InvalidValue,
                message: format!("{field}: {name}: {} is not a quantity", amount.0),
            });
        }
    }
    Ok(())
}

fn redis(spec: &ChatClusterSpec, references: &References) -> Result<ValidatedRedis, SpecError> {
    match &spec.redis {
        None | Some(Redis { managed: None, external: None }) => Ok(ValidatedRedis::Embedded),
        Some(Redis { managed: Some(managed), .. }) => self::managed(managed, references, spec.delivery.durability),
        Some(Redis { external: Some(external), .. }) => external::external(external, &references.external),
    }
}

fn managed(spec: &Managed, references: &References, durability: Durability) -> Result<ValidatedRedis, SpecError> {
    check_resources("spec.redis.managed.resources", &spec.resources)?;
    let limit = spec.resources.limits.get("memory").and_then(|amount| Quantity::parse(&amount.0));
    Ok(ValidatedRedis::Managed {
        spec: spec.clone(),
        // A rewrite of the append-only file may temporarily need as much again for concurrent
        // changes.
        max_memory: limit.map(|limit| limit.whole() / 10 * 6),
        // `always` instead of WAITAOF with `everysec`, which would wait for the end of the second;
        // Redis 7.0 lacks WAITAOF.
        fsync: if durability == Durability::Aof { "always" } else { "everysec" },
        password: references.redis.value(PASSWORD_KEY),
    })
}
