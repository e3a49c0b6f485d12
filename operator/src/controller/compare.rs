//! Decides whether an observed object already has its desired state.

use serde_json::Value;

use super::quantity::Quantity;

/// Whether `actual` contains everything in `desired`. Additional fields are defaults of the API
/// server, or belong to others.
#[must_use]
pub fn covers(actual: &Value, desired: &Value) -> bool {
    match (actual, desired) {
        (Value::Object(actual), Value::Object(desired)) => {
            desired.iter().all(|(key, desired)| field(key, actual.get(key).unwrap_or(&Value::Null), desired))
        }
        (Value::Array(actual), Value::Array(desired)) => {
            actual.len() == desired.len() && actual.iter().zip(desired).all(|(a, d)| covers(a, d))
        }
        // The API server omits empty values.
        (Value::Null, Value::String(text)) => text.is_empty(),
        (Value::Null, Value::Array(items)) => items.is_empty(),
        (actual, desired) => actual == desired,
    }
}

/// Fields that are compared as a whole, because an additional item changes their meaning: selectors
/// and the rules of NetworkPolicies.
const WHOLE: &[&str] = &[
    "selector",
    "labelSelector",
    "podSelector",
    "namespaceSelector",
    "matchLabels",
    "nodeSelector",
    "ingress",
    "egress",
];

/// Lists that server-side apply merges by key, and their keys: items of others are not a
/// difference. All other lists belong to the operator as a whole.
const MERGED: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ownerReferences", &["uid"]),
    // Of containers and of Services.
    ("ports", &["containerPort", "port", "protocol"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

fn field(key: &str, actual: &Value, desired: &Value) -> bool {
    if WHOLE.contains(&key) {
        return without_empty(actual) == without_empty(desired);
    }
    if matches!(key, "requests" | "limits" | "divisor") {
        return same_quantities(actual, desired);
    }
    match (actual, desired, MERGED.iter().find(|(name, _)| *name == key)) {
        (Value::Array(actual), Value::Array(desired), Some((_, keys))) => merged(actual, desired, keys),
        _ => covers(actual, desired),
    }
}

/// In order, because the order of variables and containers matters.
fn merged(actual: &[Value], desired: &[Value], keys: &[&str]) -> bool {
    let mut rest = actual.iter();
    desired.iter().all(|desired| {
        let same = |actual: &&Value| keys.iter().all(|key| actual.get(*key) == desired.get(*key));
        rest.find(same).is_some_and(|actual| covers(actual, desired))
    })
}

/// The same without empty values that the API server omits: lists, and a selector's `matchLabels`.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, value)| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(labels) => *key != "matchLabels" || !labels.is_empty(),
                _ => true,
            });
            Value::Object(kept.map(|(key, value)| (key.clone(), without_empty(value))).collect())
        }
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => Value::Array(items.iter().map(without_empty).collect()),
        other => other.clone(),
    }
}

/// The API server normalizes quantities: `1000m` becomes `1`.
fn same_quantities(actual: &Value, desired: &Value) -> bool {
    match (actual, desired) {
        (Value::Object(actual), Value::Object(desired)) => desired
            .iter()
            .all(|(name, desired)| actual.get(name).is_some_and(|actual| same_quantities(actual, desired))),
        (Value::String(one), Value::String(other)) => {
            one == other || Quantity::parse(one).is_some_and(|one| Some(one) == Quantity::parse(other))
        }
        _ => covers(actual, desired),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn api_server_defaults_are_not_a_difference() {
        let desired =
            json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "type": "", "args": []}});
        let port = json!({"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30000});
        assert!(covers(&json!({"spec": {"ports": [port], "clusterIP": "10.0.0.1"}}), &desired));
    }

    #[test]
    fn changed_and_removed_fields_are_a_difference() {
        let desired = json!({"replicas": 2, "flag": false, "labels": {"a": "b"}});
        assert!(!covers(&json!({"replicas": 3, "flag": false, "labels": {"a": "b"}}), &desired));
        assert!(!covers(&json!({"replicas": 2, "labels": {"a": "b"}}), &desired));
        assert!(!covers(&json!({"replicas": 2, "flag": false, "labels": {}}), &desired));
    }

    #[test]
    fn foreign_items_are_a_difference_only_in_lists_that_are_not_merged() {
        let ours = json!({"env": [{"name": "A", "value": "1"}], "hosts": ["a"]});
        assert!(covers(&json!({"env": [{"name": "B"}, {"name": "A", "value": "1"}], "hosts": ["a"]}), &ours));
        assert!(!covers(&json!({"env": [{"name": "A", "value": "1"}], "hosts": ["a", "b"]}), &ours));
        assert!(!covers(&json!({"env": [{"name": "B"}], "hosts": ["a"]}), &ours));
    }

    #[test]
    fn additional_items_in_selectors_and_rules_are_a_difference() {
        let service = json!({"selector": {"app": "chat"}});
        assert!(!covers(&json!({"selector": {"app": "chat", "x": "y"}}), &service));
        let policy = json!({"ingress": [{"ports": [{"port": 3000}]}], "egress": []});
        assert!(covers(&json!({"ingress": [{"ports": [{"port": 3000}]}]}), &policy));
        assert!(!covers(&json!({"ingress": [{"ports": [{"port": 3000}], "from": [{}]}]}), &policy));
        assert!(!covers(&json!({"ingress": [{"ports": [{"port": 3000}]}], "egress": [{}]}), &policy));
        let spread = json!({"labelSelector": {"matchLabels": {}}});
        assert!(covers(&json!({"labelSelector": {}}), &spread));
    }

    #[test]
    fn quantities_are_compared_by_value() {
        let desired = json!({"requests": {"cpu": "1000m", "memory": "1024Mi"}});
        assert!(covers(&json!({"requests": {"cpu": "1", "memory": "1Gi"}}), &desired));
        assert!(!covers(&json!({"requests": {"cpu": "2", "memory": "1Gi"}}), &desired));
        assert!(!covers(&json!({"requests": {"cpu": "1"}}), &desired));
    }
}
