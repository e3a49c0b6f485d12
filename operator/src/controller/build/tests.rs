use serde_json::{Value, json};

use super::*;
use crate::api::prometheus::InstalledKinds;
use crate::api::spec::ChatCluster;
use crate::controller::dereference::{ExternalSecrets, OwnedSecret, References};
use crate::controller::validate::validate;

fn built_with(spec: Value, session: &str) -> Resources<Desired> {
    let cluster: ChatCluster = serde_json::from_value(json!({
        "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster",
        "metadata": {"name": "chat", "namespace": "here", "uid": "u"}, "spec": spec,
    }))
    .unwrap();
    let owned = |value: &str| OwnedSecret { fresh: value.to_owned(), ..OwnedSecret::default() };
    let references = References {
        session: owned(&session.repeat(4)),
        admin: owned("s3cr3t-admin"),
        redis: owned("s3cr3t-redis"),
        installed: InstalledKinds { pod_monitor: true, prometheus_rule: true },
        ..References::default()
    };
    let scale = Scale { desired: 2, current_replicas: 3, draining: false };
    build(&validate(&cluster, &references, "chat-system").unwrap(), &scale)
}

fn built(spec: Value) -> Resources<Desired> {
    built_with(spec, "s3cr3t-session")
}

fn replica_set(resources: &Resources<Desired>) -> Value {
    serde_json::to_value(&resources.replica_set).unwrap()
}

#[test]
fn the_same_spec_gives_the_same_objects() {
    let spec = json!({"redis": {"managed": {}}, "exposure": {"ingress": {"hosts": ["a", "b"]}}});
    assert_eq!(format!("{:?}", built(spec.clone())), format!("{:?}", built(spec)));
}

#[test]
fn the_grace_period_covers_the_drain() {
    let pod =
        &replica_set(&built(json!({"replicas": 1, "drain": {"timeoutSeconds": 100}})))["spec"]["template"]["spec"];
    let (grace, before) =
        (&pod["terminationGracePeriodSeconds"], &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]);
    // The server needs up to 10 s beyond its drain (docs/configuration.md).
    assert!(grace.as_i64().unwrap() >= before.as_i64().unwrap() + 100 + 10);
}

#[test]
fn a_session_key_that_is_too_short_is_refused_and_not_shown() {
    let cluster: ChatCluster = serde_json::from_value(json!({
        "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster",
        "metadata": {"name": "chat", "namespace": "here", "uid": "u"}, "spec": {"replicas": 1},
    }))
    .unwrap();
    let validated = |keys: String| {
        let session = OwnedSecret { fresh: keys, ..OwnedSecret::default() };
        validate(&cluster, &References { session, ..References::default() }, "chat-system")
    };
    let (long, short) = ("k".repeat(32), "s".repeat(31));
    assert!(validated(format!("{long},{long}")).is_ok());
    for keys in [short.clone(), format!("{long},{short}"), format!("{long},"), String::new()] {
        let error = format!("{:?}", validated(keys).unwrap_err());
        assert!(error.contains("at least 32 characters") && !error.contains("sss"), "{error}");
    }
}

#[test]
fn a_chat_below_a_path_has_its_ingress_and_its_cookie_there() {
    let of = |path: Option<&str>| {
        let mut exposure = json!({"ingress": {"hosts": ["a"]}});
        if let Some(path) = path {
            exposure["path"] = json!(path);
        }
        let resources = built(json!({"replicas": 1, "exposure": exposure}));
        let ingress = serde_json::to_value(resources.ingress.unwrap()).unwrap();
        let rule = ingress["spec"]["rules"][0]["http"]["paths"][0].clone();
        assert_eq!(rule["pathType"], "Prefix");
        let cookie = &ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/session-cookie-path"];
        assert_eq!(cookie, &rule["path"]);
        assert_eq!(resources.config.data.unwrap()["CHAT_BASE_PATH"], rule["path"]);
        rule["path"].clone()
    };
    assert_eq!((of(None), of(Some("/chat"))), (json!("/"), json!("/chat")));
}

