//! Makes the clients of fred. Some of its defaults would break the guarantees of the store: the settings say which.

use fred::clients::Client;
use fred::types::config::{Config, ReconnectPolicy, Server, ServerConfig, TlsConnector};
use fred::types::{Builder, RespVersion};

use super::config::{RedisConfig, Requirement};
use super::connection::failed;
use super::url::{Address, Topology};
use crate::store::redis::{COMMAND_TIMEOUT, CONNECT_TIMEOUT};
use crate::store::{BUS_CAPACITY, StoreError};

/// Commands that may wait for a connection's writer.
const WAITING_COMMANDS: usize = 50_000;

/// Makes clients for one configuration.
pub(crate) struct ClientFactory {
    template: Config,
    pub(crate) address: Address,
    pub(crate) requirement: Option<Requirement>,
}

impl ClientFactory {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, StoreError> {
        let address = config.address().map_err(StoreError::Misconfigured)?;
        let tls = match address.tls {
            true => Some(config.tls.client_config().map_err(StoreError::Misconfigured)?),
            false => None,
        };
        let hosts: Vec<Server> = address.hosts.iter().map(|(host, port)| Server::new(host.as_str(), *port)).collect();
        let server = match (address.topology, hosts.first()) {
            (Topology::Standalone | Topology::Cluster, Some(server)) => {
                ServerConfig::Centralized { server: server.clone() }
            }
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
        Ok(Self { template, address, requirement: config.requirement() })
    }

    /// A client of the standalone server, or of the primary that the sentinels name. It is not connected yet.
    pub(crate) fn client(&self) -> Result<Client, StoreError> {
        build(self.template.clone())
    }

    /// A client of one server of a Redis Cluster. It is not connected yet.
    pub(crate) fn client_of(&self, host: &str, port: u16) -> Result<Client, StoreError> {
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
    use crate::store::redis::TlsFiles;

    #[test]
    fn an_unusable_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let tried = |tls: TlsFiles| {
            let error =
                ClientFactory::new(&RedisConfig { tls, ..RedisConfig::new("rediss://h") }).err().unwrap().to_string();
            assert!(error.contains(".pem can't be used"), "{error}");
            error
        };
        let missing = folder.path().join("missing.pem");
        assert!(tried(TlsFiles { ca: Some(missing.clone()), client: None }).contains("--redis-ca-file"));
        assert!(tried(TlsFiles { ca: Some(empty.clone()), client: None }).contains("no certificate"));
        assert!(tried(TlsFiles { ca: None, client: Some((empty, missing)) }).contains("--redis-cert-file"));
    }
}
