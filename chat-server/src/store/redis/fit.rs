//! Whether a Redis is set up as a chat needs it.

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::CustomCommand;
use fred::types::scripts::Script;

use super::durable::{self, Need, Way};
use super::keys::Names;
use super::link::failed;
use crate::store::{StoreError, Topic};

/// What is said where Redis makes room by itself. The operator looks for these words
/// (operator/src/controller/status/redis.rs).
const EVICTS: &str = "Redis throws messages away when it is full";
/// What is said where the user may not do all that it has to; likewise.
const MAY_NOT: &str = "the user of Redis may not do all that is needed";

/// Checks the server of this client.
///
/// # Errors
/// What has to be changed, as [`StoreError::Misconfigured`].
pub(super) async fn check(client: &Client, names: &Names, sharded: bool, need: Option<Need>) -> Result<(), StoreError> {
    let waits = match need {
        None => "",
        Some(need) => match keeps(client, need).await? {
            Way::Wait(Need::Aof) => "WAITAOF",
            Way::Wait(Need::Replicas(_)) => "WAIT",
            Way::Always => "",
        },
    };
    rights(client, names, sharded, waits).await?;
    let info: String = custom(client, "INFO", vec!["memory".to_owned()]).await.map_err(refused)?;
    match evicts(&info) {
        None => Ok(()),
        Some(policy) => {
            let what = format!("{EVICTS} (maxmemory-policy {policy}): set maxmemory-policy noeviction");
            Err(StoreError::Misconfigured(what))
        }
    }
}

/// How the server of this client keeps what has to be safe.
///
/// # Errors
/// What has to be changed, as [`StoreError::Misconfigured`].
pub(super) async fn keeps(client: &Client, need: Need) -> Result<Way, StoreError> {
    durable::way(client, need).await.map_err(|error| match error.kind() {
        ErrorKind::Config => StoreError::Misconfigured(error.details().to_owned()),
        _ => refused(error),
    })
}

/// Asked of Redis itself, in a script: it knows better than a list of ours what a rule allows.
async fn rights(client: &Client, names: &Names, sharded: bool, waits: &str) -> Result<(), StoreError> {
    let script = Script::from_lua(include_str!("rights.lua"));
    let (key, channel) = (names.keys(&Topic::Cluster).fields, names.channel(&Topic::Cluster));
    let args = vec![key.clone(), channel.clone(), if sharded { "1" } else { "0" }.to_owned(), waits.to_owned()];
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
    Err(StoreError::Misconfigured(format!("{MAY_NOT}: {named}; docs/redis.md has the rules that it needs")))
}

async fn custom<R: fred::types::FromValue>(
    client: &Client,
    command: &'static str,
    args: Vec<String>,
) -> Result<R, Error> {
    client.custom(CustomCommand::new_static(command, None, false), args).await
}

/// Redis names the command that it refuses.
fn refused(error: Error) -> StoreError {
    if error.details().starts_with("NOPERM") {
        StoreError::Misconfigured(format!("{MAY_NOT}: {}", error.details()))
    } else {
        failed(error)
    }
}

/// The policy by which keys are thrown away when there is no room left, if that can happen.
fn evicts(info: &str) -> Option<&str> {
    let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let limited = value("maxmemory").is_some_and(|most| most != "0");
    value("maxmemory_policy").filter(|policy| limited && *policy != "noeviction")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_evicts_only_where_it_has_a_limit_and_a_policy_for_it() {
        let info = |most: &str, policy: &str| {
            format!("# Memory\r\nused_memory:1\r\nmaxmemory:{most}\r\nmaxmemory_policy:{policy}\r\n")
        };
        assert_eq!(evicts(&info("0", "allkeys-lru")), None);
        assert_eq!(evicts(&info("1000000", "noeviction")), None);
        assert_eq!(evicts(&info("1000000", "volatile-lru")), Some("volatile-lru"));
        assert_eq!(evicts(""), None);
    }
}
