//! `docs/asyncapi.yaml`: AsyncAPI 3.0.

use serde_json::{Map, Value, json};

use super::{Protocol, about, assert_fresh, words};

const FILE: &str = "docs/asyncapi.yaml";
const HEAD: &str = "# Made by `make generate` from chat-server/src/transport/socketio/requests. Do not edit.\n";

/// An event's name as a key: AsyncAPI allows no colon there.
fn key(name: &str) -> String {
    name.replace(':', ".")
}

fn document() -> Value {
    let protocol = Protocol::new();
    let (mut messages, mut operations) = (Map::new(), Map::new());
    let on_the_socket = json!({ "$ref": "#/channels/socket" });
    let message_of = |key: &str| json!([{ "$ref": format!("#/channels/socket/messages/{key}") }]);
    for request in &protocol.requests {
        let (asks, answers) = (key(request.name), format!("{}.ack", key(request.name)));
        let mut answer = request.answer.clone();
        answer["properties"]["ok"] = json!({ "type": "boolean", "const": true });
        let answer = json!({ "oneOf": [answer, { "$ref": "#/components/schemas/Refused" }] });
        messages.insert(
            asks.clone(),
            json!({
                "name": request.name,
                "summary": about(&request.payload),
                "payload": request.payload,
                "examples": [{ "payload": request.example }],
            }),
        );
        messages.insert(answers.clone(), json!({ "name": format!("ack of {}", request.name), "payload": answer }));
        let reply = json!({ "channel": on_the_socket, "messages": message_of(&answers) });
        let operation =
            json!({ "action": "receive", "channel": on_the_socket, "messages": message_of(&asks), "reply": reply });
        operations.insert(asks, operation);
    }
    for event in &protocol.events {
        let key = key(event.name);
        let summary = format!("{} {}", about(&event.payload), event.kind.as_str());
        messages.insert(key.clone(), json!({ "name": event.name, "summary": summary, "payload": event.payload }));
        let operation = json!({ "action": "send", "channel": on_the_socket, "messages": message_of(&key) });
        operations.insert(key, operation);
    }
    let mut schemas = protocol.schemas.clone();
    schemas.insert(
        "Refused".to_owned(),
        json!({
            "type": "object",
            "description": "What answers a request that was refused.",
            "properties": { "ok": { "type": "boolean", "const": false }, "error": { "$ref": "#/components/schemas/Refusal" } },
            "required": ["ok", "error"],
        }),
    );
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "ChatCluster",
            "version": "1",
            "description": "The requests and events of protocol version 1, over Socket.IO 5. docs/protocol.md says what holds of them.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": "/socket.io/",
                "description": "The namespace `/`. Each request is acknowledged.",
                "messages": messages,
            },
        },
        "operations": operations,
        "components": { "schemas": schemas },
    })
}

#[test]
fn the_asyncapi_document_is_fresh() {
    assert_fresh(FILE, &format!("{HEAD}{}", serde_yaml::to_string(&document()).unwrap()));
}

#[test]
fn the_document_knows_every_code() {
    let protocol = Protocol::new();
    let known = words(&protocol.schemas["Code"]).unwrap();
    let all: Vec<_> = crate::domain::error::Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(known, all);
}
