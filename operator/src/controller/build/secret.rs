//! Secrets that are generated once. Existing values are kept, whoever set them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::meta;
use crate::controller::names::Component;
use crate::controller::validate::{ADMIN_KEY, PASSWORD_KEY, SESSION_KEY, ValidatedCluster};

/// Key of the configuration file with the password.
pub(super) const AUTH_FILE: &str = "auth.conf";

/// Secret with the keys that sign resume tokens.
pub(super) fn session(cluster: &ValidatedCluster) -> Secret {
    secret(cluster, Component::Node, cluster.names.session(), [(SESSION_KEY, cluster.session_keys.clone())])
}

/// Secret with the token of the nodes' admin port.
pub(super) fn admin(cluster: &ValidatedCluster) -> Secret {
    secret(cluster, Component::Node, cluster.names.admin(), [(ADMIN_KEY, cluster.admin_token.clone())])
}

/// Secret with the password of a managed Redis, also as a line of its configuration.
pub(super) fn redis(cluster: &ValidatedCluster, password: &[u8]) -> Secret {
    let quoted = String::from_utf8_lossy(password).replace('\\', "\\\\").replace('"', "\\\"");
    let line = format!("requirepass \"{quoted}\"\n");
    secret(
        cluster,
        Component::Redis,
        cluster.names.redis(),
        [(PASSWORD_KEY, password.to_vec()), (AUTH_FILE, line.into_bytes())],
    )
}

fn secret<const N: usize>(
    cluster: &ValidatedCluster,
    component: Component,
    name: String,
    data: [(&str, Vec<u8>); N],
) -> Secret {
    let data: BTreeMap<_, _> = data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value))).collect();
    Secret {
        metadata: meta::object(cluster, component, name),
        type_: Some("Opaque".into()),
        data: Some(data),
        ..Secret::default()
    }
}
