//! What is wrong is told once, by a word from a closed list; and when it is mended, all is well without help.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::harness::control_plane::{Cluster, run, run_alone, until_list};
use crate::harness::operator::{Operator, chat_cluster, install_definition, nodes, replica_set, until_condition};
use crate::harness::until;

/// A Redis with a password, which the operator has nothing to do with.
const REDIS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: redis, labels: {app: redis}}
spec:
  containers:
  - name: redis
    image: redis:7
    command: [redis-server, --requirepass, right, --protected-mode, 'no']
    readinessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: redis}
spec: {selector: {app: redis}, ports: [{port: 6379}]}
";

const EXTERNAL: &str = "{redis: {external: {endpoints: ['redis:6379'], credentialsSecretRef: {name: theirs}}}}";

async fn apply(cluster: &Cluster, namespace: &str, manifest: &str) {
    let kubectl = cluster.kubectl_with(&cluster.kubeconfig());
    kubectl.input(&["apply", "-n", namespace, "-f", "-"], manifest).await.expect_ok();
}

fn secret(data: &str) -> String {
    format!("{{apiVersion: v1, kind: Secret, metadata: {{name: theirs}}, stringData: {data}}}")
}

/// Exactly one Event has the word, and it came once.
async fn warned_once(cluster: &Cluster, namespace: &str, name: &str, reason: &str) {
    let events: Api<Event> = Api::namespaced(cluster.client().await, namespace);
    let warnings = async || {
        let all = events.list(&ListParams::default()).await.expect("events");
        let about = |event: &Event| {
            let regarding = event.regarding.clone().unwrap_or_default();
            regarding.kind.as_deref() == Some("ChatCluster") && regarding.name.as_deref() == Some(name)
        };
        let warns =
            |event: &Event| event.type_.as_deref() == Some("Warning") && event.reason.as_deref() == Some(reason);
        all.into_iter().filter(|event| about(event) && warns(event)).collect::<Vec<_>>()
    };
    let told = until("a warning is there", async || Some(warnings().await).filter(|all| !all.is_empty())).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].series.is_none(), "{:#?}", told[0]);
    println!("{reason}: {}", told[0].note.clone().unwrap_or_default());
}

async fn available(cluster: &Cluster, namespace: &str, name: &str) {
    until_condition(cluster, namespace, name, "Available", ("True", "NodesReady")).await;
    until_condition(cluster, namespace, name, "Degraded", ("False", "AsExpected")).await;
    until_condition(cluster, namespace, name, "Progressing", ("False", "RolloutComplete")).await;
}

#[test]
fn a_missing_secret_or_key_or_a_wrong_password_is_reported_until_corrected() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let operator = Operator::start(&cluster, &namespace).await;
        apply(&cluster, &namespace, REDIS).await;
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", EXTERNAL)).await;
        until_condition(&cluster, &namespace, "chat", "ConfigValid", ("False", "SecretNotFound")).await;
        until_condition(&cluster, &namespace, "chat", "Available", ("False", "SecretNotFound")).await;
        warned_once(&cluster, &namespace, "chat", "SecretNotFound").await;

        apply(&cluster, &namespace, &secret("{pass: right}")).await;
        until_condition(&cluster, &namespace, "chat", "ConfigValid", ("False", "SecretKeyNotFound")).await;
        warned_once(&cluster, &namespace, "chat", "SecretKeyNotFound").await;

        apply(&cluster, &namespace, &secret("{password: wrong}")).await;
        until_condition(&cluster, &namespace, "chat", "RedisReady", ("False", "RedisAuthenticationFailed")).await;
        until_condition(&cluster, &namespace, "chat", "Available", ("False", "RedisAuthenticationFailed")).await;
        warned_once(&cluster, &namespace, "chat", "RedisAuthenticationFailed").await;

        apply(&cluster, &namespace, &secret("{password: right}")).await;
        available(&cluster, &namespace, "chat").await;
        nodes(&cluster, &namespace, "chat", 2).await;

        // A Redis that dies later makes no pod unready: the nodes are asked.
        cluster.kubectl(&["delete", "pod", "redis", "-n", &namespace]).await.expect_ok();
        until_condition(&cluster, &namespace, "chat", "RedisReady", ("False", "RedisUnreachable")).await;
        warned_once(&cluster, &namespace, "chat", "RedisUnreachable").await;
        apply(&cluster, &namespace, REDIS).await;
        until_condition(&cluster, &namespace, "chat", "RedisReady", ("True", "RedisAnswers")).await;
        assert!(!operator.log().contains("wrong") && !operator.log().contains("right"), "no password is logged");
    });
}

