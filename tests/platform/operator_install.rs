//! From nothing to a chat, as the README says it: the manifests of k8s/, with the rights that they give and no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use kube::api::DeleteParams;

use crate::harness::Client;
use crate::harness::control_plane::{Cluster, run_alone, until_list, until_object};
use crate::harness::operator::{chat_cluster, nodes, replica_set, until_condition};

const USER: &str = "system:serviceaccount:chat-system:chat-operator";

fn k8s(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s").join(path)
}

#[test]
fn the_manifests_install_an_operator_and_a_sample_creates_a_chat() {
    run_alone(async |cluster| {
        let mark = cluster.audit_mark();
        let folder = k8s("");
        let folder = folder.to_str().expect("a path");
        // As on a cluster that has the namespace and nothing else of it: what is to be in it could not be tried without.
        let kubectl = cluster.kubectl_with(&cluster.kubeconfig());
        cluster.kubectl(&["apply", "-f", &format!("{folder}/namespace.yaml")]).await.expect_ok();
        let rendered = cluster.kubectl(&["kustomize", folder]).await.expect_ok();
        let answer = kubectl.input(&["apply", "--dry-run=server", "-f", "-"], &rendered).await;
        assert_eq!(answer.stderr, "");
        println!("kubectl kustomize k8s | kubectl apply --dry-run=server -f -\n{}", answer.expect_ok());

        cluster.apply(include_str!("../monitoring/definitions.yaml")).await;
        cluster.kubectl(&["apply", "--server-side", "-k", folder]).await.expect_ok();
        let pods: Api<Pod> = Api::namespaced(cluster.client().await, "chat-system");
        until_list(&pods, "", "both replicas of the operator are ready", |pods| {
            pods.len() == 2 && pods.iter().all(crate::harness::operator::is_ready)
        })
        .await;

        let restricted = [("pod-security.kubernetes.io/enforce", "restricted")];
        let namespace = cluster.namespace_with("install", &restricted).await;
        let began = Instant::now();
        let sample = k8s("samples/minimal.yaml");
        let sample = sample.to_str().expect("a path");
        cluster.kubectl(&["apply", "-n", &namespace, "-f", sample]).await.expect_ok();
        until_condition(&cluster, &namespace, "chat", "Available", ("True", "NodesReady")).await;
        println!("kubectl apply -f k8s/samples/minimal.yaml: available after {:.1?}", began.elapsed());
        let servers = nodes(&cluster, &namespace, "chat", 2).await;
        let ann = Client::guest(&servers[0], "Ann").await;
        let bob = Client::guest(&servers[1], "Bob").await;
        ann.say("lobby", "hello from the other pod").await;
        bob.hear_text("lobby", "hello from the other pod").await;
        println!("two people on two pods chat after {:.1?}", began.elapsed());
        until_condition(&cluster, &namespace, "chat", "Progressing", ("False", "RolloutComplete")).await;
        println!("{}", cluster.kubectl(&["get", "chatclusters", "-A"]).await.expect_ok());
        println!("{}", cluster.kubectl(&["describe", "chatcluster", "chat", "-n", &namespace]).await.expect_ok());

        every_right_is_used(&cluster, &namespace).await;
        println!("{}", compare_rights(&cluster, &cluster.audit(&mark)).await);
    });
}

