//! `docs/configuration.md`, made from the options themselves.

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;

use super::Cli;

const ADMIN_PORT: &str = "
## The admin port

| request | answer |
|---|---|
| `GET /livez` | 200 as long as the process answers |
| `GET /readyz` | 200 `ok`, or `ok, but` and what is wrong with Redis; 503 and one of `cordoned`, `draining`, `deaf: …`, `waiting for the broker: …` |
| `GET /metrics` | Prometheus' text format: [metrics](metrics.md) |
| `GET /api/v1/analytics` | Usage analytics, with the token: [operations](operations.md#usage-analytics). `GET /analytics` shows them as a page |
| `POST /cordon` | 202: the node takes no new sockets and keeps its WebSockets. Those that poll are handed over first, at the pace of a drain, or slower with `?connectionsPerSecond=N`; once none polls, or the drain's time is over, `/readyz` says `cordoned`, so that proxies forget the node, which would cut polls but cuts no WebSocket. Of a node that drains nothing changes |
| `POST /uncordon` | 200: all is as before the cordon; 409 of a node that drains |
| `POST /drain` | 202: the node takes no new sockets, hands over those that it has, and `/readyz` says `draining`. For good |

Each `POST` may be repeated. It and the analytics need `Authorization: Bearer …` with the token of `--admin-token-file`: 401 without it, 403 where the server was started
without a file, 503 where the file can't be read.
";

fn reference() -> String {
    let mut page = String::from(
        "# Configuration of chat-server\n\n\
         Made by `make generate` from chat-server/src/node/config.rs. Do not edit.\n\n\
         Every option is a flag and an environment variable; the flag wins, and an empty variable counts as not set. `RUST_LOG` sets the level of the logs \
         (`info` without it).\n\n\
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
    page.push_str("\n`chat-server healthcheck` asks the server on `--admin-listen` whether it is ready: exit 0 if it is, else 1.\n");
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