#[test]
fn a_redis_without_the_requested_durability_is_reported_and_a_managed_one_has_it() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        apply(&cluster, &namespace, REDIS).await;
        apply(&cluster, &namespace, &secret("{password: right}")).await;
        let on_disk = EXTERNAL.replacen('{', "{delivery: {durability: Aof}, replicas: 1, ", 1);
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", &on_disk)).await;
        let managed = "{redis: {managed: {}}, replicas: 1, delivery: {durability: Aof}}";
        apply(&cluster, &namespace, &chat_cluster(&namespace, "other", managed)).await;
        until_condition(&cluster, &namespace, "chat", "RedisReady", ("False", "RedisNotDurable")).await;
        warned_once(&cluster, &namespace, "chat", "RedisNotDurable").await;
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", EXTERNAL)).await;
        until_condition(&cluster, &namespace, "chat", "RedisReady", ("True", "RedisAnswers")).await;
        available(&cluster, &namespace, "chat").await;
        available(&cluster, &namespace, "other").await;
    });
}

#[test]
fn a_changed_password_replaces_the_nodes_and_nothing_else_does() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        apply(&cluster, &namespace, REDIS).await;
        apply(&cluster, &namespace, &secret("{password: right, other: a}")).await;
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", EXTERNAL)).await;
        available(&cluster, &namespace, "chat").await;
        let before = replica_set(&cluster, &namespace, "chat").await;
        // A key that the spec does not name is nobody's business.
        apply(&cluster, &namespace, &secret("{password: right, other: b}")).await;
        apply(&cluster, &namespace, &secret("{password: right, other: b, username: default}")).await;
        let sets: Api<ReplicaSet> = Api::namespaced(cluster.client().await, &namespace);
        let with_user = EXTERNAL.replace("theirs", "theirs, usernameKey: username");
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", &with_user)).await;
        until_list(&sets, "app.kubernetes.io/instance=chat", "other nodes are asked for", |sets| {
            sets.iter().any(|set| set.name_any() != before)
        })
        .await;
        let all = sets.list(&ListParams::default()).await.expect("ReplicaSets");
        assert!(all.items.len() <= 2, "one for what was asked for last, and one before: {:?}", all.items);
        available(&cluster, &namespace, "chat").await;
    });
}

#[test]
fn a_missing_image_leaves_the_old_nodes_running() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        let spec =
            |tag: &str| format!("{{redis: {{managed: {{}}}}, image: {{tag: {tag}}}, drain: {{timeoutSeconds: 5}}}}");
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", &spec("0.1.0"))).await;
        available(&cluster, &namespace, "chat").await;
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", &spec("missing-1"))).await;
        until_condition(&cluster, &namespace, "chat", "Degraded", ("True", "ImagePullFailed")).await;
        until_condition(&cluster, &namespace, "chat", "Available", ("True", "NodesReady")).await;
        warned_once(&cluster, &namespace, "chat", "ImagePullFailed").await;
        let shown = cluster.kubectl(&["get", "chatcluster", "chat", "-n", &namespace]).await.expect_ok();
        assert!(shown.contains("0.1.0") && !shown.contains("missing-1"), "the version that runs is shown:\n{shown}");
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", &spec("0.1.1"))).await;
        available(&cluster, &namespace, "chat").await;
    });
}

