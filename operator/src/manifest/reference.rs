//! Generates `docs/chatcluster.md` from the CRD.

use std::fmt::Write;
use std::path::Path;

use kube::CustomResourceExt;
use serde_json::Value;

use crate::api::reason::Reason;
use crate::api::spec::ChatCluster;
use crate::api::status::ConditionType;

/// Fields with types of Kubernetes itself: fields below them are not listed.
const KUBERNETES: &[(&str, &str)] = &[
    ("spec.pod.tolerations", "[]Toleration"),
    ("spec.pod.affinity", "Affinity"),
    ("spec.pod.topologySpreadConstraints", "[]TopologySpreadConstraint"),
    ("spec.pod.extraEnv", "[]EnvVar"),
    ("spec.networkPolicy.ingressFrom", "[]NetworkPolicyPeer"),
    ("spec.networkPolicy.metricsFrom", "[]NetworkPolicyPeer"),
    ("status.conditions", "[]Condition"),
];

fn reference() -> String {
    let definition = serde_json::to_value(ChatCluster::crd()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut page = String::from(
        "# ChatCluster\n\n\
         Made by `make generate` from operator/src/api. Do not edit.\n\n\
         `apiVersion: chatcluster.dev/v1alpha1`, `kind: ChatCluster`, short name `cc`.\n\
         [k8s/samples](../k8s/samples) has examples. `kubectl explain chatcluster.spec` shows the same\n\
         descriptions. For types of Kubernetes itself, see the Kubernetes API reference. A *node* is a chat-server process in a\n\
         pod; machines are called *Kubernetes nodes*.\n",
    );
    for part in ["spec", "status"] {
        write!(page, "\n## {part}\n\n| field | type | default | description |\n|---|---|---|---|\n").unwrap();
        fields(&mut page, part, &schema["properties"][part]);
    }
    page.push_str(
        "\n## Validation rules\n\nThe API server enforces these rules besides the types and bounds above:\n\n",
    );
    rules(&mut page, "", schema);
    page.push_str("\n## Conditions\n\n| type | meaning |\n|---|---|\n");
    for type_ in ConditionType::ALL {
        writeln!(page, "| `{}` | {} |", type_.as_str(), type_.meaning()).unwrap();
    }
    page.push_str(
        "\n## Reasons\n\nThe `reason` of conditions, of a ChatCluster's Events, and in the operator's log.\n\n| reason | meaning | what to do |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        writeln!(page, "| `{reason}` | {} | {} |", reason.meaning().trim(), reason.remedy()).unwrap();
    }
    page
}

fn fields(page: &mut String, path: &str, schema: &Value) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let required = schema["required"].as_array().is_some_and(|names| names.contains(&Value::from(name.as_str())));
        let kubernetes = KUBERNETES.iter().find(|(known, _)| *known == path).map(|(_, type_)| (*type_).to_owned());
        let type_ = kubernetes.clone().unwrap_or_else(|| type_of(field));
        let default = match &field["default"] {
            Value::Null if required => "required".to_owned(),
            Value::Null | Value::Object(_) => String::new(),
            default => format!("`{default}`"),
        };
        let meaning = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(page, "| `{path}` | {type_} | {default} | {meaning}{} |", bounds(field)).unwrap();
        if kubernetes.is_none() {
            fields(page, &path, field);
        }
    }
}

fn type_of(field: &Value) -> String {
    if let Some(words) = field["enum"].as_array() {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    match field["type"].as_str().unwrap_or_default() {
        "array" => format!("[]{}", type_of(&field["items"])),
        "object" if field["additionalProperties"].is_object() => {
            format!("map of {}", type_of(&field["additionalProperties"]))
        }
        type_ => type_.to_owned(),
    }
}

fn bounds(field: &Value) -> String {
    let whole = |value: &Value| value.as_f64().map(|number| format!("{number:.0}"));
    match (whole(&field["minimum"]), whole(&field["maximum"])) {
        (Some(least), Some(most)) => format!(" From {least} to {most}."),
        (Some(least), None) => format!(" At least {least}."),
        _ => String::new(),
    }
}

fn rules(page: &mut String, path: &str, schema: &Value) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let below = rule["fieldPath"].as_str().unwrap_or_default();
        let at = format!("{path}{below}");
        let at = if at.is_empty() { "metadata.name" } else { at.trim_start_matches('.') };
        writeln!(page, "- `{at}`: {}", rule["message"].as_str().unwrap_or_default()).unwrap();
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        rules(page, &format!("{path}.{name}"), field);
    }
}

#[test]
fn the_page_in_docs_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/chatcluster.md");
    let fresh = reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == fresh, "docs/chatcluster.md is stale: run `make generate`");
}
