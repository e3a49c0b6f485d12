//! What can be set from outside, by flag or environment variable. `docs/configuration.md` is made
//! from this, and a test holds it fresh.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use ipnet::IpNet;

use self::addresses::{check_wildcard, parse_network, parse_origin};
use self::redis::RedisOptions;
use self::telemetry::TelemetryOptions;
use crate::domain::id::NodeId;
use crate::domain::rate_limit::{Rate, Rates};
use crate::service::identity::token::SigningKey;
use crate::store::Retention;
#[cfg(feature = "redis")]
use crate::store::redis::RedisConfig;
use crate::transport::http::base_path::BasePath;
use crate::transport::socketio::Strangers;
use crate::transport::socketio::handover::Pace;

mod addresses;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(not(feature = "redis"))]
#[path = "config/without_redis.rs"]
pub mod redis;
#[cfg(all(test, feature = "redis"))]
mod reference;
pub mod telemetry;

/// Changes that a user may save up, in seconds of the rate.
const CHANGE_BURST_SECONDS: u32 = 60;
/// The same of queries.
const QUERY_BURST_SECONDS: u32 = 10;
/// The same of handshakes, and of new guests, by address: a school whose people all come at once is let in.
const HANDSHAKE_BURST_SECONDS: u32 = 60;
const GUEST_BURST_SECONDS: u32 = 300;
/// Advice for nodes over Redis without `--session-keys`.
const KEY_IN_REDIS: &str = "the key that signs session tokens is in Redis, for all nodes of this chat, and whoever reads \
                            it there can connect as anyone: set --session-keys, the same for all nodes";
/// Shortest key that signs resume tokens, in bytes.
const MIN_KEY_BYTES: usize = 32;

/// Chat server for Socket.IO clients. An acknowledged message reaches every member of its room
/// once, in one order.
///
/// Without options, this is a complete chat in one process at http://localhost:3000, which keeps
/// its data in memory. With --redis-url, any number of nodes serve one chat, and its data is in
/// Redis. Logs go to standard output; RUST_LOG sets their level.
#[derive(Debug, Parser)]
#[command(name = "chat-server", version, max_term_width = 100, subcommand_negates_reqs = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub config: Config,
}

impl Cli {
    /// Reads the command line and the environment; ends the process with a message where they
    /// are wrong. A variable that is set to nothing counts as not set: that is how compose files
    /// and manifests leave one out.
    #[must_use]
    pub fn read() -> Self {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let matches = without(Self::command(), is_empty).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// A command that does not look at some variables.
fn without(command: clap::Command, ignored: impl Fn(&OsStr) -> bool) -> clap::Command {
    command.mut_args(
        |argument| {
            if argument.get_env().is_some_and(&ignored) { argument.env(Resettable::Reset) } else { argument }
        },
    )
}

/// What the program can do beside serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check whether the server at --admin-listen is ready: exit code 0 if it is, else 1
    Healthcheck,
}

/// How a node serves.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address for clients: the page, and Socket.IO under /socket.io/
    #[arg(long, env = "CHAT_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:3000")]
    pub listen: SocketAddr,

    /// Path below which clients find the chat, such as /chat, where the site has others: the page is at
    /// /chat/ then, and Socket.IO under /chat/socket.io/. A proxy in front passes the path on as it is
    #[arg(long, env = "CHAT_BASE_PATH", value_name = "PATH", default_value = "/", value_parser = BasePath::parse)]
    pub base_path: BasePath,

    /// Address for /livez, /readyz, /metrics and node administration. Do not expose this port to
    /// clients
    #[arg(long, env = "CHAT_ADMIN_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub admin_listen: SocketAddr,

    /// Which Redis the nodes share, and how it is reached.
    #[command(flatten)]
    pub redis: RedisOptions,

    /// Name of this node, unique among the nodes that share a Redis. Random if unset
    #[arg(long, env = "CHAT_NODE_ID", value_name = "NAME", value_parser = parse_node_id)]
    pub node_id: Option<NodeId>,

