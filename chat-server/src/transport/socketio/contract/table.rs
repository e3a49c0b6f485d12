//! The tables of requests and of limits in `docs/protocol.md`.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::{Protocol, about, assert_fresh, fields, words};
use crate::domain::limits::{self, Answer, Bound};
use crate::transport::socketio::request::RateClass;

const PAGE: &str = "docs/protocol.md";

fn table() -> String {
    let protocol = Protocol::new();
    let mut rows = String::from("| event | payload → ack | rate | |\n|---|---|---|---|\n");
    for request in &protocol.requests {
        let (payload, answer) = (brief(&protocol, &request.payload), brief(&protocol, &request.answer));
        let answer = if answer == "{}" { String::new() } else { format!(" → `{answer}`") };
        let rate = match request.rate {
            RateClass::Message | RateClass::Signal => "message",
            RateClass::Change => "change",
            RateClass::Query => "query",
        };
        let about = about(&request.payload);
        writeln!(rows, "| `{}` | `{payload}`{answer} | {rate} | {about} |", request.name).unwrap();
    }
    rows
}

/// An object as `{field, optional?, choice: this\|that}`.
fn brief(protocol: &Protocol, schema: &Value) -> String {
    let fields = fields(schema).into_iter().map(|(name, always, field)| {
        let mark = if always { "" } else { "?" };
        let choice = words(protocol.resolve(&field)).map(|words| format!(": {}", words.join("\\|")));
        format!("{name}{mark}{}", choice.unwrap_or_default())
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

fn bounds() -> String {
    let mut rows = String::from("| limit | of | each | how much | what a client meets |\n|---|---|---|---|---|\n");
    for Bound { name, what, each, fixed, options, answer } in limits::ALL {
        let options = options.iter().map(|option| format!("`--{option}`"));
        let fixed = Some((*fixed).to_owned()).filter(|fixed| !fixed.is_empty());
        let much = options.chain(fixed).collect::<Vec<_>>().join(", ");
        let meets = match answer {
            Answer::Refusal(code) => format!("`{}`", code.as_str()),
            Answer::Http(status) => status.to_string(),
            Answer::Other(words) => (*words).to_owned(),
        };
        writeln!(rows, "| `{name}` | {what} | {each} | {much} | {meets} |").unwrap();
    }
    rows
}

/// Compares what stands between two comments with what should, or makes it anew.
fn assert_part(name: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
    let page = std::fs::read_to_string(path).unwrap();
    let (begins, ends) = (format!("<!-- {name}: made by `make generate` -->\n"), format!("<!-- end of {name} -->\n"));
    let (before, rest) = page.split_once(&begins).expect("where the table begins");
    let (_, after) = rest.split_once(&ends).expect("where the table ends");
    assert_fresh(PAGE, &format!("{before}{begins}\n{fresh}\n{ends}{after}"));
}

/// One test, as both are parts of one file.
#[test]
fn the_tables_of_requests_and_limits_are_fresh() {
    assert_part("requests", &table());
    assert_part("limits", &bounds());
}

#[test]
fn every_bound_is_set_by_an_option_that_there_is_or_says_how_much_it_is() {
    let command = <crate::node::config::Cli as clap::CommandFactory>::command();
    let known: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    for Bound { name, fixed, options, .. } in limits::ALL {
        assert!(!fixed.is_empty() || !options.is_empty(), "{name}");
        assert!(options.iter().all(|option| known.contains(option)), "{name}: {options:?}");
    }
}
