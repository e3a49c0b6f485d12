//! Whether an object is as it should be already, so that nothing has to be written.

use serde_json::Value;

use super::quantity::Quantity;

/// Whether `actual` has everything that `desired` has. What it has beyond that is the API server's
/// defaults, or somebody else's, and no reason to write.
#[must_use]
pub fn covers(actual: &Value, desired: &Value) -> bool {
    match (actual, desired) {
        (Value::Object(actual), Value::Object(desired)) => desired.iter().all(|(key, desired)| {
            let actual = actual.get(key).unwrap_or(&Value::Null);
            match key.as_str() {
                "requests" | "limits" => same_quantities(actual, desired),
                _ => covers(actual, desired),
            }
        }),
        (Value::Array(actual), Value::Array(desired)) => list(actual, desired),
        // The API server leaves out what is empty.
        (Value::Null, Value::String(text)) => text.is_empty(),
        (Value::Null, Value::Array(items)) => items.is_empty(),
        (actual, desired) => actual == desired,
    }
}

/// By what the items of a list are told apart, where the API merges them one by one: there, an item
/// of somebody else is no reason to write. Every other list is ours as a whole.
const KEYS: &[&str] = &["name", "mountPath", "containerPort", "topologyKey", "uid"];

fn list(actual: &[Value], desired: &[Value]) -> bool {
    let key = KEYS.iter().find(|key| desired.first().is_some_and(|item| item.get(**key).is_some()));
    match key {
        None => actual.len() == desired.len() && actual.iter().zip(desired).all(|(a, d)| covers(a, d)),
        Some(key) => {
            let mut rest = actual.iter();
            // In their order: that of variables and containers has a meaning.
            desired.iter().all(|d| rest.find(|a| a.get(*key) == d.get(*key)).is_some_and(|a| covers(a, d)))
        }
    }
}

/// The API server rewrites quantities: 1000m becomes 1.
fn same_quantities(actual: &Value, desired: &Value) -> bool {
    let (Value::Object(actual), Value::Object(desired)) = (actual, desired) else {
        return covers(actual, desired);
    };
    let parse = |value: &Value| value.as_str().and_then(Quantity::parse);
    desired.iter().all(|(name, desired)| {
        actual
            .get(name)
            .is_some_and(|actual| actual == desired || (parse(desired).is_some() && parse(actual) == parse(desired)))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        let desired = json!({"spec": {"ports": [{"name": "http", "port": 80}], "type": "", "args": []}});
        let actual =
            json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "clusterIP": "10.0.0.1"}});
        assert!(covers(&actual, &desired));
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
    fn quantities_are_compared_by_what_they_mean() {
        let desired = json!({"requests": {"cpu": "1000m", "memory": "1024Mi"}});
        assert!(covers(&json!({"requests": {"cpu": "1", "memory": "1Gi"}}), &desired));
        assert!(!covers(&json!({"requests": {"cpu": "2", "memory": "1Gi"}}), &desired));
        assert!(!covers(&json!({"requests": {"cpu": "1"}}), &desired));
    }
}
