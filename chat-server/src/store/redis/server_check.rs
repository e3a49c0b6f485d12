//! Checks that a server of Redis is set up as the chat needs it: permissions, eviction policy, durability; and asks how
//! full it is.

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::CustomCommand;
use fred::types::scripts::Script;

use super::connect::config::Requirement;
use super::connect::connection::failed;
use super::durability::{self, Method};
use super::keys::Keyspace;
use super::refusals;
use super::scripts::ACL_CHECK;
use crate::domain::trouble::Trouble;
use crate::store::{StoreError, Topic};

/// Begins the error of a server that evicts keys. The operator matches on these words
/// (operator/src/controller/status/redis.rs).
const EVICTS: &str = "Redis throws messages away when it is full";
/// Begins the error of a user that lacks permissions; likewise.
const LACKS_PERMISSIONS: &str = "the user of Redis may not do all that is needed";

/// Checks one server.
///
/// # Errors
/// What has to be changed, as [`StoreError::Misconfigured`].
pub(super) async fn check(
    client: &Client,
    keyspace: &Keyspace,
    sharded: bool,
    requirement: Option<Requirement>,
) -> Result<(), StoreError> {
    let wait = match requirement {
        None => "",
        Some(requirement) => match durability_method(client, requirement).await? {
            Method::Wait(Requirement::Aof) => "WAITAOF",
            Method::Wait(Requirement::Replicas(_)) => "WAIT",
            Method::EveryWrite => "",
        },
    };
    check_permissions_with(client, keyspace, sharded, wait).await?;
    let info: String = custom(client, "INFO", vec!["memory".to_owned()]).await.map_err(refused)?;
    match eviction_policy(&info) {
        None => Ok(()),
        Some(policy) => {
            let what = format!("{EVICTS} (maxmemory-policy {policy}): set maxmemory-policy noeviction");
            Err(StoreError::Misconfigured(what))
        }
    }
}

/// How a server gives the durability.
///
/// # Errors
/// What has to be changed, as [`StoreError::Misconfigured`].
pub(super) async fn durability_method(client: &Client, requirement: Requirement) -> Result<Method, StoreError> {
    durability::method(client, requirement).await.map_err(|error| match error.kind() {
        ErrorKind::Config => StoreError::Misconfigured(error.details().to_owned()),
        _ => refused(error),
    })
}

/// Whether the user may do all that is needed, but for waiting until a write is durable.
///
/// # Errors
/// What it may not do, as [`StoreError::Misconfigured`].
pub(super) async fn check_permissions(client: &Client, keyspace: &Keyspace, sharded: bool) -> Result<(), StoreError> {
    check_permissions_with(client, keyspace, sharded, "").await
}

/// A script asks Redis itself: it knows better than any code here what an ACL rule allows.
async fn check_permissions_with(
    client: &Client,
    keyspace: &Keyspace,
    sharded: bool,
    wait: &str,
) -> Result<(), StoreError> {
    let script = Script::from_lua(ACL_CHECK);
    let (key, channel) = (keyspace.keys(&Topic::Cluster).fields, keyspace.channel(&Topic::Cluster));
    let args = vec![key.clone(), channel.clone(), if sharded { "1" } else { "0" }.to_owned(), wait.to_owned()];
    let missing: Vec<String> = script.evalsha_with_reload(client, Vec::<String>::new(), args).await.map_err(refused)?;
    if missing.is_empty() {
        return Ok(());
    }
    let named = missing.iter().map(|missing| match missing.as_str() {
        "keys" => format!("its keys (such as {key})"),
        "channels" => format!("its channels (such as {channel})"),
        command => command.to_lowercase(),
    });
    let named = named.collect::<Vec<_>>().join(", ");
    Err(StoreError::Misconfigured(format!("{LACKS_PERMISSIONS}: {named}; docs/redis.md has the rules that it needs")))
}

async fn custom<R: fred::types::FromValue>(
    client: &Client,
    command: &'static str,
    args: Vec<String>,
) -> Result<R, Error> {
    client.custom(CustomCommand::new_static(command, None, false), args).await
}

/// The error of a refused command, which Redis names.
fn refused(error: Error) -> StoreError {
    if refusals::of(error.details()) == Some(Trouble::NoPermission) {
        StoreError::Misconfigured(format!("{LACKS_PERMISSIONS}: {}", error.details()))
    } else {
        failed(error)
    }
}

/// How much of the memory that it may use a server uses; `None` without a limit.
///
/// # Errors
/// It does not answer.
pub(super) async fn memory_used(client: &Client) -> Result<Option<f64>, StoreError> {
    let info: String = custom(client, "INFO", vec!["memory".to_owned()]).await.map_err(refused)?;
    Ok(share_used(&info))
}

/// What Redis compares before it refuses a write.
fn share_used(info: &str) -> Option<f64> {
    let value = |name: &str| -> Option<f64> {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim().parse().ok()
    };
    let most = value("maxmemory").filter(|most| *most > 0.0)?;
    Some((value("used_memory")? - value("mem_not_counted_for_evict").unwrap_or(0.0)) / most)
}

/// The eviction policy, if Redis evicts keys when its memory is full.
fn eviction_policy(info: &str) -> Option<&str> {
    let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let limited = value("maxmemory").is_some_and(|most| most != "0");
    value("maxmemory_policy").filter(|policy| limited && *policy != "noeviction")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_up_where_redis_refuses_writes() {
        let info = |most: u32| {
            format!(
                "# Memory\r\nused_memory:950\r\nused_memory_rss:7\r\nmaxmemory:{most}\r\nmem_not_counted_for_evict:50\r\n"
            )
        };
        assert_eq!(share_used(&info(1_000)), Some(0.9));
        assert_eq!(share_used(&info(0)), None);
        assert_eq!(share_used("used_memory:5\r\nmaxmemory:10\r\n"), Some(0.5));
        assert_eq!(share_used(""), None);
    }

    #[test]
    fn redis_evicts_only_with_a_memory_limit_and_an_eviction_policy() {
        let info = |most: &str, policy: &str| {
            format!("# Memory\r\nused_memory:1\r\nmaxmemory:{most}\r\nmaxmemory_policy:{policy}\r\n")
        };
        assert_eq!(eviction_policy(&info("0", "allkeys-lru")), None);
        assert_eq!(eviction_policy(&info("1000000", "noeviction")), None);
        assert_eq!(eviction_policy(&info("1000000", "volatile-lru")), Some("volatile-lru"));
        assert_eq!(eviction_policy(""), None);
    }
}
