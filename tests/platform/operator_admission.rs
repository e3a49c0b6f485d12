//! What the API server says of a ChatCluster that it takes and of one that it does not: every rule of the definition,
//! by examples.

use crate::harness::control_plane::{Cluster, Kubectl, run};
use crate::harness::operator::{chat_cluster, install};

/// A spec (flow-style YAML), and what the API server says: nothing, if it takes it.
struct Row {
    name: &'static str,
    spec: &'static str,
    refusal: Option<&'static str>,
}

const fn taken(spec: &'static str) -> Row {
    Row { name: "chat", spec, refusal: None }
}

const fn refused(spec: &'static str, with: &'static str) -> Row {
    Row { name: "chat", spec, refusal: Some(with) }
}

const fn named(name: &'static str, refusal: Option<&'static str>) -> Row {
    Row { name, spec: "{replicas: 1}", refusal }
}

const TABLE: &[Row] = &[
    // One Redis at most, and without one a single node.
    taken("{redis: {managed: {}}}"),
    taken("{redis: {external: {endpoints: ['redis-0:6379']}}}"),
    taken("{replicas: 1}"),
    refused("{}", "spec.replicas: Invalid value: without redis the chat is in one pod's memory"),
    refused("{replicas: 2}", "set replicas to 1, or set redis.managed or redis.external"),
    refused("{redis: {}}", "spec.redis: Invalid value: set exactly one of redis.managed and redis.external"),
    refused("{redis: {managed: {}, external: {endpoints: ['a:1']}}}", "set exactly one of redis.managed and"),
    refused("{redis: {external: {endpoints: []}}}", "spec.redis.external.endpoints: Invalid value"),
    refused("{redis: {external: {endpoints: ['a:1', 'b:1']}}}", "a standalone Redis has one endpoint"),
    taken("{redis: {external: {mode: Cluster, endpoints: ['a:1', 'b:1'], tls: {caSecretRef: {name: ca}}}}}"),
    taken("{redis: {external: {mode: Sentinel, endpoints: ['a:1'], sentinel: {masterName: chat}}}}"),
    refused("{redis: {external: {mode: Sentinel, endpoints: ['a:1']}}}", "needs sentinel.masterName"),
    refused("{redis: {external: {mode: Cluster, endpoints: ['a:1'], database: 1}}}", "database 0 only"),
    refused(
        "{redis: {external: {endpoints: ['a:1'], keyPrefix: '{a}'}}}",
        "spec.redis.external.keyPrefix: Invalid value",
    ),
    refused("{redis: {external: {endpoints: [redis]}}}", "spec.redis.external.endpoints[0]: Invalid value"),
    refused("{redis: {managed: {persistence: {size: big}}}}", "spec.redis.managed.persistence.size: Invalid value"),
    // What an acknowledged message survives.
    taken("{redis: {managed: {}}, delivery: {durability: Aof}}"),
    taken("{redis: {external: {endpoints: ['a:1']}}, delivery: {durability: Replica, replicas: 2}}"),
    refused(
        "{replicas: 1, delivery: {durability: Aof}}",
        "spec.delivery.durability: Invalid value: without redis nothing",
    ),
    refused(
        "{redis: {managed: {}}, delivery: {durability: Replica}}",
        "spec.delivery.durability: Invalid value: a managed Redis is one server without replicas",
    ),
    refused(
        "{redis: {managed: {}}, delivery: {durability: Aof, replicas: 2}}",
        "spec.delivery.replicas: Invalid value: replicas is valid only with the durability Replica",
    ),
    refused(
        "{redis: {external: {endpoints: ['a:1']}}, delivery: {durability: Replica, replicas: 0}}",
        "spec.delivery.replicas",
    ),
    refused("{redis: {managed: {}}, delivery: {durability: Disk}}", "spec.delivery.durability: Unsupported value"),
    // Names that other names are made of.
    named("a23456789-123456789-123456789-123456789b", None),
    named("a23456789-123456789-123456789-123456789bc", Some("the name must have at most 40 characters")),
    named("1chat", Some("the name must begin with a letter")),
    named("chat.example", Some("the name must begin with a letter")),
    // For those who watch it.
    taken("{replicas: 1, monitoring: {podMonitor: Auto, prometheusRule: Disabled, dashboards: Disabled}}"),
    refused("{replicas: 1, monitoring: {dashboards: Always}}", "spec.monitoring.dashboards: Unsupported value"),
    taken("{replicas: 1, tracing: {otlpEndpoint: 'http://otel-collector.monitoring:4317', sampleRatio: '0.25'}}"),
    taken("{replicas: 1, tracing: {otlpEndpoint: 'http://[fd00::1]:4317', sampleRatio: '1'}}"),
    refused("{replicas: 1, tracing: {otlpEndpoint: 'https://a:4317'}}", "spec.tracing.otlpEndpoint: Invalid value"),
    refused("{replicas: 1, tracing: {otlpEndpoint: 'http://a:4317/v1'}}", "spec.tracing.otlpEndpoint: Invalid value"),
    refused("{replicas: 1, tracing: {sampleRatio: '1.5'}}", "spec.tracing.sampleRatio: Invalid value"),
    // The way in.
    taken("{replicas: 1, exposure: {ingress: {hosts: [chat.example.com, '*.example.org']}}}"),
    taken("{replicas: 1, exposure: {service: {type: LoadBalancer}}}"),
    taken("{replicas: 1, exposure: {path: /team-a/chat.v1}}"),
    refused("{replicas: 1, exposure: {path: /chat/}}", "spec.exposure.path: Invalid value"),
    refused("{replicas: 1, exposure: {path: chat}}", "spec.exposure.path: Invalid value"),
    refused("{replicas: 1, exposure: {path: /a/../b}}", "spec.exposure.path: Invalid value"),
    refused("{replicas: 1, exposure: {ingress: {hosts: []}}}", "spec.exposure.ingress.hosts: Invalid value"),
    refused("{replicas: 1, exposure: {ingress: {}}}", "spec.exposure.ingress.hosts: Required value"),
    refused("{replicas: 1, exposure: {ingress: {hosts: ['http://a']}}}", "spec.exposure.ingress.hosts[0]: Invalid"),
    refused(
        "{replicas: 1, exposure: {ingress: {hosts: [a], annotations: {nginx.ingress.kubernetes.io/server-snippet: x}}}}",
        "spec.exposure.ingress.annotations: Invalid value: snippet annotations",
    ),
    refused(
        "{replicas: 1, exposure: {ingress: {hosts: [a], annotations: {x: \"a\\nb\"}}}}",
        "spec.exposure.ingress.annotations.x: Invalid value: \"a\\nb\"",
    ),
    refused(
        "{replicas: 1, exposure: {service: {type: ExternalName}}}",
        "spec.exposure.service.type: Unsupported value",
    ),
    refused(
        "{replicas: 1, exposure: {ingress: {hosts: [a], sticky: {mode: None}}}}",
        "spec.exposure.ingress.sticky.mode: Unsupported value: \"None\": supported values: \"Cookie\", \"ClientIP\"",
    ),
    refused(
        "{replicas: 1, exposure: {ingress: {hosts: [a], sticky: {cookieName: 'a b'}}}}",
        "spec.exposure.ingress.sticky.cookieName: Invalid value",
    ),
    // The image.
    refused("{replicas: 1, image: {repository: ''}}", "spec.image.repository: Invalid value"),
    refused("{replicas: 1, image: {digest: 'sha256:12'}}", "spec.image.digest: Invalid value"),
    refused("{replicas: 1, image: {pullPolicy: Sometimes}}", "spec.image.pullPolicy: Unsupported value"),
    // Bounds.
    refused("{replicas: -1, redis: {managed: {}}}", "spec.replicas: Invalid value: -1"),
    refused("{replicas: 1001, redis: {managed: {}}}", "spec.replicas: Invalid value: 1001"),
    refused("{replicas: 1, limits: {maxMessageBytes: 0}}", "spec.limits.maxMessageBytes: Invalid value"),
    refused("{replicas: 1, limits: {maxConnectionsPerPod: 0}}", "spec.limits.maxConnectionsPerPod: Invalid value"),
    refused("{replicas: 1, drain: {timeoutSeconds: 0}}", "spec.drain.timeoutSeconds: Invalid value"),
    refused("{replicas: 1, drain: {connectionsPerSecond: 0}}", "spec.drain.connectionsPerSecond: Invalid value"),
    refused("{replicas: 1, disruption: {maxUnavailable: 0}}", "spec.disruption.maxUnavailable: Invalid value"),
    refused("{replicas: 1, retention: {maxAgeSeconds: -1}}", "spec.retention.maxAgeSeconds: Invalid value"),
    // Origins and resources.
    taken("{replicas: 1, auth: {allowedOrigins: ['https://a.example', 'http://[::1]:3000']}}"),
    taken("{replicas: 1, auth: {allowedOrigins: ['*']}}"),
    refused(
        "{replicas: 1, auth: {allowedOrigins: ['https://a.example', '*']}}",
        "spec.auth.allowedOrigins: Invalid value: * allows any origin",
    ),
    refused(
        "{replicas: 1, auth: {allowedOrigins: ['https://a.example:443']}}",
        "spec.auth.allowedOrigins: Invalid value: browsers leave out the port",
    ),
    refused("{replicas: 1, auth: {allowedOrigins: ['https://*.example']}}", "spec.auth.allowedOrigins[0]: Invalid"),
    refused("{replicas: 1, auth: {allowedOrigins: ['https://a.example/']}}", "spec.auth.allowedOrigins[0]: Invalid"),
    taken("{replicas: 1, pod: {resources: {requests: {cpu: 2, memory: 1.5Gi}}}}"),
    refused("{replicas: 1, pod: {resources: {requests: {cpu: much}}}}", "spec.pod.resources.requests.cpu: Invalid"),
    // Typing errors.
    refused("{replicas: 1, replica: 2}", "unknown field \"spec.replica\""),
    refused("{replicas: two}", "spec.replicas: Invalid value: \"string\""),
    refused("{replicas: 1, networkPolicy: {mode: Off}}", "spec.networkPolicy.mode"),
];

