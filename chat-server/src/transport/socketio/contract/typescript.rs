//! The types of the page, and of whoever else speaks TypeScript.

use std::fmt::Write;

use serde_json::Value;

use super::{Protocol, SCHEMAS, about, assert_fresh, fields, present, words};

const FILE: &str = "chat-server/web/src/lib/protocol.generated.ts";

fn types() -> String {
    let protocol = Protocol::new();
    let mut file =
        String::from("// Made by `make generate` from chat-server/src/transport/socketio/requests. Do not edit.\n");
    for (name, schema) in &protocol.schemas {
        let about = about(schema);
        if !about.is_empty() {
            write!(file, "\n/** {about} */").unwrap();
        }
        let definition = if schema["properties"].is_object() {
            format!("export interface {name} {}", typed(schema, ""))
        } else {
            format!("export type {name} = {};", typed(schema, ""))
        };
        writeln!(file, "\n{definition}").unwrap();
    }
    file.push_str("\n/** What each request says, and what answers it beside `ok`. */\nexport interface Requests {\n");
    for request in &protocol.requests {
        let (payload, answer) = (typed(&request.payload, "    "), typed(&request.answer, "    "));
        writeln!(file, "  /** {} */", about(&request.payload)).unwrap();
        writeln!(file, "  \"{}\": {{\n    payload: {payload};\n    answer: {answer};\n  }};", request.name).unwrap();
    }
    file.push_str("}\n\n/** What each event tells. */\nexport interface Events {\n");
    for event in &protocol.events {
        writeln!(file, "  /** {} {} */", about(&event.payload), event.kind.as_str()).unwrap();
        writeln!(file, "  \"{}\": {};", event.name, typed(&event.payload, "  ")).unwrap();
    }
    file.push_str("}\n");
    file
}

/// A type; the lines of one that has several are indented.
fn typed(schema: &Value, indent: &str) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix(SCHEMAS)) {
        return name.to_owned();
    }
    // A reference with a description of its own.
    if let Some(one) = schema["allOf"].as_array().and_then(|all| all.first()) {
        return typed(one, indent);
    }
    if let Some(words) = words(schema) {
        return words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | ");
    }
    match schema["type"].as_str() {
        Some("string") => "string".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("array") if schema["maxItems"] == 0 => "[]".to_owned(),
        Some("array") => format!("{}[]", typed(&present(&schema["items"]), indent)),
        Some("object") => object(schema, indent),
        _ => "unknown".to_owned(),
    }
}

fn object(schema: &Value, indent: &str) -> String {
    let inner = format!("{indent}  ");
    let mut text = String::from("{\n");
    for (name, always, field) in fields(schema) {
        let about = about(&field);
        if !about.is_empty() {
            writeln!(text, "{inner}/** {about} */").unwrap();
        }
        writeln!(text, "{inner}{name}{}: {};", if always { "" } else { "?" }, typed(&field, &inner)).unwrap();
    }
    if schema["additionalProperties"] == true {
        writeln!(text, "{inner}[field: string]: unknown;").unwrap();
    }
    if text == "{\n" { "Record<string, never>".to_owned() } else { format!("{text}{indent}}}") }
}

#[test]
fn the_types_of_the_page_are_fresh() {
    assert_fresh(FILE, &types());
}