    /// Keys that sign session tokens, comma-separated, at least 32 characters each. The first key
    /// signs, all keys verify, so that a key can be replaced. If unset, the nodes generate one key
    /// and store it in Redis, whose readers can then connect as any user; the node warns of it
    #[arg(long, env = "CHAT_SESSION_KEYS", value_name = "KEYS", hide_env_values = true, value_delimiter = ',', value_parser = parse_key)]
    pub session_keys: Vec<SigningKey>,

    /// Origins of other sites that may connect from a browser, comma-separated, as browsers send
    /// them: scheme, host, and a port that is not the scheme's own, such as
    /// https://chat.example.com. `*` alone allows all. If empty, only pages served by this server
    /// may connect. A refused origin is logged with what it was compared with, at most once a minute
    #[arg(long, env = "CHAT_ALLOWED_ORIGINS", value_name = "ORIGINS", value_delimiter = ',', value_parser = parse_origin)]
    pub allowed_origins: Vec<String>,

    /// Names by which clients may reach the public port, comma-separated, without scheme and port, such
    /// as chat.example.com; `*` alone allows all. Other requests are answered with 421, so that no
    /// other site can make its own name lead here, and logged, at most once a minute. If empty: all,
    /// or on a loopback address only localhost and loopback addresses
    #[arg(long, env = "CHAT_ALLOWED_HOSTS", value_name = "HOSTS", value_delimiter = ',', value_parser = crate::transport::http::hosts::parse)]
    pub allowed_hosts: Vec<String>,

    /// Networks of trusted proxies, comma-separated, such as 10.0.0.0/8. Only their headers
    /// X-Forwarded-Proto and X-Forwarded-For are used. If empty, no proxy is trusted, and a
    /// private address has 20 times the limits by address, as it may be a proxy
    #[arg(long, env = "CHAT_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',', value_parser = parse_network)]
    pub trusted_proxies: Vec<IpNet>,

    /// Maximum rate of messages and typing notices per user on this node, per second; 0: no limit
    #[arg(long, env = "CHAT_MESSAGES_PER_SECOND", value_name = "N", default_value_t = 10)]
    pub messages_per_second: u32,

    /// Maximum number of messages and typing notices that a user may send to this node at once
    #[arg(long, env = "CHAT_MESSAGE_BURST", value_name = "N", default_value_t = 30)]
    pub message_burst: u32,

    /// Maximum rate of changes of rooms per user on this node, per second: to create, join, leave
    /// or update one, to invite, to open a direct message. 60 s of them at once; 0: no limit
    #[arg(long, env = "CHAT_CHANGES_PER_SECOND", value_name = "N", default_value_t = 1)]
    pub changes_per_second: u32,

    /// Maximum rate of other requests per user on this node, per second: for history, rooms and
    /// members, and to mark as read. 10 s of them at once; 0: no limit
    #[arg(long, env = "CHAT_QUERIES_PER_SECOND", value_name = "N", default_value_t = 50)]
    pub queries_per_second: u32,

    /// Maximum rate of handshakes per client address on this node, per second; further ones are
    /// refused with 503. 60 s of them at once, as an address may be a school; 0: no limit. IPv6
    /// counts by /64, and by /48 with 20 times the rate; so does a private address while
    /// --trusted-proxies names no proxy, as it may be one
    #[arg(long, env = "CHAT_HANDSHAKES_PER_SECOND_PER_ADDRESS", value_name = "N", default_value_t = 50)]
    pub handshakes_per_second_per_address: u32,

    /// Maximum rate of guests that are stored, with what they say or change first, per client
    /// address on this node, per second; further ones are told to wait. 300 s of them at once, and
    /// 20 times as many for the node; 0: no limit. Addresses count as for handshakes
    #[arg(long, env = "CHAT_NEW_GUESTS_PER_SECOND_PER_ADDRESS", value_name = "N", default_value_t = 5)]
    pub new_guests_per_second_per_address: u32,

