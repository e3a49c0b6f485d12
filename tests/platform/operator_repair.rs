//! Whatever happens to the operator, the API server or an object: in the end everything is as it was asked for.

use std::time::Instant;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::DynamicObject;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt};

use crate::harness::control_plane::{Cluster, Namespace, run, run_alone, until_gone, until_object};
use crate::harness::operator::{Operator, faked_chat, replica_set};
use crate::harness::{INTERVAL, until};

/// A chat with everything that a chat can consist of.
const WHOLE: &str = "{redis: {managed: {}}, exposure: {ingress: {hosts: [chat.example.com]}}}";

/// Stands for the name of the nodes' ReplicaSet, which is made of what they are.
const NODES: &str = "";

/// Each object of such a chat, and an edit that somebody makes by hand.
const OBJECTS: &[(&str, &str, &str)] = &[
    ("serviceaccount", "chat", r#"{"automountServiceAccountToken": true}"#),
    ("secret", "chat-session", r#"{"metadata": {"labels": {"app.kubernetes.io/instance": "other"}}}"#),
    ("secret", "chat-admin", r#"{"metadata": {"ownerReferences": null}}"#),
    ("secret", "chat-redis", r#"{"data": {"auth.conf": "cmVxdWlyZXBhc3Mgb3RoZXIK"}}"#),
    ("configmap", "chat", r#"{"data": {"CHAT_MAX_MESSAGE_BYTES": "1"}}"#),
    ("configmap", "chat-redis", r#"{"data": {"redis.conf": "appendonly no"}}"#),
    ("service", "chat", r#"{"spec": {"selector": {"app.kubernetes.io/instance": "other"}}}"#),
    ("service", "chat-nodes", r#"{"spec": {"publishNotReadyAddresses": false}}"#),
    ("service", "chat-redis", r#"{"spec": {"ports": [{"name": "redis", "port": 6379, "targetPort": 1}]}}"#),
    ("replicaset", NODES, r#"{"metadata": {"labels": {"app.kubernetes.io/version": "other"}}}"#),
    ("statefulset", "chat-redis", r#"{"spec": {"replicas": 2}}"#),
    ("poddisruptionbudget", "chat", r#"{"spec": {"minAvailable": 0}}"#),
    ("networkpolicy", "chat", r#"{"spec": {"ingress": [{}]}}"#),
    ("networkpolicy", "chat-redis", r#"{"spec": {"ingress": null}}"#),
    ("ingress", "chat", r#"{"metadata": {"annotations": {"nginx.ingress.kubernetes.io/affinity": null}}}"#),
];

async fn api(cluster: &Cluster, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version, kind) = match kind {
        "serviceaccount" => ("", "v1", "ServiceAccount"),
        "secret" => ("", "v1", "Secret"),
        "configmap" => ("", "v1", "ConfigMap"),
        "service" => ("", "v1", "Service"),
        "replicaset" => ("apps", "v1", "ReplicaSet"),
        "statefulset" => ("apps", "v1", "StatefulSet"),
        "poddisruptionbudget" => ("policy", "v1", "PodDisruptionBudget"),
        "networkpolicy" => ("networking.k8s.io", "v1", "NetworkPolicy"),
        "ingress" => ("networking.k8s.io", "v1", "Ingress"),
        other => panic!("unknown: {other}"),
    };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(cluster.client().await, namespace, &resource)
}

/// What an object asks for: everything but what the API server and its controllers write.
fn essence(object: &DynamicObject) -> serde_json::Value {
    let mut value = serde_json::to_value(object).expect("JSON");
    for (part, name) in [
        ("metadata", "resourceVersion"),
        ("metadata", "uid"),
        ("metadata", "creationTimestamp"),
        ("metadata", "generation"),
        ("metadata", "managedFields"),
        ("spec", "clusterIP"),
        ("spec", "clusterIPs"),
    ] {
        if let Some(fields) = value.get_mut(part).and_then(|part| part.as_object_mut()) {
            fields.remove(name);
        }
    }
    if let Some(fields) = value.as_object_mut() {
        // A list does not repeat the kind.
        for name in ["apiVersion", "kind", "status"] {
            fields.remove(name);
        }
    }
    value
}

/// Pods only seem to run: what they would do is of no matter here.
async fn faked(cluster: &Cluster) -> Namespace {
    cluster.namespace_with("repair", &[("tests.chatcluster.dev/pods", "faked")]).await
}

async fn whole(cluster: &Cluster, namespace: &str) {
    cluster.apply(&faked_chat(namespace, "chat", WHOLE)).await;
    for (kind, name, _) in OBJECTS {
        let name = named(cluster, namespace, name).await;
        until_object(&api(cluster, namespace, kind).await, &name, "is there", |object| object.is_some()).await;
    }
}

async fn named(cluster: &Cluster, namespace: &str, name: &str) -> String {
    if name == NODES { replica_set(cluster, namespace, "chat").await } else { name.to_owned() }
}

#[test]
fn a_deleted_object_is_created_again() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let operator = Operator::start(&cluster, &namespace).await;
        whole(&cluster, &namespace).await;
        for (kind, name, _) in OBJECTS {
            let api = api(&cluster, &namespace, kind).await;
            let name = &named(&cluster, &namespace, name).await;
            let before = api.get(name).await.expect("it is there");
            let began = Instant::now();
            api.delete(name, &Default::default()).await.expect("it can be deleted");
            let again = until_object(&api, name, "is there again", |object| {
                object.is_some_and(|object| object.uid() != before.uid())
            })
            .await
            .expect("it is there");
            println!("{kind} {name}: there again after {:.2?}", began.elapsed());
            // What is random is new: everything else is as it was.
            if *kind == "secret" || *kind == "replicaset" || *kind == "statefulset" {
                assert_eq!(again.labels(), before.labels());
            } else {
                assert_eq!(essence(&again), essence(&before));
            }
        }
        drop(operator);
    });
}

#[test]
fn a_manual_edit_is_reverted() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let operator = Operator::start(&cluster, &namespace).await;
        whole(&cluster, &namespace).await;
        for (kind, name, edit) in OBJECTS {
            let api = api(&cluster, &namespace, kind).await;
            let name = &named(&cluster, &namespace, name).await;
            let before = api.get(name).await.expect("it is there");
            let began = Instant::now();
            let edited = cluster.kubectl(&["patch", kind, name, "--type=merge", "-p", edit, "-n", &namespace]).await;
            let said = edited.expect_ok();
            assert!(!said.contains("no change"), "{said}");
            until_object(&api, name, "is as before", |object| {
                object.is_some_and(|object| {
                    object.resource_version() != before.resource_version() && essence(object) == essence(&before)
                })
            })
            .await;
            println!("{kind} {name}: {edit} put back after {:.2?}", began.elapsed());
        }
        // A thing more in a selector means something else.
        for (kind, name, edit) in [
            ("service", "chat", r#"{"spec": {"selector": {"more": "of-it"}}}"#),
            ("networkpolicy", "chat-redis", r#"{"spec": {"egress": [{}]}}"#),
        ] {
            let api = api(&cluster, &namespace, kind).await;
            let before = api.get(name).await.expect("it is there");
            cluster.kubectl(&["patch", kind, name, "--type=merge", "-p", edit, "-n", &namespace]).await.expect_ok();
            until_object(&api, name, "is as before", |object| {
                object.is_some_and(|object| {
                    object.resource_version() != before.resource_version() && essence(object) == essence(&before)
                })
            })
            .await;
        }
        drop(operator);
    });
}

#[test]
fn an_existing_secret_is_kept_without_its_label() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let mut operator = Operator::start(&cluster, &namespace).await;
        whole(&cluster, &namespace).await;
        let secrets = api(&cluster, &namespace, "secret").await;
        for name in ["chat-session", "chat-admin", "chat-redis"] {
            let before = secrets.get(name).await.expect("it is there");
            let label = ["label", "secret", name, "app.kubernetes.io/managed-by-", "-n", &namespace];
            cluster.kubectl(&label).await.expect_ok();
            let after = until_object(&secrets, name, "has its label again", |secret| {
                secret.is_some_and(|secret| secret.labels().contains_key("app.kubernetes.io/managed-by"))
            })
            .await
            .expect("it is there");
            assert_eq!(after.data["data"], before.data["data"], "{name} is what it was");
        }
        // Nor does a new start make them anew.
        let before = secrets.get("chat-session").await.expect("it is there");
        operator.kill().await;
        operator.restart();
        operator.works().await;
        until("it has looked", async || {
            (operator.metric("chat_operator_reconcile_duration_seconds_count").await? >= 1.0).then_some(())
        })
        .await;
        assert_eq!(secrets.get("chat-session").await.expect("it is there").data["data"], before.data["data"]);
    });
}

#[test]
fn objects_that_are_no_longer_desired_are_pruned() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let _operator = Operator::start(&cluster, &namespace).await;
        whole(&cluster, &namespace).await;
        let without = "{redis: {managed: {}}, networkPolicy: {mode: Disabled}}";
        cluster.apply(&faked_chat(&namespace, "chat", without)).await;
        for (kind, name) in [("ingress", "chat"), ("networkpolicy", "chat"), ("networkpolicy", "chat-redis")] {
            until_gone(&api(&cluster, &namespace, kind).await, name).await;
        }
        assert!(!replica_set(&cluster, &namespace, "chat").await.is_empty(), "the rest stays");
    });
}

/// Waits until the garbage collector has taken it. Of a kind that was just defined it learns within half a minute only:
/// that is longer than one thing may take, and the whole test is bounded.
async fn until_collected<K>(api: &Api<K>, name: &str)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    while api.get_opt(name).await.expect("an answer").is_some() {
        tokio::time::sleep(INTERVAL * 8).await;
    }
}

#[test]
fn deleting_a_chat_keeps_only_the_redis_volume() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let _operator = Operator::start(&cluster, &namespace).await;
        whole(&cluster, &namespace).await;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client().await, &namespace);
        until_object(&claims, "data-chat-redis-0", "is there", |claim| claim.is_some()).await;
        let nodes = replica_set(&cluster, &namespace, "chat").await;
        cluster.kubectl(&["delete", "chatcluster", "chat", "-n", &namespace]).await.expect_ok();
        for (kind, name, _) in OBJECTS {
            let name = if *name == NODES { &nodes } else { *name };
            until_collected(&api(&cluster, &namespace, kind).await, name).await;
        }
        let claim = claims.get("data-chat-redis-0").await.expect("what was said is still there");
        assert_eq!(claim.metadata.deletion_timestamp, None);
    });
}