/// What the rest of the operator's rights are for.
async fn every_right_is_used(cluster: &Cluster, namespace: &str) {
    // An Ingress and an autoscaler that come and go, with a certificate that is not there; a StorageClass that is asked
    // for by name.
    let ingress = "{redis: {managed: {}}, exposure: {ingress: {hosts: [chat.example.com], tls: {secretName: none}}}, \
        autoscaling: {minReplicas: 2, maxReplicas: 3, targetCPUUtilizationPercentage: 1000}}";
    cluster.apply(&chat_cluster(namespace, "chat", ingress)).await;
    until_condition(cluster, namespace, "chat", "ExposureReady", ("False", "SecretNotFound")).await;
    let without = "{redis: {managed: {}}, networkPolicy: {mode: Disabled}}";
    cluster.apply(&chat_cluster(namespace, "chat", without)).await;
    until_condition(cluster, namespace, "chat", "ExposureReady", ("True", "ServiceReady")).await;
    // The same trouble for the second time is one Event that goes on.
    cluster.apply(&chat_cluster(namespace, "chat", ingress)).await;
    until_condition(cluster, namespace, "chat", "ExposureReady", ("False", "SecretNotFound")).await;
    watched_and_not(cluster, namespace).await;
    let class = "{redis: {managed: {persistence: {storageClassName: standard}}}}";
    cluster.apply(&chat_cluster(namespace, "class", class)).await;
    until_condition(cluster, namespace, "class", "Available", ("True", "NodesReady")).await;
    // The replica that works is deleted in order: the other one takes its Lease.
    let leases: Api<Lease> = Api::namespaced(cluster.client().await, "chat-system");
    let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
    let first = holder(&leases.get("chat-operator").await.expect("a Lease")).expect("a holder");
    let pods: Api<Pod> = Api::namespaced(cluster.client().await, "chat-system");
    pods.delete(&first, &DeleteParams::default()).await.expect("to delete the one that works");
    until_object(&leases, "chat-operator", "another one works", |lease| {
        lease.and_then(holder).is_some_and(|holder| holder != first)
    })
    .await;
    cluster.apply(&chat_cluster(namespace, "chat", "{redis: {managed: {}}, limits: {burst: 31}}")).await;
    until_condition(cluster, namespace, "chat", "Progressing", ("True", "RollingOut")).await;
    // It is through, and nothing is left of what was before.
    until_condition(cluster, namespace, "chat", "Progressing", ("False", "RolloutComplete")).await;
    replica_set(cluster, namespace, "chat").await;
}

/// What Prometheus and Grafana get to know, until nobody asks for it any more.
async fn watched_and_not(cluster: &Cluster, namespace: &str) {
    const KINDS: &str = "podmonitors,prometheusrules,configmaps";
    until_condition(cluster, namespace, "chat", "Monitored", ("True", "MonitorsApplied")).await;
    let there = cluster.kubectl(&["get", KINDS, "-n", namespace, "-o", "name"]).await.expect_ok();
    let wanted = [
        "podmonitor.monitoring.coreos.com/chat",
        "prometheusrule.monitoring.coreos.com/chat",
        "configmap/chat-dashboards",
    ];
    for wanted in wanted {
        assert!(there.lines().any(|line| line == wanted), "no {wanted}: {there}");
    }
    let none =
        "{redis: {managed: {}}, monitoring: {podMonitor: Disabled, prometheusRule: Disabled, dashboards: Disabled}}";
    cluster.apply(&chat_cluster(namespace, "chat", none)).await;
    until_condition(cluster, namespace, "chat", "Monitored", ("False", "MonitoringDisabled")).await;
    let there = cluster.kubectl(&["get", KINDS, "-n", namespace, "-o", "name"]).await.expect_ok();
    for wanted in wanted {
        assert!(!there.lines().any(|line| line == wanted), "{wanted} is left: {there}");
    }
}

/// A verb on a resource of a group.
type Right = (String, String, String);

/// Fails unless what was granted is what was used.
async fn compare_rights(cluster: &Cluster, audit: &[crate::harness::control_plane::AuditEntry]) -> String {
    let client = cluster.client().await;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let lease: Api<Role> = Api::namespaced(client, "chat-system");
    let mut rules: Vec<PolicyRule> = Vec::new();
    for name in ["chat-operator", "chat-operator-cluster"] {
        rules.extend(roles.get(name).await.expect("a role").rules.into_iter().flatten());
    }
    rules.extend(lease.get("chat-operator").await.expect("a role").rules.into_iter().flatten());
    let mut granted = BTreeSet::<Right>::new();
    for rule in &rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                granted.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    let mut used = BTreeSet::<Right>::new();
    for entry in audit.iter().filter(|entry| entry.user == USER) {
        assert_ne!(entry.code, 403, "it was refused: {entry:?}");
        used.insert((entry.group.clone(), entry.resource.clone(), entry.verb.clone()));
        // An apply that makes an object needs both.
        if entry.verb == "patch" && entry.code == 201 {
            used.insert((entry.group.clone(), entry.resource.clone(), "create".to_owned()));
        }
    }
    let unused: Vec<_> = granted.difference(&used).collect();
    let missing: Vec<_> = used.difference(&granted).collect();
    assert!(
        unused.is_empty() && missing.is_empty(),
        "granted and not used: {unused:?}; used and not granted: {missing:?}"
    );
    format!("{} verbs granted, each used, no other asked for", granted.len())
}