#[test]
fn immutable_fields_do_not_depend_on_mutable_ones() {
    let of = |tag: &str| built(json!({"redis": {"managed": {}}, "image": {"tag": tag}, "pod": {"labels": {"a": tag}}}));
    let (one, other) = (of("1"), of("2"));
    assert_ne!(replica_set(&one)["spec"]["template"], replica_set(&other)["spec"]["template"]);
    assert_ne!(replica_set(&one)["metadata"]["name"], replica_set(&other)["metadata"]["name"]);
    let set = |resources: &Resources<Desired>| resources.redis.as_ref().map(|redis| redis.stateful_set.clone());
    assert_eq!(set(&one), set(&other), "a new version of the nodes is nothing to Redis");
    assert_eq!(one.service, other.service);
}

#[test]
fn new_session_keys_replace_the_nodes_but_not_redis() {
    let of = |session: &str| built_with(json!({"redis": {"managed": {}}}), session);
    let (one, other) = (of("the first"), of("another one"));
    assert_ne!(replica_set(&one)["spec"]["template"], replica_set(&other)["spec"]["template"]);
    let set = |resources: Resources<Desired>| resources.redis.map(|redis| redis.stateful_set);
    assert_eq!(set(one), set(other));
}

#[test]
fn a_replica_set_selects_its_revision_and_has_the_planned_replicas() {
    let set = replica_set(&built(json!({"redis": {"managed": {}}})));
    let revision = set["metadata"]["labels"]["pod-template-hash"].as_str().unwrap();
    assert_eq!(set["metadata"]["name"], format!("chat-{revision}"));
    assert_eq!(set["spec"]["selector"]["matchLabels"]["pod-template-hash"], revision);
    assert_eq!(set["spec"]["template"]["metadata"]["labels"]["pod-template-hash"], revision);
    assert_eq!(set["spec"]["replicas"], 3);
}

#[test]
fn no_eviction_is_allowed_while_a_node_drains() {
    let cluster: ChatCluster = serde_json::from_value(json!({
        "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster",
        "metadata": {"name": "chat", "namespace": "here", "uid": "u"}, "spec": {"redis": {"managed": {}}},
    }))
    .unwrap();
    let session = OwnedSecret { fresh: "k".repeat(32), ..OwnedSecret::default() };
    let references = References { session, ..References::default() };
    let validated = validate(&cluster, &references, "chat-system").unwrap();
    let budget = |draining| {
        let scale = Scale { desired: 5, current_replicas: 5, draining };
        serde_json::to_value(build(&validated, &scale).disruption.spec).unwrap()
    };
    assert_eq!((&budget(false)["minAvailable"], &budget(false)["maxUnavailable"]), (&json!(4), &Value::Null));
    assert_eq!((&budget(true)["minAvailable"], &budget(true)["maxUnavailable"]), (&Value::Null, &json!(0)));
    assert_eq!(budget(true)["unhealthyPodEvictionPolicy"], "AlwaysAllow");
}

#[test]
fn a_horizontal_pod_autoscaler_exists_for_a_cpu_target_only() {
    let with = |target: Value| {
        let mut autoscaling = json!({"minReplicas": 2, "maxReplicas": 9});
        autoscaling.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
        built(json!({"redis": {"managed": {}}, "autoscaling": autoscaling})).autoscaler
    };
    assert_eq!(with(json!({"targetConnectionsPerPod": 5})), None);
    let spec = serde_json::to_value(with(json!({"targetCPUUtilizationPercentage": 70})).unwrap().spec).unwrap();
    assert_eq!(spec["scaleTargetRef"]["kind"], "ChatCluster");
    assert_eq!((&spec["minReplicas"], &spec["maxReplicas"]), (&json!(2), &json!(9)));
    assert_eq!(spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 600);
}

