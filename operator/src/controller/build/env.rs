//! The nodes' environment: what differs from pod to pod, and what is secret.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, SecretKeySelector};

use crate::controller::validate::{PASSWORD_KEY, SESSION_KEY, ValidatedCluster, ValidatedRedis};

/// The variables, the user's own last.
pub(super) fn build(cluster: &ValidatedCluster) -> Vec<EnvVar> {
    let mut variables = vec![
        field("CHAT_NODE_ID", "metadata.name"),
        secret("CHAT_SESSION_KEYS", &cluster.names.session(), SESSION_KEY),
        plain("CHAT_ADMIN_TOKEN_FILE", super::replica_set::ADMIN_TOKEN_FILE),
    ];
    match &cluster.redis {
        ValidatedRedis::Embedded => {}
        ValidatedRedis::Managed { .. } => {
            let name = cluster.names.redis();
            variables.push(plain("CHAT_REDIS_URL", &format!("redis://{name}:{}", super::redis::PORT)));
            variables.push(secret("CHAT_REDIS_PASSWORD", &name, PASSWORD_KEY));
        }
        ValidatedRedis::External { host, port, credentials } => {
            variables.push(plain("CHAT_REDIS_URL", &format!("redis://{host}:{port}")));
            if let Some(credentials) = credentials {
                if let Some((key, _)) = &credentials.username {
                    variables.push(secret("CHAT_REDIS_USERNAME", &credentials.secret, key));
                }
                variables.push(secret("CHAT_REDIS_PASSWORD", &credentials.secret, &credentials.password.0));
            }
        }
    }
    variables.extend(cluster.pod.extra_env.iter().cloned());
    variables
}

fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), value_from: None }
}

/// The value under a key of a Secret.
pub(super) fn secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.into(), key: key.into(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.into(), value: None, value_from: Some(source) }
}

fn field(name: &str, path: &str) -> EnvVar {
    // The API server would add the version.
    let selector = ObjectFieldSelector { api_version: Some("v1".into()), field_path: path.into() };
    let source = EnvVarSource { field_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.into(), value: None, value_from: Some(source) }
}
