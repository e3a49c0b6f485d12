//! Which durability a server of Redis can give, and how.

use std::collections::HashMap;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::{CustomCommand, FromValue};

use super::connect::config::Requirement;

pub(super) mod writer;

/// The first version of Redis that has `WAITAOF`.
const WAITAOF_SINCE: (u32, u32) = (7, 2);

/// Begins the error of a server that can't give the durability. The operator matches on these words
/// (operator/src/controller/status/redis.rs).
const CANNOT: &str = "Redis can't keep messages as --durability asks for";

/// How a server gives the durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// A `WAIT` or `WAITAOF` after the writes.
    Wait(Requirement),
    /// Nothing: the server replies to no write before it is on the disk (`appendfsync always`).
    EveryWrite,
}

/// Finds out how a server gives the durability.
///
/// # Errors
/// It can't give it ([`ErrorKind::Config`]), or did not answer.
pub(super) async fn method(client: &Client, requirement: Requirement) -> Result<Method, Error> {
    if let Requirement::Replicas(_) = requirement {
        return Ok(Method::Wait(requirement));
    }
    let info = info(client).await?;
    if value(&info, "aof_enabled") != Some("1") {
        return Err(cannot("it has no append-only file; set appendonly to yes there"));
    }
    let version = value(&info, "redis_version").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let waits = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= WAITAOF_SINCE;
    let fsync = setting(client, "appendfsync").await;
    match fsync.as_deref() {
        Some("no") if waits => return Err(cannot("its appendfsync is no; set it to always or to everysec")),
        _ if waits => return Ok(Method::Wait(requirement)),
        Some("always") => {}
        other => {
            let other = other.unwrap_or("not told (allow the user CONFIG GET)");
            return Err(cannot(&format!(
                "Redis {version} can't say when a write is on the disk (7.2 can), and its appendfsync is {other}; \
                 set it to always, or take a newer Redis"
            )));
        }
    }
    if setting(client, "no-appendfsync-on-rewrite").await.as_deref() == Some("yes") {
        return Err(cannot("while it rewrites its file nothing is on the disk; set no-appendfsync-on-rewrite to no"));
    }
    Ok(Method::EveryWrite)
}

/// Logs what an operator should know of how a server gives the durability.
pub(super) async fn log_advice(client: &Client, requirement: Requirement) {
    match requirement {
        Requirement::Replicas(number) => log_failover_safety(client, number).await,
        Requirement::Aof => {
            if setting(client, "appendfsync").await.as_deref() == Some("everysec") {
                tracing::warn!(
                    "appendfsync of Redis is everysec: a message is acknowledged seconds later, for one group after the other \
                     waits until a second is over; with always, at once"
                );
            }
        }
    }
}

/// Logs whether a failover may lose messages that so many replicas have confirmed.
async fn log_failover_safety(client: &Client, number: u32) {
    let Ok(info) = info(client).await else { return };
    let Failover { replicas, guarded, safe } = Failover::of(&info, number);
    if safe {
        tracing::info!(replicas, waits_for = number, "a failover loses no acknowledged message");
    } else {
        tracing::warn!(
            replicas,
            waits_for = number,
            min_replicas_to_write = guarded,
            "a failover may lose acknowledged messages: that takes an answer of most replicas \
             (--durability-replicas), and a primary that takes no writes alone (min-replicas-to-write)"
        );
    }
}

/// What a failover may lose of what so many replicas have confirmed, as `INFO` of a primary tells it.
#[derive(Debug, PartialEq, Eq)]
struct Failover {
    replicas: u32,
    /// Whether `min-replicas-to-write` is set.
    guarded: bool,
    safe: bool,
}

impl Failover {
    fn of(info: &str, number: u32) -> Self {
        let replicas = value(info, "connected_slaves").and_then(|number| number.parse().ok()).unwrap_or(0);
        // Redis counts these only where `min-replicas-to-write` and `min-replicas-max-lag` are set.
        let guarded = value(info, "min_slaves_good_slaves").is_some();
        // Of all copies, that of the primary included.
        let majority = 2 * (u64::from(number) + 1) > u64::from(replicas) + 1;
        Self { replicas, guarded, safe: majority && guarded && replicas >= number }
    }
}

fn cannot(why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{CANNOT}: {why}"))
}

async fn info(client: &Client) -> Result<String, Error> {
    custom(client, "INFO", &["everything"]).await
}

fn value<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A setting of the server; `None` if it can't be read.
async fn setting(client: &Client, name: &str) -> Option<String> {
    let answer: Result<HashMap<String, String>, Error> = custom(client, "CONFIG", &["GET", name]).await;
    answer.ok()?.remove(name)
}

async fn custom<R: FromValue>(client: &Client, name: &'static str, args: &[&str]) -> Result<R, Error> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    client.custom(CustomCommand::new_static(name, None, false), args).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failover_is_safe_with_a_majority_and_a_primary_that_does_not_write_alone() {
        let info = |replicas: u32, guard: &str| format!("# Replication\r\nconnected_slaves:{replicas}\r\n{guard}");
        let safe = |replicas, guard, number| Failover::of(&info(replicas, guard), number).safe;
        let guard = "min_slaves_good_slaves:1\r\n";
        assert!(safe(2, guard, 1) && safe(1, guard, 1) && safe(4, guard, 2));
        assert!(!safe(2, "", 1), "the primary writes alone");
        assert!(!safe(3, guard, 1), "two of four copies are no majority");
        assert!(!safe(0, guard, 1), "too few are there");
    }
}