#[test]
fn a_node_drains_no_faster_than_the_whole_budget() {
    let drain = json!({"connectionsPerSecond": 100, "maxReconnectsPerSecond": 30});
    let config = built(json!({"redis": {"managed": {}}, "drain": drain})).config.data.unwrap();
    assert_eq!(config["CHAT_DRAIN_CONNECTIONS_PER_SECOND"], "30");
}

#[test]
fn secrets_appear_in_secrets_only() {
    let mut resources = built(json!({"redis": {"managed": {}}, "exposure": {"ingress": {"hosts": ["a"]}}}));
    resources.session.data = None;
    resources.admin.data = None;
    let mut redis = resources.redis.take().unwrap();
    assert!(redis.secret.data.take().is_some_and(|data| data["password"].0 == b"s3cr3t-redis"));
    let text = format!("{resources:?} {redis:?}");
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[test]
fn session_keys_and_admin_token_are_always_set() {
    let external = json!({"external": {"endpoints": ["r:6379"]}});
    for spec in [json!({"replicas": 1}), json!({"redis": {"managed": {}}}), json!({"redis": external})] {
        let resources = built(spec.clone());
        let pod = replica_set(&resources)["spec"]["template"]["spec"].clone();
        let container = &pod["containers"][0];
        let variable =
            |name: &str| container["env"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        let keys = json!({"name": "chat-session", "key": "keys"});
        assert_eq!(variable("CHAT_SESSION_KEYS").unwrap()["valueFrom"]["secretKeyRef"], keys, "{spec}");
        assert_eq!(variable("CHAT_ADMIN_TOKEN_FILE").unwrap()["value"], "/etc/chat-server/admin/token", "{spec}");
        assert!(pod["volumes"].to_string().contains(r#""secretName":"chat-admin""#), "{spec}");
        assert_eq!(resources.session.data.unwrap()["keys"].0, "s3cr3t-session".repeat(4).as_bytes(), "{spec}");
        assert_eq!(resources.admin.data.unwrap()["token"].0, b"s3cr3t-admin", "{spec}");
    }
    // Neither an empty Secret nor a variable of the spec takes them away.
    let empty = OwnedSecret { data: [("keys".to_owned(), Vec::new())].into(), fresh: "new".to_owned() };
    assert_eq!(empty.value("keys"), b"new");
    let cluster: ChatCluster = serde_json::from_value(json!({
        "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster",
        "metadata": {"name": "chat", "namespace": "here", "uid": "u"},
        "spec": {"replicas": 1, "pod": {"extraEnv": [{"name": "CHAT_SESSION_KEYS", "value": ""}]}},
    }))
    .unwrap();
    let error = format!("{:?}", validate(&cluster, &References::default(), "chat-system").unwrap_err());
    assert!(error.contains("ReservedVariable"), "{error}");
}

#[test]
fn only_the_operator_and_the_listed_peers_reach_the_admin_port() {
    let peers = |policy: Value| {
        let policy = built(json!({"replicas": 1, "networkPolicy": policy})).network_policy.unwrap();
        let policy = serde_json::to_value(policy).unwrap();
        let rules = policy["spec"]["ingress"].as_array().unwrap().clone();
        rules.into_iter().find(|rule| rule["ports"][0]["port"] == 9090).unwrap()["from"].clone()
    };
    let namespace = |name: &str| json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
    let pods = |name: &str| json!({"matchLabels": {"app.kubernetes.io/name": name}});
    let operator = json!({"namespaceSelector": namespace("chat-system"), "podSelector": pods("chat-operator")});
    let elsewhere = json!({"namespaceSelector": namespace("monitoring"), "podSelector": pods("prometheus")});
    assert_eq!(peers(json!({})), json!([operator, elsewhere, {"podSelector": pods("prometheus")}]));
    assert_eq!(peers(json!({"metricsFrom": []})), json!([operator]));
    let own = json!({"namespaceSelector": namespace("observability")});
    assert_eq!(peers(json!({"metricsFrom": [own]})), json!([operator, own]));
}

#[test]
fn proxies_are_trusted_where_all_clients_come_through_them() {
    let trusted = |exposure: Value| {
        let config = built(json!({"replicas": 1, "exposure": exposure})).config.data.unwrap();
        config["CHAT_TRUSTED_PROXIES"].clone()
    };
    let ingress = json!({"hosts": ["a"]});
    assert!(trusted(json!({"ingress": ingress})).starts_with("10.0.0.0/8,172.16.0.0/12,"));
    assert_eq!(trusted(json!({"ingress": ingress, "trustedProxies": ["10.1.0.0/16", "::1"]})), "10.1.0.0/16,::1");
    for none in [
        json!({}),
        json!({"ingress": ingress, "trustedProxies": []}),
        json!({"ingress": ingress, "service": {"type": "LoadBalancer"}}),
    ] {
        assert_eq!(trusted(none.clone()), "", "{none}");
    }
    for bad in ["10.0.0.0/33", "1.2.3", "::1/129", "10.0.0.0/", "10.1.2.3/8"] {
        let cluster: ChatCluster = serde_json::from_value(json!({
            "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster",
            "metadata": {"name": "chat", "namespace": "here", "uid": "u"},
            "spec": {"replicas": 1, "exposure": {"trustedProxies": [bad]}},
        }))
        .unwrap();
        let error = format!("{:?}", validate(&cluster, &References::default(), "chat-system").unwrap_err());
        assert!(error.contains("InvalidValue") && error.contains(bad), "{error}");
    }
}

#[test]
fn client_ip_stickiness_sets_no_cookie() {
    let ingress = json!({"hosts": ["a"], "sticky": {"mode": "ClientIP"}});
    let annotations =
        built(json!({"replicas": 1, "exposure": {"ingress": ingress}})).ingress.unwrap().metadata.annotations;
    let annotations = annotations.unwrap();
    assert_eq!(annotations["nginx.ingress.kubernetes.io/upstream-hash-by"], "$remote_addr");
    assert!(!annotations.keys().any(|name| name.contains("cookie") || name.ends_with("/affinity")));
}

#[test]
fn an_external_redis_gets_its_ports_and_certificates() {
    let external = json!({
        "mode": "Cluster", "endpoints": ["a:7000", "b:7000"], "serverPorts": [7001],
        "tls": {"caSecretRef": {"name": "ca", "key": "bundle"}, "clientCertificateSecretRef": {"name": "ours"}},
    });
    let named = |keys: &[&str]| Some(keys.iter().map(|key| ((*key).to_owned(), b"pem".to_vec())).collect());
    let external_secrets = ExternalSecrets {
        ca: named(&["bundle"]),
        client_certificate: named(&["tls.crt", "tls.key"]),
        ..ExternalSecrets::default()
    };
    let with = |external_secrets: ExternalSecrets| {
        let cluster = serde_json::from_value(json!({
            "apiVersion": "chatcluster.dev/v1alpha1", "kind": "ChatCluster",
            "metadata": {"name": "chat", "namespace": "here", "uid": "u"},
            "spec": {"redis": {"external": external}},
        }));
        let session = OwnedSecret { fresh: "k".repeat(32), ..OwnedSecret::default() };
        let references = References { external: external_secrets, session, ..References::default() };
        validate(&cluster.unwrap(), &references, "chat-system")
    };
    let resources =
        build(&with(external_secrets.clone()).unwrap(), &Scale { desired: 2, current_replicas: 2, draining: false });
    let policy = serde_json::to_value(&resources.network_policy).unwrap().to_string();
    assert!(policy.contains(r#"{"port":7000,"protocol":"TCP"},{"port":7001,"protocol":"TCP"}"#), "{policy}");
    let pod = serde_json::to_value(&resources.replica_set).unwrap().to_string();
    for piece in [r#""secretName":"ca""#, r#"{"key":"bundle","path":"ca.crt"}"#, r#""secretName":"ours""#] {
        assert!(pod.contains(piece), "{piece}: {pod}");
    }

    let missing = |change: fn(&mut ExternalSecrets)| {
        let mut secrets = external_secrets.clone();
        change(&mut secrets);
        format!("{:?}", with(secrets).unwrap_err())
    };
    let error = missing(|secrets| secrets.ca = None);
    assert!(error.contains("SecretNotFound") && error.contains("tls.caSecretRef: Secret ca does not exist"), "{error}");
    let error = missing(|secrets| secrets.client_certificate = Some(Default::default()));
    assert!(error.contains("SecretKeyNotFound") && error.contains("no value for key tls.crt"), "{error}");
}

#[test]
fn maxmemory_leaves_room_for_a_rewrite_of_the_file() {
    let resources = json!({"limits": {"memory": "1Gi"}});
    let redis = built(json!({"redis": {"managed": {"resources": resources}}})).redis.unwrap();
    let configuration = &redis.config.data.unwrap()["redis.conf"];
    assert!(configuration.contains("maxmemory 644245092\n"), "{configuration}");
    assert!(
        !built(json!({"redis": {"managed": {}}})).redis.unwrap().config.data.unwrap()["redis.conf"]
            .contains("maxmemory ")
    );
}

#[test]
fn durability_aof_sets_appendfsync_always() {
    let of = |delivery: Value| {
        let resources = built(json!({"redis": {"managed": {}}, "delivery": delivery}));
        let configuration = resources.redis.unwrap().config.data.unwrap()["redis.conf"].clone();
        (configuration.contains("\nappendfsync always\n"), resources.config.data.unwrap()["CHAT_DURABILITY"].clone())
    };
    assert_eq!(of(json!({"durability": "Aof"})), (true, "aof".to_owned()));
    assert_eq!(of(json!({})), (false, "memory".to_owned()));
}

#[test]
fn monitoring_objects_select_their_own_chat_only() {
    let monitoring = built(json!({"replicas": 1})).monitoring;
    let monitor = serde_json::to_value(&monitoring.pod_monitor).unwrap();
    assert_eq!(monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"], "chat");
    let rules = serde_json::to_string(&monitoring.prometheus_rule).unwrap();
    assert!(rules.contains(r#"chat_acks_total{namespace=\"here\",chatcluster=\"chat\",request"#), "{rules}");
    assert!(!rules.contains("=~\\\".+"), "no selector is of any chat: {rules}");
    let dashboards = monitoring.dashboards.unwrap();
    assert_eq!(dashboards.metadata.labels.unwrap()["grafana_dashboard"], "1");
    let data = dashboards.data.unwrap();
    assert_eq!(data.len(), 3);
    for (file, text) in data {
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let uid = dashboard["uid"].as_str().unwrap();
        assert_eq!(file, format!("{uid}.json"));
        assert!(uid.len() <= 40, "Grafana takes no longer one: {uid}");
        assert!(dashboard["title"].as_str().unwrap().ends_with(" (here/chat)"), "{dashboard}");
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let chosen = ["namespace", "cluster"].map(|name| {
            let variable = variables.iter().find(|variable| variable["name"] == name).unwrap();
            variable["current"]["value"][0].clone()
        });
        assert_eq!(chosen, ["here", "chat"]);
    }
}

#[test]
fn disabled_monitoring_objects_are_not_built() {
    let none = json!({"podMonitor": "Disabled", "prometheusRule": "Disabled", "dashboards": "Disabled"});
    let Monitoring { installed, pod_monitor, prometheus_rule, dashboards } =
        built(json!({"replicas": 1, "monitoring": none})).monitoring;
    assert!(installed.pod_monitor && installed.prometheus_rule);
    assert!(pod_monitor.is_none() && prometheus_rule.is_none() && dashboards.is_none());
}