#[test]
fn every_validation_rule_accepts_valid_specs_and_explains_invalid_ones() {
    run(async |cluster| {
        install(&cluster).await;
        let namespace = cluster.namespace("admission").await;
        let kubectl = cluster.kubectl_with(&cluster.kubeconfig());
        for Row { name, spec, refusal } in TABLE {
            let manifest = chat_cluster(&namespace, name, spec);
            let answer = kubectl.input(&["apply", "--dry-run=server", "-f", "-"], &manifest).await;
            match refusal {
                None => {
                    println!("{name} {spec}\n    taken");
                    answer.expect_ok();
                }
                Some(words) => {
                    let said = answer.expect_refusal();
                    println!("{name} {spec}\n    {}", said.trim());
                    assert!(said.contains(words), "{spec}: expected {words:?} in:\n{said}");
                }
            }
        }
    });
}

#[test]
fn changes_that_would_lose_messages_are_rejected() {
    run(async |cluster| {
        install(&cluster).await;
        let namespace = cluster.namespace("admission").await;
        let kubectl = cluster.kubectl_with(&cluster.kubeconfig());
        let external = "{redis: {external: {endpoints: ['redis:6379']}}}";
        let changes = [
            ("embedded", "{replicas: 1}", "{replicas: 1, redis: {managed: {}}}", "redis can't be added or removed"),
            ("managed", "{redis: {managed: {}}}", "{replicas: 1}", "redis can't be added or removed"),
            ("other", "{redis: {managed: {}}}", external, "redis can't change between managed and external"),
            (
                "size",
                "{redis: {managed: {}}}",
                "{redis: {managed: {persistence: {size: 20Gi}}}}",
                "spec.redis.managed.persistence.size: Invalid value: size can't be changed",
            ),
            (
                "class",
                "{redis: {managed: {}}}",
                "{redis: {managed: {persistence: {storageClassName: fast}}}}",
                "storageClassName can't be changed",
            ),
        ];
        for (name, before, after, words) in changes {
            cluster.apply(&chat_cluster(&namespace, name, before)).await;
            let said = update(&kubectl, &chat_cluster(&namespace, name, after)).await;
            println!("{before} -> {after}\n    {}", said.trim());
            assert!(said.contains(words), "{before} -> {after}: expected {words:?} in:\n{said}");
        }
    });
}

