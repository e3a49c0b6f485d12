//! The rules of the schema, without an API server. What the API server itself says is in
//! tests/platform/operator_admission.rs.

use serde_json::{Value, json};

use super::ChatCluster;

fn chat(name: &str, spec: Value) -> ChatCluster {
    let manifest = json!({
        "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster", "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(manifest).unwrap()
}

fn refusal(name: &str, spec: Value) -> Option<String> {
    chat(name, spec).validate_cel().err().map(|errors| format!("{errors:?}"))
}

fn refusal_of_change(before: Value, after: Value) -> Option<String> {
    chat("chat", after).validate_cel_update(&chat("chat", before)).err().map(|errors| format!("{errors:?}"))
}

#[test]
fn without_redis_replicas_must_be_1() {
    assert_eq!(refusal("chat", json!({"replicas": 1})), None);
    assert_eq!(refusal("chat", json!({"replicas": 2, "redis": {"managed": {}}})), None);
    assert!(refusal("chat", json!({"replicas": 2})).is_some_and(|why| why.contains("set replicas to 1")));
}

#[test]
fn exactly_one_of_managed_and_external_is_set() {
    let external = json!({"endpoints": ["r:1"]});
    assert!(refusal("chat", json!({"redis": {}})).is_some_and(|why| why.contains("set exactly one")));
    let both = json!({"redis": {"managed": {}, "external": external}});
    assert!(refusal("chat", both).is_some_and(|why| why.contains("set exactly one")));
    assert_eq!(refusal("chat", json!({"redis": {"external": external}})), None);
}

#[test]
fn an_external_redis_has_the_fields_of_its_mode_only() {
    let of = |external: Value| refusal("chat", json!({"redis": {"external": external}}));
    let sentinel = json!({"masterName": "mymaster"});
    for taken in [
        json!({"endpoints": ["r:1"], "database": 3, "tls": {}}),
        json!({"mode": "Sentinel", "endpoints": ["a:1", "b:1"], "sentinel": sentinel}),
        json!({"mode": "Cluster", "endpoints": ["a:1", "b:1"]}),
    ] {
        assert_eq!(of(taken), None);
    }
    for (refused, why) in [
        (json!({"endpoints": ["a:1", "b:1"]}), "a standalone Redis has one endpoint"),
        (json!({"mode": "Sentinel", "endpoints": ["a:1"]}), "needs sentinel.masterName"),
        (json!({"mode": "Cluster", "endpoints": ["a:1"], "sentinel": sentinel}), "no other mode has sentinel"),
        (json!({"mode": "Cluster", "endpoints": ["a:1"], "database": 1}), "database 0 only"),
    ] {
        let message = of(refused).unwrap_or_default();
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn key_prefix_and_database_are_immutable() {
    let of = |field: &str, value: Value| {
        let mut external = json!({"endpoints": ["r:1"]});
        external[field] = value;
        json!({"redis": {"external": external}})
    };
    let changed = |field: &str, before: Value, after: Value| refusal_of_change(of(field, before), of(field, after));
    let prefix = changed("keyPrefix", json!("a:"), json!("b:"));
    assert!(prefix.is_some_and(|why| why.contains("keyPrefix can't be changed")));
    let database = changed("database", json!(0), json!(1));
    assert!(database.is_some_and(|why| why.contains("database can't be changed")));
    assert_eq!(changed("tls", json!({}), json!({"caSecretRef": {"name": "ca"}})), None);
}

#[test]
fn names_are_at_most_40_characters_long_and_valid_service_names() {
    assert_eq!(refusal(&"a".repeat(super::MAX_NAME), json!({"replicas": 1})), None);
    let long = refusal(&"a".repeat(super::MAX_NAME + 1), json!({"replicas": 1}));
    assert!(long.is_some_and(|why| why.contains("at most 40 characters")));
    assert!(refusal("1a", json!({"replicas": 1})).is_some_and(|why| why.contains("begin with a letter")));
}

#[test]
fn snippet_annotations_are_rejected() {
    let ingress =
        |key: &str| json!({"replicas": 1, "exposure": {"ingress": {"hosts": ["a"], "annotations": {key: "x"}}}});
    assert_eq!(refusal("chat", ingress("a/b")), None);
    assert!(refusal("chat", ingress("nginx.ingress.kubernetes.io/configuration-snippet")).is_some());
}

#[test]
fn changes_that_would_lose_messages_are_rejected() {
    let memory = json!({"replicas": 1});
    let managed = |size: &str| json!({"replicas": 1, "redis": {"managed": {"persistence": {"size": size}}}});
    let external = json!({"replicas": 1, "redis": {"external": {"endpoints": ["r:1"]}}});
    assert_eq!(refusal_of_change(managed("1Gi"), managed("1Gi")), None);
    assert!(refusal_of_change(memory.clone(), managed("1Gi")).is_some_and(|why| why.contains("added or removed")));
    assert!(refusal_of_change(managed("1Gi"), memory).is_some_and(|why| why.contains("added or removed")));
    assert!(refusal_of_change(managed("1Gi"), external).is_some_and(|why| why.contains("between managed and")));
    assert!(refusal_of_change(managed("1Gi"), managed("2Gi")).is_some_and(|why| why.contains("can't be changed")));
}

#[test]
fn durability_must_be_supported_by_the_redis() {
    let of = |redis: Value, delivery: Value| {
        let mut spec = json!({"replicas": 1, "delivery": delivery});
        if !redis.is_null() {
            spec["redis"] = redis;
        }
        refusal("chat", spec)
    };
    let (embedded, managed) = (Value::Null, json!({"managed": {}}));
    let external = json!({"external": {"endpoints": ["r:1"]}});
    for (redis, delivery) in [
        (&embedded, json!({"durability": "Memory"})),
        (&managed, json!({"durability": "Aof"})),
        (&external, json!({"durability": "Aof", "replicas": 1})),
        (&external, json!({"durability": "Replica", "replicas": 2})),
    ] {
        assert_eq!(of(redis.clone(), delivery), None);
    }
    for (redis, delivery, why) in [
        (&embedded, json!({"durability": "Aof"}), "nothing survives the chat's one pod"),
        (&embedded, json!({"durability": "Replica"}), "nothing survives the chat's one pod"),
        (&managed, json!({"durability": "Replica"}), "one server without replicas"),
        (&external, json!({"replicas": 2}), "only with the durability Replica"),
        (&external, json!({"durability": "Aof", "replicas": 2}), "only with the durability Replica"),
    ] {
        let message = of(redis.clone(), delivery).unwrap_or_default();
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn an_origin_that_no_browser_sends_is_rejected() {
    let of = |origins: Value| refusal("chat", json!({"replicas": 1, "auth": {"allowedOrigins": origins}}));
    for taken in [json!([]), json!(["*"]), json!(["https://a.example", "http://a.example:443", "https://b.example:80"])]
    {
        assert_eq!(of(taken), None);
    }
    for (refused, why) in [
        (json!(["https://a.example", "*"]), "leave out * or the rest"),
        (json!(["https://a.example:443"]), "port 443 of https"),
        (json!(["https://a.example", "http://[::1]:80"]), "80 of http"),
    ] {
        let message = of(refused).unwrap_or_default();
        assert!(message.contains(why), "{message}");
    }
}