#[test]
fn the_volume_is_deleted_if_the_spec_says_so() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let _operator = Operator::start(&cluster, &namespace).await;
        let spec = "{redis: {managed: {persistence: {retainOnDelete: false}}}}";
        cluster.apply(&faked_chat(&namespace, "chat", spec)).await;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client().await, &namespace);
        // The StatefulSet's controller makes it the owner of the claim.
        until_object(&claims, "data-chat-redis-0", "is there", |claim| {
            claim.is_some_and(|claim| !claim.owner_references().is_empty())
        })
        .await;
        cluster.kubectl(&["delete", "chatcluster", "chat", "-n", &namespace]).await.expect_ok();
        until_collected(&claims, "data-chat-redis-0").await;
    });
}

#[test]
fn an_object_of_another_owner_is_kept_and_reported() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let theirs = "{apiVersion: v1, kind: ConfigMap, metadata: {name: chat}, data: {mine: yours}}";
        cluster
            .kubectl_with(&cluster.kubeconfig())
            .input(&["apply", "-n", &namespace, "-f", "-"], theirs)
            .await
            .expect_ok();
        let _operator = Operator::start(&cluster, &namespace).await;
        cluster.apply(&faked_chat(&namespace, "chat", "{replicas: 1}")).await;
        crate::harness::operator::until_condition(&cluster, &namespace, "chat", "Degraded", ("True", "NameConflict"))
            .await;
        let map = api(&cluster, &namespace, "configmap").await.get("chat").await.expect("it is there");
        assert!(map.labels().is_empty() && map.owner_references().is_empty());
        // It goes on by itself once the way is free.
        cluster.kubectl(&["delete", "configmap", "chat", "-n", &namespace]).await.expect_ok();
        replica_set(&cluster, &namespace, "chat").await;
    });
}

