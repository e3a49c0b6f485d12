//! The options for Redis.

use super::tls::TlsFiles;
use super::url::{Address, Topology};
use crate::store::Retention;

/// Longest prefix of keys, in bytes.
const MAX_PREFIX: usize = 64;

/// What an acknowledged message survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Durability {
    /// None beyond what Redis itself persists: data in memory only is lost with it
    #[default]
    Memory,
    /// A crash of Redis or its machine: the message is synced to the append-only file
    Aof,
    /// Loss of the primary: the message is on replicas, too
    Replica,
}

/// What a durable write waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// The append-only file of the server.
    Aof,
    /// So many replicas.
    Replicas(u32),
}

/// Where Redis is, how it is reached, and how much it keeps. Holds passwords: never logged.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/database]`, or one of the other schemes of
    /// `--redis-url`.
    pub url: String,
    /// The user, if the URL does not name it.
    pub username: Option<String>,
    /// The password, if the URL does not have it.
    pub password: Option<String>,
    /// The name of the primary at the sentinels. Required with sentinels, refused without.
    pub sentinel_master: Option<String>,
    /// The user at the sentinels.
    pub sentinel_username: Option<String>,
    /// The password at the sentinels.
    pub sentinel_password: Option<String>,
    /// The files of TLS.
    pub tls: TlsFiles,
    /// The prefix of all keys and channels.
    pub key_prefix: String,
    /// How much of each log is kept.
    pub retention: Retention,
    /// What an acknowledged message survives.
    pub durability: Durability,
    /// How many replicas must have a message, with [`Durability::Replica`].
    pub durability_replicas: u32,
}

impl RedisConfig {
    /// The Redis at this URL, with the defaults of the server's options, but no limit to what is kept.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            username: None,
            password: None,
            sentinel_master: None,
            sentinel_username: None,
            sentinel_password: None,
            tls: TlsFiles::default(),
            key_prefix: "chat:".to_owned(),
            retention: Retention::default(),
            durability: Durability::default(),
            durability_replicas: 1,
        }
    }

    /// Whether the options fit together. Reads no file.
    ///
    /// # Errors
    /// The option, and what has to be changed; never its value.
    pub fn check(&self) -> Result<(), String> {
        self.address().map(drop)
    }

    pub(crate) fn address(&self) -> Result<Address, String> {
        let address = Address::parse(&self.url).map_err(|why| format!("--redis-url can't be used: {why}"))?;
        let of_sentinels = [&self.sentinel_master, &self.sentinel_username, &self.sentinel_password];
        if address.topology == Topology::Sentinel && self.sentinel_master.is_none() {
            return Err("--redis-sentinel-master is missing: what the sentinels call the primary".to_owned());
        }
        if address.topology != Topology::Sentinel && of_sentinels.iter().any(|option| option.is_some()) {
            return Err("--redis-sentinel-…: they need a --redis-url with redis-sentinel://".to_owned());
        }
        if !address.tls && (self.tls.ca.is_some() || self.tls.client.is_some()) {
            return Err("--redis-ca-file, --redis-cert-file: they need TLS, a --redis-url with rediss://".to_owned());
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/');
        if !(1..=MAX_PREFIX).contains(&self.key_prefix.len()) || !self.key_prefix.bytes().all(allowed) {
            return Err(format!("--redis-key-prefix: 1 to {MAX_PREFIX} letters, digits and any of - _ . : /"));
        }
        Ok(address)
    }

    /// What a durable write waits for, if writes are to be durable.
    pub(crate) fn requirement(&self) -> Option<Requirement> {
        match self.durability {
            Durability::Memory => None,
            Durability::Aof => Some(Requirement::Aof),
            Durability::Replica => Some(Requirement::Replicas(self.durability_replicas)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test that fails by unwrapping says enough.
mod tests {
    use super::*;

    fn refused(url: &str, change: impl FnOnce(&mut RedisConfig)) -> String {
        let mut config = RedisConfig::new(url);
        assert_eq!(config.check(), Ok(()), "{url}");
        change(&mut config);
        config.check().unwrap_err()
    }

    #[test]
    fn options_that_contradict_each_other_are_refused_by_name() {
        let named = |config: &mut RedisConfig| config.sentinel_master = Some("mymaster".to_owned());
        assert!(refused("redis://h", named).contains("redis-sentinel://"));
        assert!(
            refused("redis://h", |config| config.url.insert_str(5, "-sentinel")).contains("--redis-sentinel-master")
        );
        assert!(refused("redis://h", |config| config.tls.ca = Some("ca.pem".into())).contains("rediss://"));
        for prefix in ["", "{a}", "a b", "a*", &"a".repeat(65)] {
            let error = refused("redis://h", |config| prefix.clone_into(&mut config.key_prefix));
            assert!(error.contains("--redis-key-prefix"), "{error}");
        }
    }
}