    /// Maximum size of a message text, in bytes of UTF-8
    #[arg(long, env = "CHAT_MAX_MESSAGE_BYTES", value_name = "BYTES", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub max_message_bytes: u32,

    /// Maximum number of client connections on this node; further clients are refused with 503, so
    /// that they try another node. 0: no limit
    #[arg(long, env = "CHAT_MAX_CONNECTIONS", value_name = "N", default_value_t = 20_000)]
    pub max_connections: usize,

    /// File with the bearer token for POST /cordon, /uncordon, /drain and GET /api/v1/analytics on
    /// --admin-listen. If unset, these requests are refused; SIGTERM still drains the node
    #[arg(long, env = "CHAT_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Clients moved to other nodes per second while this node drains. The rate is raised if needed
    /// to finish within --drain-timeout-seconds. A cordon uses the same rate, but moves only
    /// clients that use long polling
    #[arg(long, env = "CHAT_DRAIN_CONNECTIONS_PER_SECOND", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub drain_connections_per_second: u32,

    /// Maximum time to move all clients while draining, in seconds; stopping takes up to 10 seconds
    /// more
    #[arg(long, env = "CHAT_DRAIN_TIMEOUT_SECONDS", value_name = "SECONDS", default_value_t = 15)]
    pub drain_timeout_seconds: u32,

    /// Time that messages are kept, in seconds; 0: no limit
    #[arg(long, env = "CHAT_RETENTION_SECONDS", value_name = "SECONDS", default_value_t = 2_592_000)]
    pub retention_seconds: u64,

    /// Maximum number of messages kept per room; 0: no limit. Joins, leaves and room changes take no
    /// message's place: they are kept as long as they are among the newest N entries of the room
    #[arg(long, env = "CHAT_RETENTION_MESSAGES", value_name = "N", default_value_t = 100_000)]
    pub retention_messages: u64,

    /// What the node tells of itself.
    #[command(flatten)]
    pub telemetry: TelemetryOptions,
}

impl Config {
    /// Checks what must not be printed when it is wrong, and what only fits together.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn check(&self) -> Result<(), String> {
        if self.session_keys.iter().any(|key| key.bytes().len() < MIN_KEY_BYTES) {
            return Err("--session-keys: a key must have at least 32 characters; try: openssl rand -hex 32".to_owned());
        }
        check_wildcard("--allowed-origins", &self.allowed_origins)?;
        check_wildcard("--allowed-hosts", &self.allowed_hosts)?;
        #[cfg(not(feature = "redis"))]
        if self.redis.url.is_some() {
            let why = "--redis-url needs the feature `redis`, which `make run` builds without and `cargo build` with";
            return Err(why.to_owned());
        }
        #[cfg(feature = "redis")]
        if let Some(redis) = self.redis() {
            redis.check()?;
        }
        Ok(())
    }

    /// What an operator should change, though the node serves.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        (self.redis.url.is_some() && self.session_keys.is_empty()).then_some(KEY_IN_REDIS)
    }

    /// The Redis that the nodes share, if they do.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(&self) -> Option<RedisConfig> {
        self.redis.config(self.retention())
    }

    /// How often one user may act.
    #[must_use]
    pub fn rates(&self) -> Rates {
        Rates {
            message: Rate { per_second: self.messages_per_second, burst: self.message_burst },
            change: rate(self.changes_per_second, CHANGE_BURST_SECONDS),
            query: rate(self.queries_per_second, QUERY_BURST_SECONDS),
        }
    }

    /// How often strangers of one address may begin something.
    #[must_use]
    pub fn strangers(&self) -> Strangers {
        let handshakes = rate(self.handshakes_per_second_per_address, HANDSHAKE_BURST_SECONDS);
        Strangers::new(handshakes, rate(self.new_guests_per_second_per_address, GUEST_BURST_SECONDS))
    }

    /// How fast sockets are handed over to other nodes: so many a second, within so long.
    #[must_use]
    pub fn drain_pace(&self) -> Pace {
        let at_most = Duration::from_secs(self.drain_timeout_seconds.into());
        Pace { per_second: self.drain_connections_per_second, at_most }
    }

    /// How much of each log is kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention { max_age_ms: self.retention_seconds.saturating_mul(1000), max_entries: self.retention_messages }
    }

    /// The largest packet a client may send, in bytes. JSON can make four bytes and more of one
    /// (`\u0000`), and small limits must leave room for the other requests.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        (self.max_message_bytes as usize).saturating_mul(4).max(65_536)
    }
}

