//! Which Redis the nodes share, and how it is reached.

use std::path::PathBuf;

use clap::Args;

use crate::store::Retention;
use crate::store::redis::{Durability, RedisConfig, TlsFiles};

/// The options of Redis.
#[derive(Debug, Clone, Args)]
pub struct RedisOptions {
    /// The Redis that all nodes share, as redis://[user:password@]host[:port][/database]; behind
    /// sentinels redis-sentinel:// and their hosts, separated by commas; of a Redis Cluster
    /// redis-cluster:// and some of its hosts. With TLS rediss, rediss-sentinel, rediss-cluster. Without it the node keeps everything in its own memory and is alone
    #[arg(id = "redis-url", long, env = "CHAT_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub url: Option<String>,

    /// The user at Redis, if the URL does not name one
    #[arg(id = "redis-username", long, env = "CHAT_REDIS_USERNAME", value_name = "NAME")]
    pub username: Option<String>,

    /// The password at Redis, as it is; in the URL, some characters would have to be escaped
    #[arg(id = "redis-password", long, env = "CHAT_REDIS_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub password: Option<String>,

    /// What the sentinels call the primary, such as mymaster
    #[arg(id = "redis-sentinel-master", long, env = "CHAT_REDIS_SENTINEL_MASTER", value_name = "NAME")]
    pub sentinel_master: Option<String>,

    /// The user at the sentinels, who have users of their own
    #[arg(id = "redis-sentinel-username", long, env = "CHAT_REDIS_SENTINEL_USERNAME", value_name = "NAME")]
    pub sentinel_username: Option<String>,

    /// The password at the sentinels
    #[arg(
        id = "redis-sentinel-password",
        long,
        env = "CHAT_REDIS_SENTINEL_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true
    )]
    pub sentinel_password: Option<String>,

    /// A file of the CA certificates that Redis' certificates are checked with, in PEM; without it,
    /// those of the system. Like the next two it is read again with each new connection
    #[arg(id = "redis-ca-file", long, env = "CHAT_REDIS_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// A file of the certificate that this node shows to Redis, in PEM, with those between it and its CA
    #[arg(
        id = "redis-cert-file",
        long,
        env = "CHAT_REDIS_CERT_FILE",
        value_name = "FILE",
        requires = "redis-key-file"
    )]
    pub cert_file: Option<PathBuf>,

    /// A file of that certificate's key, in PEM
    #[arg(id = "redis-key-file", long, env = "CHAT_REDIS_KEY_FILE", value_name = "FILE", requires = "redis-cert-file")]
    pub key_file: Option<PathBuf>,

    /// What the names of all keys and channels begin with: chats of different prefixes share a Redis
    /// and know nothing of each other
    #[arg(
        id = "redis-key-prefix",
        long,
        env = "CHAT_REDIS_KEY_PREFIX",
        value_name = "PREFIX",
        default_value = "chat:"
    )]
    pub key_prefix: String,

    /// What an acknowledged message survives. What falls short of it is answered with unavailable, and
    /// sent again by the client under its nonce
    #[arg(long, env = "CHAT_DURABILITY", value_enum, default_value_t, requires_ifs = [("aof", "redis-url"), ("replica", "redis-url")])]
    pub durability: Durability,

    /// With --durability replica, how many replicas have to have it: for a failover that loses nothing,
    /// as many as make most of all copies with the primary, and min-replicas-to-write set there
    #[arg(long, env = "CHAT_DURABILITY_REPLICAS", value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub durability_replicas: u32,
}

impl RedisOptions {
    /// The configuration of Redis, if a URL is set.
    #[must_use]
    pub fn config(&self, retention: Retention) -> Option<RedisConfig> {
        let this = self.clone();
        Some(RedisConfig {
            url: this.url?,
            username: this.username,
            password: this.password,
            sentinel_master: this.sentinel_master,
            sentinel_username: this.sentinel_username,
            sentinel_password: this.sentinel_password,
            tls: TlsFiles { ca: this.ca_file, client: this.cert_file.zip(this.key_file) },
            key_prefix: this.key_prefix,
            retention,
            durability: this.durability,
            durability_replicas: this.durability_replicas,
        })
    }
}
