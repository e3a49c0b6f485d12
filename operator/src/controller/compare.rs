//! Whether an object is as it should be already, so that nothing has to be written.

use serde_json::Value;

use super::quantity::Quantity;

/// Whether `actual` has everything that `desired` has. What it has beyond that is the API server's
/// defaults, or somebody else's, and no reason to write.
#[must_use]
pub fn covers(actual: &Value, desired: &Value) -> bool {
    match (actual, desired) {
        (Value::Object(actual), Value::Object(desired)) => {
            desired.iter().all(|(key, desired)| field(key, actual.get(key).unwrap_or(&Value::Null), desired))
        }
        (Value::Array(actual), Value::Array(desired)) => {
            actual.len() == desired.len() && actual.iter().zip(desired).all(|(a, d)| covers(a, d))
        }
        // The API server leaves out what is empty.
        (Value::Null, Value::String(text)) => text.is_empty(),
        (Value::Null, Value::Array(items)) => items.is_empty(),
        (actual, desired) => actual == desired,
    }
}

/// What the API takes as a whole, where one thing more means something else: selectors, and the rules
/// of a NetworkPolicy.
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

/// Lists that the API merges item by item, and by what the items are told apart: there, an item of
/// somebody else is no reason to write. Every other list is ours as a whole.
const MERGED: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ownerReferences", &["uid"]),
    // Of containers; of Services.
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

/// In their order, for that of variables and containers has a meaning.
fn merged(actual: &[Value], desired: &[Value], keys: &[&str]) -> bool {
    let mut rest = actual.iter();
    desired.iter().all(|desired| {
        let same = |actual: &&Value| keys.iter().all(|key| actual.get(*key) == desired.get(*key));
        rest.find(same).is_some_and(|actual| covers(actual, desired))
    })
}

/// The same without what the API server leaves out: empty lists, and a selector's empty `matchLabels`.
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

/// The API server rewrites quantities: 1000m becomes 1.
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
    fn defaults_of_the_api_server_are_no_difference() {
        let desired =
            json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "type": "", "args": []}});
        let port = json!({"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30000});
        assert!(covers(&json!({"spec": {"ports": [port], "clusterIP": "10.0.0.1"}}), &desired));
    }

    #[test]
    fn what_was_changed_or_removed_is_a_difference() {
        let desired = json!({"replicas": 2, "flag": false, "labels": {"a": "b"}});
        assert!(!covers(&json!({"replicas": 3, "flag": false, "labels": {"a": "b"}}), &desired));
        assert!(!covers(&json!({"replicas": 2, "labels": {"a": "b"}}), &desired));
        assert!(!covers(&json!({"replicas": 2, "flag": false, "labels": {}}), &desired));
    }

    #[test]
    fn an_item_of_somebody_else_is_a_difference_only_in_a_list_that_is_ours() {
        let ours = json!({"env": [{"name": "A", "value": "1"}], "hosts": ["a"]});
        assert!(covers(&json!({"env": [{"name": "B"}, {"name": "A", "value": "1"}], "hosts": ["a"]}), &ours));
        assert!(!covers(&json!({"env": [{"name": "A", "value": "1"}], "hosts": ["a", "b"]}), &ours));
        assert!(!covers(&json!({"env": [{"name": "B"}], "hosts": ["a"]}), &ours));
    }

    #[test]
    fn one_thing_more_in_a_selector_or_a_rule_is_a_difference() {
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
    fn quantities_are_compared_by_what_they_mean() {
        let desired = json!({"requests": {"cpu": "1000m", "memory": "1024Mi"}});
        assert!(covers(&json!({"requests": {"cpu": "1", "memory": "1Gi"}}), &desired));
        assert!(!covers(&json!({"requests": {"cpu": "2", "memory": "1Gi"}}), &desired));
        assert!(!covers(&json!({"requests": {"cpu": "1"}}), &desired));
    }
}
