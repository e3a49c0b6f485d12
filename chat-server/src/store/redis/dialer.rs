//! How Redis is reached, as it was asked for, and the clients of fred that reach it so.

use fred::clients::Client;
use fred::types::config::{Config, ReconnectPolicy, Server, ServerConfig, TlsConnector};
use fred::types::{Builder, RespVersion};

use super::address::{Address, Form};
use super::durable::{Durability, Need};
use super::link::failed;
use super::tls::TlsFiles;
use super::{COMMAND_TIMEOUT, CONNECT_TIMEOUT};
use crate::store::{BUS_CAPACITY, Retention, StoreError};

/// Commands that may wait for a connection's writer.
const WAITING_COMMANDS: usize = 50_000;
/// Longest prefix of keys, in bytes.
const MAX_PREFIX: usize = 64;

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
    /// What sentinels call the primary: needed with them, and only with them.
    pub sentinel_master: Option<String>,
    /// The user at the sentinels.
    pub sentinel_username: Option<String>,
    /// The password at the sentinels.
    pub sentinel_password: Option<String>,
    /// The files of TLS.
    pub tls: TlsFiles,
    /// What the names of all keys and channels begin with.
    pub key_prefix: String,
    /// How much of each log is kept.
    pub retention: Retention,
    /// What an acknowledged message survives.
    pub durability: Durability,
    /// How many replicas have to have it, where they are to.
    pub durability_replicas: u32,
}

impl RedisConfig {
    /// The Redis of this URL, with all else as the server has it by default; but that all is kept.
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

    /// Whether all fits together. No file is looked at.
    ///
    /// # Errors
    /// The option, and what has to be changed; never what it was set to.
    pub fn check(&self) -> Result<(), String> {
        self.address().map(drop)
    }

    fn address(&self) -> Result<Address, String> {
        let address = Address::parse(&self.url).map_err(|why| format!("--redis-url can't be used: {why}"))?;
        let of_sentinels = [&self.sentinel_master, &self.sentinel_username, &self.sentinel_password];
        if address.form == Form::Sentinel && self.sentinel_master.is_none() {
            return Err("--redis-sentinel-master is missing: what the sentinels call the primary".to_owned());
        }
        if address.form != Form::Sentinel && of_sentinels.iter().any(|option| option.is_some()) {
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
}

/// Makes clients. What fred does by default would break the promises of a broker; the settings say
/// why they are there.
pub(super) struct Dialer {
    template: Config,
    pub(super) address: Address,
    /// What has to be waited for before a write counts.
    pub(super) need: Option<Need>,
}

impl Dialer {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, StoreError> {
        let address = config.address().map_err(StoreError::Misconfigured)?;
        let tls = match address.tls {
            true => Some(config.tls.client_config().map_err(StoreError::Misconfigured)?),
            false => None,
        };
        let hosts: Vec<Server> = address.hosts.iter().map(|(host, port)| Server::new(host.as_str(), *port)).collect();
        let server = match (address.form, hosts.first()) {
            (Form::Standalone | Form::Cluster, Some(server)) => ServerConfig::Centralized { server: server.clone() },
            _ => ServerConfig::Sentinel {
                hosts,
                service_name: config.sentinel_master.clone().unwrap_or_default(),
                username: config.sentinel_username.clone(),
                password: config.sentinel_password.clone(),
            },
        };
        let template = Config {
            server,
            version: RespVersion::RESP3,
            username: config.username.clone().or(address.username.clone()),
            password: config.password.clone().or(address.password.clone()),
            database: (address.database > 0).then_some(address.database),
            tls: tls.map(|tls| TlsConnector::from(tls).into()),
            // A Redis that is away at the start is no reason to give up.
            fail_fast: false,
            ..Config::default()
        };
        let need = match config.durability {
            Durability::Memory => None,
            Durability::Aof => Some(Need::Aof),
            Durability::Replica => Some(Need::Replicas(config.durability_replicas)),
        };
        Ok(Self { template, address, need })
    }

    /// A client of the server to which the form leads. It is not connected yet.
    pub(super) fn client(&self) -> Result<Client, StoreError> {
        build(self.template.clone())
    }

    /// A client of one server of many.
    pub(super) fn client_of(&self, host: &str, port: u16) -> Result<Client, StoreError> {
        let server = ServerConfig::Centralized { server: Server::new(host, port) };
        build(Config { server, ..self.template.clone() })
    }
}

fn build(config: Config) -> Result<Client, StoreError> {
    let mut builder = Builder::from_config(config);
    let mut policy = ReconnectPolicy::new_exponential(0, 50, 2_000, 2);
    policy.set_jitter(100);
    builder
        // Without a policy fred never reconnects.
        .set_policy(policy)
        .with_performance_config(|performance| {
            performance.default_command_timeout = COMMAND_TIMEOUT;
            // With the default of 32 most of a burst is lost.
            performance.broadcast_channel_capacity = BUS_CAPACITY;
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT_TIMEOUT;
            connection.internal_command_timeout = CONNECT_TIMEOUT;
            // By default a command under way is run again after a reconnect: twice in all.
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = WAITING_COMMANDS;
            connection.tcp.nodelay = Some(true);
        });
    builder.build().map_err(failed)
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
    fn what_does_not_fit_together_is_refused_by_the_name_of_the_option() {
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

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let tried = |tls: TlsFiles| {
            let error = Dialer::new(&RedisConfig { tls, ..RedisConfig::new("rediss://h") }).err().unwrap().to_string();
            assert!(error.contains(".pem can't be used"), "{error}");
            error
        };
        let missing = folder.path().join("missing.pem");
        assert!(tried(TlsFiles { ca: Some(missing.clone()), client: None }).contains("--redis-ca-file"));
        assert!(tried(TlsFiles { ca: Some(empty.clone()), client: None }).contains("no certificate"));
        assert!(tried(TlsFiles { ca: None, client: Some((empty, missing)) }).contains("--redis-cert-file"));
    }
}
