//! Which Redis the nodes share, and how it is reached.

use std::path::PathBuf;

use clap::Args;

use crate::store::Retention;
use crate::store::redis::{Durability, RedisConfig, TlsFiles};

/// The options of Redis.
#[derive(Debug, Clone, Args)]
pub struct RedisOptions {
    /// URL of the Redis that all nodes share: redis://[user:password@]host[:port][/database];
    /// redis-sentinel:// with the Sentinels, comma-separated; redis-cluster:// with some nodes of a
    /// Redis Cluster. rediss://, rediss-sentinel:// and rediss-cluster:// use TLS. If unset, the
    /// node runs alone and keeps all data in memory
    #[arg(id = "redis-url", long, env = "CHAT_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub url: Option<String>,

    /// Redis user, if the URL does not contain one
    #[arg(id = "redis-username", long, env = "CHAT_REDIS_USERNAME", value_name = "NAME")]
    pub username: Option<String>,

    /// Redis password, as it is. Only a password inside --redis-url must be percent-encoded
    #[arg(id = "redis-password", long, env = "CHAT_REDIS_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub password: Option<String>,

    /// Name of the primary as configured in Sentinel, such as mymaster
    #[arg(id = "redis-sentinel-master", long, env = "CHAT_REDIS_SENTINEL_MASTER", value_name = "NAME")]
    pub sentinel_master: Option<String>,

    /// User for authenticating to Sentinel, which has users of its own, separate from
    /// --redis-username
    #[arg(id = "redis-sentinel-username", long, env = "CHAT_REDIS_SENTINEL_USERNAME", value_name = "NAME")]
    pub sentinel_username: Option<String>,

    /// Password for Sentinel
    #[arg(
        id = "redis-sentinel-password",
        long,
        env = "CHAT_REDIS_SENTINEL_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true
    )]
    pub sentinel_password: Option<String>,

    /// PEM file with the CA certificates that verify Redis; if unset, the CA certificates of the
    /// system. This file and the two below are read again for each new connection
    #[arg(id = "redis-ca-file", long, env = "CHAT_REDIS_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// PEM file with the client certificate for Redis, followed by its intermediate certificates
    #[arg(
        id = "redis-cert-file",
        long,
        env = "CHAT_REDIS_CERT_FILE",
        value_name = "FILE",
        requires = "redis-key-file"
    )]
    pub cert_file: Option<PathBuf>,

    /// PEM file with the private key of the client certificate
    #[arg(id = "redis-key-file", long, env = "CHAT_REDIS_KEY_FILE", value_name = "FILE", requires = "redis-cert-file")]
    pub key_file: Option<PathBuf>,

    /// Prefix of all Redis keys and channels. Chats with different prefixes can share a Redis
    #[arg(
        id = "redis-key-prefix",
        long,
        env = "CHAT_REDIS_KEY_PREFIX",
        value_name = "PREFIX",
        default_value = "chat:"
    )]
    pub key_prefix: String,

    /// Failure of Redis that an acknowledged message survives. A message that is not yet that
    /// durable is answered with the error `unavailable`, and the client sends it again
    #[arg(long, env = "CHAT_DURABILITY", value_enum, default_value_t, requires_ifs = [("aof", "redis-url"), ("replica", "redis-url")])]
    pub durability: Durability,

    /// Number of replicas, besides the primary, that must have a message before it is acknowledged,
    /// with --durability replica. For a failover without loss, they and the primary must be a
    /// majority of all copies: 1 with 2 replicas, 2 with 3 or 4. Also set min-replicas-to-write in
    /// Redis to 1
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
