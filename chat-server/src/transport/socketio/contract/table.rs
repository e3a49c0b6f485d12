//! The table of requests in `docs/protocol.md`.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::{Protocol, about, assert_fresh, fields, words};
use crate::transport::socketio::request::RateClass;

const PAGE: &str = "docs/protocol.md";
const BEGINS: &str = "<!-- requests: made by `make generate` -->\n";
const ENDS: &str = "<!-- end of requests -->\n";

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

#[test]
fn the_table_of_requests_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGINS).expect("where the table begins");
    let (_, after) = rest.split_once(ENDS).expect("where the table ends");
    assert_fresh(PAGE, &format!("{before}{BEGINS}\n{}\n{ENDS}{after}", table()));
}
