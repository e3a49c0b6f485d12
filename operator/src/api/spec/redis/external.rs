//! Existing Redis that the operator does not manage.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Existing Redis that the operator does not manage.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.mode != 'Standalone' || self.endpoints.size() == 1")
        .message("a standalone Redis has one endpoint; only the modes Sentinel and Cluster have several")
        .field_path(".endpoints"),
    validation = Rule::new("(self.mode == 'Sentinel') == has(self.sentinel)")
        .message("the mode Sentinel needs sentinel.masterName; no other mode has sentinel")
        .field_path(".sentinel"),
    validation = Rule::new("self.mode != 'Cluster' || self.database == 0")
        .message("a Redis Cluster has database 0 only; separate chats by keyPrefix")
        .field_path(".database"),
    validation = Rule::new("self.keyPrefix == oldSelf.keyPrefix")
        .message("keyPrefix can't be changed: the messages so far are stored under it; create another ChatCluster")
        .field_path(".keyPrefix"),
    validation = Rule::new("self.database == oldSelf.database")
        .message("database can't be changed: the messages so far are stored in it; create another ChatCluster")
        .field_path(".database"),
)]
pub struct External {
    /// Deployment mode of Redis.
    #[serde(default)]
    pub mode: Mode,
    /// Addresses, as `host:port`: the server, some of the sentinels, or some servers of the Redis
    /// Cluster.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(max = 300), regex(pattern = r"^([A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}$"))
    )]
    pub endpoints: Vec<String>,
    /// Settings of the sentinels; with mode Sentinel only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
    /// Secret with the user name and password. If unset, the nodes do not authenticate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<Credentials>,
    /// TLS settings. If unset, connections are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Prefix of all keys and channels. ChatClusters with different prefixes can share a Redis.
    /// Immutable.
    #[serde(default = "default_prefix")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._:/-]+$"))]
    pub key_prefix: String,
    /// Database number. Immutable.
    #[serde(default)]
    #[schemars(range(min = 0, max = 255))]
    pub database: i32,
    /// Additional server ports that the NetworkPolicy allows. With mode Sentinel, the ports of the
    /// Redis servers themselves (default 6379). With mode Cluster, ports of servers that
    /// `endpoints` does not list.
    #[serde(default)]
    #[schemars(length(max = 16), inner(range(min = 1, max = 65_535)))]
    pub server_ports: Vec<i32>,
}

/// Deployment mode of Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// A single server, or an address that always leads to the primary.
    #[default]
    Standalone,
    /// A primary with replicas, monitored by sentinels.
    Sentinel,
    /// A Redis Cluster.
    Cluster,
}

/// Settings of the sentinels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sentinel {
    /// Name of the primary, as configured in the sentinels.
    #[schemars(length(min = 1, max = 253))]
    pub master_name: String,
    /// Secret with the user name and password of the sentinels, which have their own users. If
    /// unset, the nodes do not authenticate to the sentinels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<Credentials>,
}

/// TLS settings. The nodes load renewed certificates with the next connection; pods are not
/// replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// Secret with the CA certificates that sign the server certificates. If unset, the public CAs
    /// are trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaCertificates>,
    /// Secret of type kubernetes.io/tls with the nodes' client certificate. If unset, the nodes
    /// present none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<ClientCertificate>,
}

/// Reference to a Secret with CA certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaCertificates {
    /// Name of the Secret, in the ChatCluster's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the PEM-encoded certificates.
    #[serde(default = "default_ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Reference to a Secret with a certificate under `tls.crt` and its key under `tls.key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// Name of the Secret, in the ChatCluster's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Reference to a Secret with a password and an optional user name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Name of the Secret, in the ChatCluster's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the user name. If empty, Redis' default user applies.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub username_key: String,
    /// Key of the password.
    #[serde(default = "default_password_key")]
    #[schemars(length(min = 1, max = 253))]
    pub password_key: String,
}

fn default_prefix() -> String {
    "chat:".into()
}

fn default_ca_key() -> String {
    "ca.crt".into()
}

fn default_password_key() -> String {
    "password".into()
}
