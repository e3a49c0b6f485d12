//! What clients may rely on, made from the code: the table of requests in `docs/protocol.md`, `docs/asyncapi.yaml` and the
//! page's types.

use std::path::{Path, PathBuf};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use super::request::{RateClass, Request};
use super::requests;
use crate::domain::error::Refusal;

mod asyncapi;
mod events;
mod table;
mod typescript;

pub(crate) use events::{LogEvent, Message};

/// Where the schemas are that others refer to.
const SCHEMAS: &str = "#/components/schemas/";

/// A request, as documents tell of it.
pub(super) struct Contract {
    name: &'static str,
    rate: RateClass,
    example: Value,
    payload: Value,
    answer: Value,
}

impl Contract {
    pub(super) fn of<R: Request + JsonSchema>(schemas: &mut SchemaGenerator) -> Self
    where
        R::Answer: JsonSchema,
    {
        Self {
            name: R::NAME,
            rate: R::RATE,
            example: serde_json::from_str(R::EXAMPLE).unwrap(),
            payload: R::json_schema(schemas).to_value(),
            answer: R::Answer::json_schema(schemas).to_value(),
        }
    }
}

/// An event, as documents tell of it.
struct EventContract {
    name: &'static str,
    kind: events::Kind,
    payload: Value,
}

/// All that there is to tell.
struct Protocol {
    requests: Vec<Contract>,
    events: Vec<EventContract>,
    /// The types that requests and events refer to, by name.
    schemas: Map<String, Value>,
}

impl Protocol {
    fn new() -> Self {
        let settings =
            SchemaSettings::draft07().with(|settings| settings.definitions_path = "/components/schemas".into());
        let mut schemas = settings.into_generator();
        let requests = requests::contract(&mut schemas);
        let events = events::contract(&mut schemas);
        schemas.subschema_for::<Refusal>();
        Self { requests, events, schemas: schemas.take_definitions(true) }
    }

    /// The type behind a reference, or the type itself.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix(SCHEMAS));
        name.and_then(|name| self.schemas.get(name)).unwrap_or(schema)
    }
}

/// The words that a type is one of, if it is.
fn words(schema: &Value) -> Option<Vec<&str>> {
    let listed = schema["enum"].as_array().map(|all| all.iter().filter_map(Value::as_str).collect());
    listed.or_else(|| schema["oneOf"].as_array()?.iter().map(|one| one["const"].as_str()).collect())
}

/// A type without the `null` that an absent field may also be.
fn present(schema: &Value) -> Value {
    let is_null = |schema: &Value| schema["type"] == "null";
    if let Some(one) = schema["anyOf"].as_array().and_then(|all| all.iter().find(|one| !is_null(one))) {
        return one.clone();
    }
    let mut schema = schema.clone();
    if let Some(one) = schema["type"].as_array().and_then(|all| all.iter().find(|one| **one != "null")).cloned() {
        schema["type"] = one;
    }
    schema
}

/// The fields of an object: those that are always there first.
fn fields(schema: &Value) -> Vec<(&str, bool, Value)> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let optional = properties.keys().map(String::as_str).filter(|name| !required.contains(name));
    let all = required.iter().copied().map(|name| (name, true)).chain(optional.map(|name| (name, false)));
    all.filter_map(|(name, always)| Some((name, always, present(properties.get(name)?)))).collect()
}

/// What the doc comment of a type says, in one line.
fn about(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Compares a file with what it should be, or makes it anew with `UPDATE=1`.
fn assert_fresh(path: &str, fresh: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, fresh).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == fresh, "{} is stale: run `make generate`", path.display());
}