#[test]
fn another_replica_takes_over_when_the_leader_is_killed() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let mut first = Operator::start(&cluster, &namespace).await;
        let second = Operator::replica(&cluster, &namespace, "operator-1").await;
        whole(&cluster, &namespace).await;
        assert_eq!(second.metric("chat_operator_leader").await, Some(0.0));
        assert_eq!(second.get("/readyz").await.map(|(code, _)| code), Some(200), "it is ready to take over");
        // In the middle of a rollout.
        let changed = "{redis: {managed: {}}, limits: {burst: 31}, exposure: {ingress: {hosts: [chat.example.com]}}}";
        cluster.apply(&faked_chat(&namespace, "chat", changed)).await;
        let began = Instant::now();
        first.kill().await;
        second.works().await;
        println!("another works after {:.1?}", began.elapsed());
        let maps = api(&cluster, &namespace, "configmap").await;
        until_object(&maps, "chat", "has the change", |map| {
            map.is_some_and(|map| map.data.pointer("/data/CHAT_MESSAGE_BURST").is_some_and(|burst| burst == "31"))
        })
        .await;
        println!("the change is carried out after {:.1?}", began.elapsed());
        // One that ends in order leaves at once.
        first.restart();
        let mut second = second;
        let began = Instant::now();
        assert_eq!(second.stop().await, Some(0), "{}", second.log());
        first.works().await;
        println!("after an orderly end another works after {:.1?}", began.elapsed());
    });
}

#[test]
fn a_restart_of_the_api_server_changes_nothing() {
    run_alone(async |cluster| {
        let namespace = faked(&cluster).await;
        let mut operator = Operator::start(&cluster, &namespace).await;
        whole(&cluster, &namespace).await;
        let name = replica_set(&cluster, &namespace, "chat").await;
        let sets: Api<ReplicaSet> = Api::namespaced(cluster.client().await, &namespace);
        let before = sets.get(&name).await.expect("it is there");
        cluster.stop_api_server().await;
        cluster.start_api_server().await;
        // It may have lost its Lease meanwhile and ended: a kubelet would start it again.
        if operator.get("/livez").await.is_none() {
            operator.restart();
        }
        let began = Instant::now();
        cluster.kubectl(&["scale", "replicaset", &name, "-n", &namespace, "--replicas=7"]).await.expect_ok();
        until_object(&sets, &name, "is put back", |object| {
            object.and_then(|object| object.spec.as_ref()).is_some_and(|spec| spec.replicas == Some(2))
        })
        .await;
        println!("an edit is put back {:.1?} after the API server was there again", began.elapsed());
        let after = sets.get(&name).await.expect("it is there");
        assert_eq!(after.spec, before.spec);
    });
}
