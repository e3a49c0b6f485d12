//! A Redis that is there.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Redis that is there, in one of the ways in which it is run.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.mode != 'Standalone' || self.endpoints.size() == 1")
        .message("a standalone Redis has one endpoint; several are for the modes Sentinel and Cluster")
        .field_path(".endpoints"),
    validation = Rule::new("(self.mode == 'Sentinel') == has(self.sentinel)")
        .message("the mode Sentinel needs sentinel.masterName, and no other mode has sentinel")
        .field_path(".sentinel"),
    validation = Rule::new("self.mode != 'Cluster' || self.database == 0")
        .message("a Redis Cluster has database 0 only; keep chats apart by keyPrefix")
        .field_path(".database"),
    validation = Rule::new("self.keyPrefix == oldSelf.keyPrefix")
        .message("keyPrefix can't be changed: what was said so far is under it; make another ChatCluster")
        .field_path(".keyPrefix"),
    validation = Rule::new("self.database == oldSelf.database")
        .message("database can't be changed: what was said so far is in it; make another ChatCluster")
        .field_path(".database"),
)]
pub struct External {
    /// How it is run.
    #[serde(default)]
    pub mode: Mode,
    /// Where it is, as `host:port`: the one Redis, or some of the sentinels, or some servers of the Redis Cluster.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(max = 300), regex(pattern = r"^([A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}$"))
    )]
    pub endpoints: Vec<String>,
    /// The sentinels, with the mode Sentinel only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
    /// The Secret with its user and password. Absent: it asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<Credentials>,
    /// TLS. Absent: everything goes in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the names of all keys and channels begin with: chats of different prefixes share a Redis.
    #[serde(default = "default_prefix")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._:/-]+$"))]
    pub key_prefix: String,
    /// The number of the database.
    #[serde(default)]
    #[schemars(range(min = 0, max = 255))]
    pub database: i32,
    /// Ports of servers beyond those of `endpoints`, for the NetworkPolicy: those of Redis itself with the mode Sentinel (6379,
    /// if none is named), and those that a Redis Cluster's servers have beside these.
    #[serde(default)]
    #[schemars(length(max = 16), inner(range(min = 1, max = 65_535)))]
    pub server_ports: Vec<i32>,
}

/// How a Redis is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// One server, or a name behind which the primary always is.
    #[default]
    Standalone,
    /// A primary and its replicas, which sentinels watch.
    Sentinel,
    /// Shards.
    Cluster,
}

/// The sentinels of a Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sentinel {
    /// What they call the primary.
    #[schemars(length(min = 1, max = 253))]
    pub master_name: String,
    /// The Secret with the user and the password at the sentinels, who have users of their own. Absent: they ask for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<Credentials>,
}

/// TLS to a Redis. Renewed certificates are taken with the next connection: no pod is replaced for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// The Secret with the CA certificates that sign those of Redis. Absent: the public CAs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaCertificates>,
    /// The Secret with the certificate that the nodes show, of the type kubernetes.io/tls. Absent: they show none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<ClientCertificate>,
}

/// A Secret with CA certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaCertificates {
    /// The Secret, in the ChatCluster's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key of the certificates, in PEM.
    #[serde(default = "default_ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A Secret with a certificate under `tls.crt` and its key under `tls.key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The Secret, in the ChatCluster's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A Secret with a password and perhaps a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The Secret, in the ChatCluster's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key of the user; empty: Redis' default user.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub username_key: String,
    /// The key of the password.
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