async fn update(kubectl: &Kubectl, manifest: &str) -> String {
    kubectl.input(&["replace", "-f", "-"], manifest).await.expect_refusal()
}

#[test]
fn a_chat_with_redis_can_be_scaled_and_one_in_memory_cannot() {
    run(async |cluster| {
        install(&cluster).await;
        let namespace = cluster.namespace("admission").await;
        cluster.apply(&chat_cluster(&namespace, "memory", "{replicas: 1}")).await;
        cluster.apply(&chat_cluster(&namespace, "redis", "{redis: {managed: {}}}")).await;
        let said = scale(&cluster, &namespace, "memory").await.expect_refusal();
        assert!(said.contains("without redis the chat is in one pod's memory"), "{said}");
        scale(&cluster, &namespace, "redis").await.expect_ok();
    });
}

async fn scale(cluster: &Cluster, namespace: &str, name: &str) -> crate::harness::control_plane::Answer {
    cluster.kubectl(&["scale", "chatcluster", name, "--replicas=3", "-n", namespace]).await
}

#[test]
fn every_sample_is_admitted() {
    run(async |cluster| {
        install(&cluster).await;
        let namespace = cluster.namespace("samples").await;
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../k8s/samples");
        let said = cluster.kubectl(&["apply", "--dry-run=server", "-n", &namespace, "-f", samples]).await.expect_ok();
        let files = std::fs::read_dir(samples).expect("samples").count();
        assert_eq!(said.lines().filter(|line| line.contains("created (server dry run)")).count(), files, "{said}");
    });
}
