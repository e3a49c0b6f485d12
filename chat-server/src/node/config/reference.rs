//! `docs/configuration.md`, made from the options themselves.

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;

use super::Cli;

const ADMIN_PORT: &str = "
## The admin port

| request | answer |
|---|---|
| `GET /livez` | 200 while the process answers |
| `GET /readyz` | 200 `ok`, or `ok, but` with a problem of Redis, or with advice; 503 with the reason: `cordoned`, `draining`, `deaf: …`, `waiting for the broker: …` |
| `GET /metrics` | Prometheus' text format: [metrics](metrics.md) |
| `GET /api/v1/analytics` | Usage analytics as JSON: [operations](operations.md#usage-analytics). `GET /analytics` is a page that shows them |
| `POST /cordon` | 202: the node refuses new clients and keeps its WebSockets. Clients that use long polling are moved to other nodes first, at the rate of a drain, or at `?connectionsPerSecond=N`. When none is left, or the drain time-out is over, `/readyz` says `cordoned`, and proxies remove the node; that would cut long polling, and cuts no WebSocket. No effect on a draining node |
| `POST /uncordon` | 200: reverses a cordon; 409 while draining |
| `POST /drain` | 202: the node refuses new clients, moves all clients to other nodes, and `/readyz` says `draining`. Can't be reversed |

Each `POST` is idempotent. `POST` and the analytics need `Authorization: Bearer …` with the token of `--admin-token-file`: 401 with a missing or wrong token, 403 if the server
has no such option, 503 if the file can't be read.
";

fn reference() -> String {
    let mut page = String::from(
        "# Configuration of chat-server\n\n\
         Made by `make generate` from chat-server/src/node/config.rs. Do not edit.\n\n\
         Every option is a flag and an environment variable. The flag has precedence; an empty variable counts as unset. `RUST_LOG` sets the level of the logs \
         (default `info`); dependencies log from `info` on at any level, since they print what they carry.\n\n\
         | flag | variable | default | meaning |\n|---|---|---|---|\n",
    );
    let command = Cli::command();
    for option in command.get_arguments().filter(|option| option.get_env().is_some()) {
        let flag = option.get_long().unwrap_or_default();
        let value = option.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        let variable = option.get_env().unwrap_or_default().to_string_lossy();
        let default = option.get_default_values().first().map(|value| format!("`{}`", value.to_string_lossy()));
        let help = option.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', " ");
        let default = default.unwrap_or_default();
        // Writing to a String never fails.
        let _ = writeln!(page, "| `--{flag} {value}` | `{variable}` | {default} | {help} |");
    }
    page.push_str("\n`chat-server healthcheck` checks whether the server at `--admin-listen` is ready: exit code 0 if it is, else 1.\n");
    page.push_str(ADMIN_PORT);
    page
}

#[test]
fn the_page_in_docs_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let fresh = reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == fresh, "docs/configuration.md is stale: run `make generate`");
}
