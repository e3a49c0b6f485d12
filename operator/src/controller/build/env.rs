//! Environment variables of the nodes that differ between pods or are secret.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, SecretKeySelector};

use super::{certificates, service};
use crate::controller::validate::{
    PASSWORD_KEY, SESSION_KEY, ValidatedCluster, ValidatedCredentials, ValidatedExternal, ValidatedRedis,
};

/// Where the Secret with the admin token is mounted.
pub(super) const ADMIN_FOLDER: &str = "/etc/chat-server/admin";
const ADMIN_TOKEN_FILE: &str = "/etc/chat-server/admin/token";

/// All variables, those of the spec last.
pub(super) fn build(cluster: &ValidatedCluster) -> Vec<EnvVar> {
    let mut variables = vec![
        field("CHAT_NODE_ID", "metadata.name"),
        secret("CHAT_SESSION_KEYS", &cluster.names.session(), SESSION_KEY),
        plain("CHAT_ADMIN_TOKEN_FILE", ADMIN_TOKEN_FILE),
    ];
    match &cluster.redis {
        ValidatedRedis::Embedded => {}
        ValidatedRedis::Managed { .. } => {
            let name = cluster.names.redis();
            variables.push(plain("CHAT_REDIS_URL", &format!("redis://{name}:{}", service::REDIS_PORT)));
            variables.push(secret("CHAT_REDIS_PASSWORD", &name, PASSWORD_KEY));
        }
        ValidatedRedis::External(redis) => external(&mut variables, redis),
    }
    if cluster.collector_port.is_some() {
        tracing(&mut variables, cluster);
    }
    variables.extend(cluster.pod.extra_env.iter().cloned());
    variables
}

/// Resource attributes for traces, by OpenTelemetry's names. A value in `spec.pod.extraEnv` takes
/// precedence.
fn tracing(variables: &mut Vec<EnvVar>, cluster: &ValidatedCluster) {
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
    if cluster.pod.extra_env.iter().any(|variable| variable.name == ATTRIBUTES) {
        return;
    }
    let namespace = &cluster.namespace;
    variables.push(field("K8S_POD_UID", "metadata.uid"));
    variables.push(field("K8S_NODE_NAME", "spec.nodeName"));
    let attributes = [
        format!("k8s.namespace.name={namespace}"),
        "k8s.pod.name=$(CHAT_NODE_ID)".to_owned(),
        "k8s.pod.uid=$(K8S_POD_UID)".to_owned(),
        "k8s.node.name=$(K8S_NODE_NAME)".to_owned(),
        format!("service.namespace={namespace}/{}", cluster.names.node()),
    ];
    variables.push(plain(ATTRIBUTES, &attributes.join(",")));
}

fn external(variables: &mut Vec<EnvVar>, redis: &ValidatedExternal) {
    let of = |user: &str, password: &str, found: &ValidatedCredentials| {
        let user = found.username.as_ref().map(|(key, _)| secret(user, &found.secret, key));
        user.into_iter().chain([secret(password, &found.secret, &found.password.0)]).collect::<Vec<_>>()
    };
    variables.push(plain("CHAT_REDIS_URL", &redis.url));
    variables.push(plain("CHAT_REDIS_KEY_PREFIX", &redis.key_prefix));
    if let Some(found) = &redis.credentials {
        variables.extend(of("CHAT_REDIS_USERNAME", "CHAT_REDIS_PASSWORD", found));
    }
    if let Some(master) = &redis.sentinel_master {
        variables.push(plain("CHAT_REDIS_SENTINEL_MASTER", master));
    }
    if let Some(found) = &redis.sentinel_credentials {
        variables.extend(of("CHAT_REDIS_SENTINEL_USERNAME", "CHAT_REDIS_SENTINEL_PASSWORD", found));
    }
    if redis.ca.is_some() {
        variables.push(plain("CHAT_REDIS_CA_FILE", &format!("{}/{}", certificates::CA_FOLDER, certificates::CA)));
    }
    if redis.client_certificate.is_some() {
        let file = |name: &str| format!("{}/{name}", certificates::CLIENT_FOLDER);
        variables.push(plain("CHAT_REDIS_CERT_FILE", &file(certificates::CERTIFICATE)));
        variables.push(plain("CHAT_REDIS_KEY_FILE", &file(certificates::KEY)));
    }
}

fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), value_from: None }
}

/// A variable from a key of a Secret.
pub(super) fn secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.into(), key: key.into(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.into(), value: None, value_from: Some(source) }
}

fn field(name: &str, path: &str) -> EnvVar {
    // Set explicitly, because the API server adds the version as a default.
    let selector = ObjectFieldSelector { api_version: Some("v1".into()), field_path: path.into() };
    let source = EnvVarSource { field_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.into(), value: None, value_from: Some(source) }
}