#[test]
fn an_exhausted_quota_is_reported_until_raised() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        let quota = |pods: u32| {
            format!(
                "{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: few}}, spec: {{hard: {{pods: '{pods}'}}}}}}"
            )
        };
        apply(&cluster, &namespace, &quota(0)).await;
        until("the quota is in force", || async {
            let shown =
                cluster.kubectl(&["get", "quota", "few", "-n", &namespace, "-o", "jsonpath={.status.hard.pods}"]).await;
            (shown.stdout == "0").then_some(())
        })
        .await;
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", "{replicas: 1}")).await;
        until_condition(&cluster, &namespace, "chat", "Degraded", ("True", "QuotaExceeded")).await;
        until_condition(&cluster, &namespace, "chat", "Available", ("False", "QuotaExceeded")).await;
        warned_once(&cluster, &namespace, "chat", "QuotaExceeded").await;
        apply(&cluster, &namespace, &quota(5)).await;
        available(&cluster, &namespace, "chat").await;
    });
}

#[test]
fn a_missing_storage_class_is_reported_until_created() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        let class = format!("late-{}", &*namespace);
        let spec = format!("{{redis: {{managed: {{persistence: {{storageClassName: {class}}}}}}}}}");
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", &spec)).await;
        until_condition(&cluster, &namespace, "chat", "RedisReady", ("False", "StorageClassNotFound")).await;
        until_condition(&cluster, &namespace, "chat", "Available", ("False", "StorageClassNotFound")).await;
        warned_once(&cluster, &namespace, "chat", "StorageClassNotFound").await;
        let standard =
            cluster.kubectl(&["get", "storageclass", "standard", "-o", "jsonpath={.provisioner}"]).await.expect_ok();
        let late = format!(
            "{{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {{name: {class}}}, provisioner: {standard}}}"
        );
        cluster.apply(&late).await;
        available(&cluster, &namespace, "chat").await;
        cluster.kubectl(&["delete", "storageclass", &class]).await.expect_ok();
    });
}

#[test]
fn reserved_variables_and_dangling_references_are_reported() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        let reserved = "{replicas: 1, pod: {extraEnv: [{name: CHAT_LISTEN, value: '0.0.0.0:1'}]}}";
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", reserved)).await;
        until_condition(&cluster, &namespace, "chat", "ConfigValid", ("False", "ReservedVariable")).await;
        warned_once(&cluster, &namespace, "chat", "ReservedVariable").await;
        let nothing = "{replicas: 1, pod: {extraEnv: [{name: X, valueFrom: {configMapKeyRef: {name: late, key: x}}}]}}";
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", nothing)).await;
        until_condition(&cluster, &namespace, "chat", "Degraded", ("True", "ContainerConfigError")).await;
        warned_once(&cluster, &namespace, "chat", "ContainerConfigError").await;
        apply(&cluster, &namespace, "{apiVersion: v1, kind: ConfigMap, metadata: {name: late}, data: {x: '1'}}").await;
        available(&cluster, &namespace, "chat").await;
    });
}

#[test]
fn a_crashing_server_is_reported_with_its_last_log_lines() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        let wrong = "{replicas: 1, pod: {extraEnv: [{name: CHAT_ALLOWED_HOSTS, value: non/sense}]}}";
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", wrong)).await;
        until_condition(&cluster, &namespace, "chat", "Degraded", ("True", "ContainerCrashing")).await;
        warned_once(&cluster, &namespace, "chat", "ContainerCrashing").await;
        let message = cluster
            .kubectl(&[
                "get",
                "chatcluster",
                "chat",
                "-n",
                &namespace,
                "-o",
                "jsonpath={.status.conditions[0].message}",
            ])
            .await
            .expect_ok();
        assert!(message.contains("non/sense"), "{message}");
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", "{replicas: 1}")).await;
        available(&cluster, &namespace, "chat").await;
    });
}

