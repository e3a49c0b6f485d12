//! Nodes that others send away, and a node that can't hand its clients over.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::harness::control_plane::{Answer, Cluster, run, until_gone, until_list, until_object};
use crate::harness::operator::{Operator, chat_cluster, is_ready, nodes, until_condition};
use crate::harness::{Client, until};

const NODES: &str = "app.kubernetes.io/instance=chat,app.kubernetes.io/component=chat-server";

async fn names(pods: &Api<Pod>) -> BTreeSet<String> {
    let list = pods.list(&ListParams::default().labels(NODES)).await.expect("pods");
    list.items.iter().map(ResourceExt::name_any).collect()
}

/// Asks for an eviction once: kube's client asks again and again where it is refused.
async fn evict(cluster: &Cluster, namespace: &str, pod: &str) -> Answer {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
    let metadata = json!({"name": pod, "namespace": namespace});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}).to_string();
    cluster.kubectl_with(&cluster.kubeconfig()).input(&["create", "--raw", &path, "-f", "-"], &eviction).await
}

async fn until_budget(cluster: &Cluster, namespace: &str, what: &str, fits: fn(&PodDisruptionBudget) -> bool) {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(cluster.client().await, namespace);
    until_object(&budgets, "chat", what, |budget| {
        budget.is_some_and(|budget| {
            let seen = budget.status.as_ref().and_then(|status| status.observed_generation);
            seen == budget.metadata.generation && fits(budget)
        })
    })
    .await;
}

fn is_closed(budget: &PodDisruptionBudget) -> bool {
    budget.spec.as_ref().and_then(|spec| spec.max_unavailable.clone()) == Some(IntOrString::Int(0))
}

fn is_open(budget: &PodDisruptionBudget) -> bool {
    budget.status.as_ref().is_some_and(|status| status.disruptions_allowed == 1)
}

#[test]
fn the_next_eviction_waits_until_the_evicted_node_has_handed_its_clients_over() {
    run(async |cluster| {
        let namespace = cluster.namespace("evict").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        let spec = "{redis: {managed: {}}, drain: {timeoutSeconds: 60, connectionsPerSecond: 1}}";
        cluster.apply(&chat_cluster(&namespace, "chat", spec)).await;
        let mut clients = Vec::new();
        for node in nodes(&cluster, &namespace, "chat", 2).await {
            for _ in 0..30 {
                clients.push(Client::guest(&node, "Ann").await);
            }
        }
        let pods: Api<Pod> = Api::namespaced(cluster.client().await, &namespace);
        let before = names(&pods).await;
        let (first, second) = (before.first().expect("a pod"), before.last().expect("a pod"));
        until_budget(&cluster, &namespace, "allows one eviction", is_open).await;
        evict(&cluster, &namespace, first).await.expect_ok();
        until_budget(&cluster, &namespace, "allows none", is_closed).await;
        // Kubernetes alone would allow the next as soon as there is another pod for the first.
        until_list(&pods, NODES, "there is another node", |pods| {
            pods.len() == 3 && pods.iter().filter(|pod| is_ready(pod)).count() == 2
        })
        .await;
        let refusal = evict(&cluster, &namespace, second).await.expect_refusal();
        assert!(refusal.contains("disruption budget"), "{refusal}");
        assert!(names(&pods).await.contains(first));
        until_gone(&pods, first).await;
        until("the next may go", || async { (evict(&cluster, &namespace, second).await.code == 0).then_some(()) })
            .await;
    });
}

#[test]
fn a_node_that_cannot_drain_is_removed_at_its_deadline_and_reported() {
    run(async |cluster| {
        let namespace = cluster.namespace("stuck").await;
        let _operator = Operator::start(&cluster, &namespace).await;
        let spec =
            |replicas: u32| format!("{{redis: {{managed: {{}}}}, replicas: {replicas}, drain: {{timeoutSeconds: 1}}}}");
        cluster.apply(&chat_cluster(&namespace, "chat", &spec(2))).await;
        nodes(&cluster, &namespace, "chat", 2).await;
        let pods: Api<Pod> = Api::namespaced(cluster.client().await, &namespace);
        let frozen = names(&pods).await.pop_first().expect("a pod");
        cluster.kubelet().kill_container(&namespace, &frozen, "STOP");
        until_object(&pods, &frozen, "is not ready", |pod| pod.is_some_and(|pod| !is_ready(pod))).await;
        cluster.apply(&chat_cluster(&namespace, "chat", &spec(1))).await;
        until_condition(&cluster, &namespace, "chat", "DrainStalled", ("True", "DrainTimedOut")).await;
        let events: Api<Event> = Api::namespaced(cluster.client().await, &namespace);
        let told = until_list(&events, "", "it is told", |events| {
            events.iter().any(|event| event.reason.as_deref() == Some("DrainTimedOut"))
        })
        .await;
        let note = told.iter().find(|event| event.reason.as_deref() == Some("DrainTimedOut")).expect("it").note.clone();
        println!("{note:?}");
        assert!(note.is_some_and(|note| note.contains(&frozen)));
        until_gone(&pods, &frozen).await;
        until_condition(&cluster, &namespace, "chat", "DrainStalled", ("False", "DrainsComplete")).await;
        assert_eq!(names(&pods).await.len(), 1, "the other one stays");
    });
}
