//! What the operator asks of the API server: nothing at rest, and no more than it needs otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::ListParams;
use operator::api::spec::ChatCluster;

use crate::harness::control_plane::{AuditEntry, AuditMark, Cluster, Namespace, run, run_within, until_object};
use crate::harness::operator::{Operator, faked_chat, is_settled, replica_set};
use crate::harness::{INTERVAL, is_full, until};

/// How long a rest is: long enough for every look that the operator takes by itself.
fn rest() -> Duration {
    Duration::from_secs(if is_full("REST_FULL") { 60 } else { 10 })
}

/// Pods only seem to run: so many real ones would not fit.
async fn faked(cluster: &Cluster) -> Namespace {
    cluster.namespace_with("rest", &[("tests.chatcluster.dev/pods", "faked")]).await
}

/// Waits until all are available and nothing is on its way. With hundreds that takes longer than one thing may; the
/// whole test is bounded.
async fn all_available(cluster: &Cluster, namespace: &str, count: usize) {
    let chats: Api<ChatCluster> = Api::namespaced(cluster.client().await, namespace);
    loop {
        let all = chats.list(&ListParams::default()).await.expect("ChatClusters");
        if all.items.len() == count && all.iter().all(is_settled) {
            return;
        }
        tokio::time::sleep(INTERVAL * 8).await;
    }
}

/// What an operator wrote since then, but its Lease.
fn writes(cluster: &Cluster, operator: &Operator, mark: &AuditMark) -> Vec<AuditEntry> {
    let all = cluster.audit(mark).into_iter();
    all.filter(|entry| entry.user == operator.user() && entry.writes() && entry.resource != "leases").collect()
}

#[test]
fn no_writes_at_rest_and_only_the_needed_ones_for_a_change() {
    run(async |cluster| {
        let namespace = faked(&cluster).await;
        let mut operator = Operator::start(&cluster, &namespace).await;
        for number in 0..20 {
            let ingress = "{redis: {managed: {}}, exposure: {ingress: {hosts: [chat.example.com]}}, \
                pod: {resources: {requests: {cpu: 1000m, memory: 1024Mi}}, extraEnv: [{name: EMPTY, value: ''}]}}";
            cluster.apply(&faked_chat(&namespace, &format!("chat-{number}"), ingress)).await;
        }
        all_available(&cluster, &namespace, 20).await;

        let mark = cluster.audit_mark();
        tokio::time::sleep(rest()).await;
        let written = writes(&cluster, &operator, &mark);
        let leases = cluster
            .audit(&mark)
            .iter()
            .filter(|e| e.user == operator.user() && e.resource == "leases" && e.writes())
            .count();
        println!("at rest for {:?}: {} writes, {leases} of its Lease", rest(), written.len());
        assert!(leases > 0, "the log is read");
        assert!(written.is_empty(), "{written:#?}");

        // Nor does a new start find anything to write.
        let mark = cluster.audit_mark();
        assert_eq!(operator.stop().await, Some(0));
        operator.restart();
        operator.works().await;
        until("it has looked at all", || async {
            (operator.metric("chat_operator_reconcile_duration_seconds_count").await? >= 20.0).then_some(())
        })
        .await;
        assert!(writes(&cluster, &operator, &mark).is_empty(), "{:#?}", writes(&cluster, &operator, &mark));

        for (what, patch, expected) in [
            ("a node more", r#"{"spec": {"replicas": 3}}"#, vec!["patch poddisruptionbudgets", "patch replicasets"]),
            (
                "another limit",
                r#"{"spec": {"limits": {"burst": 31}}}"#,
                vec![
                    "delete replicasets",
                    "patch configmaps",
                    "patch pods",
                    "patch poddisruptionbudgets",
                    "patch replicasets",
                ],
            ),
            (
                "more pods may go",
                r#"{"spec": {"disruption": {"maxUnavailable": 2}}}"#,
                vec!["patch poddisruptionbudgets"],
            ),
            (
                "another cookie",
                r#"{"spec": {"exposure": {"ingress": {"sticky": {"cookieName": "other"}}}}}"#,
                vec!["patch ingresses"],
            ),
        ] {
            let mark = cluster.audit_mark();
            let before = replica_set(&cluster, &namespace, "chat-7").await;
            cluster
                .kubectl(&["patch", "chatcluster", "chat-7", "-n", &namespace, "--type=merge", "-p", patch])
                .await
                .expect_ok();
            let chats: Api<ChatCluster> = Api::namespaced(cluster.client().await, &namespace);
            until_object(&chats, "chat-7", "is through with it", |chat| {
                chat.is_some_and(|chat| {
                    let status = chat.status.as_ref();
                    status.and_then(|status| status.observed_generation) == chat.metadata.generation
                })
            })
            .await;
            all_available(&cluster, &namespace, 20).await;
            let written: Vec<String> = writes(&cluster, &operator, &mark)
                .iter()
                .map(|entry| format!("{} {}", entry.verb, entry.resource))
                .collect();
            println!("{what}: {}", written.join(", "));
            let objects: BTreeSet<&str> = written.iter().map(String::as_str).filter(|w| !w.contains('/')).collect();
            assert_eq!(objects, expected.into_iter().collect(), "{what}");
            let rolled = before != replica_set(&cluster, &namespace, "chat-7").await;
            assert_eq!(rolled, what == "another limit", "{what}: only this one is for the pods to read");
        }
    });
}

#[test]
fn many_chats_at_once_are_ready_soon_with_bounded_api_calls() {
    let count = if is_full("REST_FULL") { 200 } else { 20 };
    run_within(Duration::from_secs(600), async |cluster| {
        let namespace = faked(&cluster).await;
        let operator = Operator::start(&cluster, &namespace).await;
        let mark = cluster.audit_mark();
        let began = Instant::now();
        let names = (0..count).map(|number| format!("chat-{number}"));
        let all: Vec<String> = names.map(|name| faked_chat(&namespace, &name, "{redis: {managed: {}}}")).collect();
        cluster.apply(&all.join("\n---\n")).await;
        println!("{count} are applied after {:.1?}", began.elapsed());
        // The last object that is made of a chat without an Ingress; the whole test is bounded.
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(cluster.client().await, &namespace);
        while budgets.list(&ListParams::default()).await.expect("budgets").items.len() < count {
            tokio::time::sleep(INTERVAL * 8).await;
        }
        println!("all objects stand after {:.1?}", began.elapsed());
        all_available(&cluster, &namespace, count).await;
        println!("all are available after {:.1?}", began.elapsed());
        let mut calls: BTreeMap<String, usize> = BTreeMap::new();
        for entry in cluster.audit(&mark).iter().filter(|e| e.user == operator.user() && e.resource != "leases") {
            *calls.entry(format!("{} {}", entry.verb, entry.resource)).or_default() += 1;
        }
        let total: usize = calls.values().sum();
        println!("{:.1} API calls a chat: {calls:?}", total as f64 / count as f64);
        println!("the operator's peak memory: {}", peak_memory(operator.pid()));
        // Thirteen objects, each looked for and applied once; then its status as it goes on, and an Event.
        let applied = |resource: &str| calls.get(&format!("patch {resource}")).copied().unwrap_or_default();
        assert_eq!(applied("replicasets"), count, "each is written once");
        assert_eq!(applied("secrets"), 3 * count);
        assert!(total < 45 * count, "{calls:?}");
    });
}

fn peak_memory(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.trim_start_matches("VmHWM:").trim().to_owned()
}