/// A rate of which so many seconds can be saved up.
fn rate(per_second: u32, seconds: u32) -> Rate {
    Rate { per_second, burst: per_second.saturating_mul(seconds) }
}

/// Takes any text: clap would print a value that its parser refuses. [`Config::check`] judges it.
fn parse_key(text: &str) -> Result<SigningKey, std::convert::Infallible> {
    Ok(SigningKey::new(text.as_bytes().to_vec()))
}

fn parse_node_id(text: &str) -> Result<NodeId, String> {
    NodeId::parse(text).map_err(|error| format!("a node id {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, String> {
        let arguments = std::iter::once("chat-server").chain(arguments.iter().copied());
        Cli::try_parse_from(arguments).map(|cli| cli.config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_a_variable_of_its_name() {
        for argument in Cli::command().get_arguments().filter(|a| !matches!(a.get_id().as_str(), "help" | "version")) {
            let flag = argument.get_long().unwrap_or_default();
            let expected = format!("CHAT_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().and_then(|v| v.to_str()), Some(expected.as_str()), "--{flag}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let command = without(Cli::command(), |name| name == "CHAT_SESSION_KEYS");
        let looked_at: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_env).collect();
        assert!(!looked_at.contains(&OsStr::new("CHAT_SESSION_KEYS")));
        assert!(looked_at.contains(&OsStr::new("CHAT_REDIS_URL")));
    }

    #[test]
    fn settings_that_fit_nobody_are_refused() {
        for (arguments, hint) in [
            (["--allowed-origins", "https://a.example,*"], "`*` allows all"),
            (["--allowed-hosts", "*,a.example"], "`*` allows all"),
        ] {
            let why = parse(&arguments).unwrap().check().unwrap_err();
            assert!(why.starts_with(arguments[0]) && why.contains(hint), "{why}");
        }
        assert_eq!(parse(&["--allowed-origins", "*", "--allowed-hosts", "*"]).unwrap().check(), Ok(()));
        for (option, value) in [("--allowed-origins", "https://a.example:443"), ("--trusted-proxies", "10.0.0.1/8")] {
            let why = parse(&[option, value]).unwrap_err();
            assert!(why.contains(option) && why.contains("write "), "{why}");
        }
    }

    #[test]
    fn a_short_key_is_refused_and_never_shown() {
        let error = parse(&["--session-keys", "short"]).unwrap().check().unwrap_err();
        assert!(error.contains("at least 32") && !error.contains("short"), "{error}");
        let config = parse(&["--session-keys", &"k".repeat(32)]).unwrap();
        assert_eq!(config.check(), Ok(()));
        assert!(!format!("{config:?}").contains("kkkk"));
    }

    #[test]
    fn a_key_in_redis_is_advised_against_and_one_in_memory_is_not() {
        let advice = |arguments: &[&str]| parse(arguments).unwrap().advice().is_some();
        let (redis, keys) = (["--redis-url", "redis://r"], ["--session-keys", &"k".repeat(32)]);
        assert!(advice(&redis));
        assert!(!advice(&[redis, keys].concat()) && !advice(&keys) && !advice(&[]));
    }
}
