//! `docs/configuration.md`, made from the options themselves.

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;

use super::Cli;

fn reference() -> String {
    let mut page = String::from(
        "# Configuration of chat-server\n\n\
         Made by `make generate` from chat-server/src/config.rs. Do not edit.\n\n\
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
        writeln!(page, "| `--{flag} {value}` | `{variable}` | {default} | {help} |").unwrap();
    }
    page.push_str("\n`chat-server healthcheck` asks the server on `--admin-listen` whether it is ready: exit 0 if it is, else 1.\n");
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