#[test]
fn a_paused_chat_is_not_changed() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", "{replicas: 1}")).await;
        available(&cluster, &namespace, "chat").await;
        apply(
            &cluster,
            &namespace,
            &chat_cluster(&namespace, "chat", "{replicas: 1, paused: true, limits: {burst: 31}}"),
        )
        .await;
        until_condition(&cluster, &namespace, "chat", "Paused", ("True", "Paused")).await;
        cluster.kubectl(&["delete", "pdb", "chat", "-n", &namespace]).await.expect_ok();
        let burst = ["get", "cm", "chat", "-n", &namespace, "-o", "jsonpath={.data.CHAT_MESSAGE_BURST}"];
        assert_eq!(cluster.kubectl(&burst).await.expect_ok(), "30");
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", "{replicas: 1, limits: {burst: 31}}")).await;
        until_condition(&cluster, &namespace, "chat", "Paused", ("False", "NotPaused")).await;
        available(&cluster, &namespace, "chat").await;
        assert_eq!(cluster.kubectl(&burst).await.expect_ok(), "31");
        cluster.kubectl(&["get", "pdb", "chat", "-n", &namespace]).await.expect_ok();
    });
}

#[test]
fn an_operator_newer_than_the_crd_reports_it_and_changes_nothing() {
    run_alone(async |cluster| {
        let older = include_str!("../../k8s/crd.yaml").replace("maxAgeSeconds:", "formerAgeSeconds:");
        install_definition(&cluster, &older).await;
        let namespace = cluster.namespace("older").await;
        cluster.apply(&chat_cluster(&namespace, "chat", "{replicas: 1}")).await;
        let mark = cluster.audit_mark();
        let operator = Operator::replica_as_is(&cluster, &namespace, "operator-0").await;
        let words = until("it says so", || async {
            let (code, words) = operator.get("/readyz").await?;
            (code == 503 && words.contains("older than this operator")).then_some(words)
        })
        .await;
        println!("{words}");
        assert!(words.contains("maxAgeSeconds") && words.contains("kubectl apply the crd.yaml"), "{words}");
        let wrote =
            |entry: &&crate::harness::control_plane::AuditEntry| entry.user == operator.user() && entry.writes();
        assert_eq!(cluster.audit(&mark).iter().filter(wrote).count(), 0);
        install_definition(&cluster, include_str!("../../k8s/crd.yaml")).await;
        available(&cluster, &namespace, "chat").await;
        assert_eq!(operator.get("/readyz").await.map(|(code, _)| code), Some(200));
        replica_set(&cluster, &namespace, "chat").await;
    });
}

#[test]
fn a_duplicate_variable_is_rejected_at_once() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        crate::harness::operator::install(&cluster).await;
        let twice = "{replicas: 1, pod: {extraEnv: [{name: A, value: '1'}, {name: A, value: '2'}]}}";
        let kubectl = cluster.kubectl_with(&cluster.kubeconfig());
        let answer = kubectl.input(&["apply", "-f", "-"], &chat_cluster(&namespace, "chat", twice)).await;
        let said = answer.expect_refusal();
        assert!(said.contains("Duplicate value"), "{said}");
    });
}

#[test]
fn two_chats_with_conflicting_names_do_not_share_objects() {
    run(async |cluster| {
        let namespace = cluster.namespace("trouble").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat", "{redis: {managed: {}}}")).await;
        available(&cluster, &namespace, "chat").await;
        apply(&cluster, &namespace, &chat_cluster(&namespace, "chat-redis", "{replicas: 1}")).await;
        until_condition(&cluster, &namespace, "chat-redis", "Degraded", ("True", "NameConflict")).await;
        until_condition(&cluster, &namespace, "chat", "Available", ("True", "NodesReady")).await;
    });
}
