//! What `metrics.k8s.io` says of Pods, and what the real controller of HorizontalPodAutoscalers makes of it. Written by
//! hand, no operator takes part.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::harness::control_plane::{Cluster, run, until_list, until_object};
use crate::harness::operator::is_ready;
use crate::harness::until;

/// Works while its file says so, with a breath in between, for others use this machine too.
const BURNER: &str = r#"
exec 3<> <(:)
while :; do
    read -r work </switch/work
    if [ "$work" = yes ]; then for ((i = 0; i < 20000; i++)); do :; done; fi
    read -r -t 0.1 <&3
done
"#;

/// A Deployment of burners, and an autoscaler for it.
fn manifests(namespace: &str) -> String {
    let labels = json!({"app": "burner"});
    let container = json!({
        "name": "main",
        "image": "debian:12",
        "command": ["bash", "-c", BURNER],
        "resources": {"requests": {"cpu": "50m"}},
        "volumeMounts": [{"name": "switch", "mountPath": "/switch"}],
    });
    let volumes = json!([{"name": "switch", "configMap": {"name": "switch"}}]);
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "burner", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1},
            },
        },
    });
    let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}});
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "burner", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "burner"},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": cpu}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    });
    [switch(namespace, "no"), deployment.to_string(), autoscaler.to_string()].join("\n---\n")
}

fn switch(namespace: &str, work: &str) -> String {
    let metadata = json!({"name": "switch", "namespace": namespace});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"work": work}}).to_string()
}

/// What the API server answers below the namespace of `metrics.k8s.io`.
async fn metrics(cluster: &Cluster, namespace: &str, path: &str) -> Option<Value> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/{path}");
    let answer = cluster.kubectl(&["get", "--raw", &path]).await;
    (answer.code == 0).then(|| serde_json::from_str(&answer.stdout).expect("JSON"))
}

/// The thousandths of a core of the one container.
fn millicores(pod: &Value) -> f64 {
    let nanocores = pod.pointer("/containers/0/usage/cpu").and_then(Value::as_str);
    let number = nanocores.and_then(|text| text.strip_suffix('n')?.parse::<f64>().ok());
    number.unwrap_or_else(|| panic!("no use of CPU: {pod}")) / 1e6
}

#[test]
fn the_autoscaler_follows_the_cpu_that_processes_really_use() {
    run(async |cluster| {
        let namespace = cluster.namespace("metrics").await;
        cluster.apply(&manifests(&namespace)).await;
        let pods: Api<Pod> = Api::namespaced(cluster.client().await, &namespace);
        let ready = async |count: usize| {
            until_list(&pods, "app=burner", &format!("{count} are ready"), |pods| {
                pods.len() == count && pods.iter().all(is_ready)
            })
            .await
        };
        let idle = ready(1).await[0].name_any();
        let path = format!("pods/{idle}");
        let measured = until("it is measured", || metrics(&cluster, &namespace, &path)).await;
        println!("idle: {measured}");
        assert!(millicores(&measured) < 20.0, "{measured}");
        let deployments: Api<Deployment> = Api::namespaced(cluster.client().await, &namespace);
        let replicas = async |count: i32| {
            let began = std::time::Instant::now();
            until_object(&deployments, "burner", &format!("is to have {count} replicas"), |deployment| {
                let spec = deployment.and_then(|deployment| deployment.spec.as_ref());
                spec.is_some_and(|spec| spec.replicas == Some(count))
            })
            .await;
            println!("{count} replicas after {:.1?}", began.elapsed());
        };

        cluster.apply(&switch(&namespace, "yes")).await;
        replicas(3).await;
        ready(3).await;
        let list = until("all are measured", || async {
            let list = metrics(&cluster, &namespace, "pods?labelSelector=app%3Dburner").await?;
            (list["items"].as_array()?.len() == 3).then_some(list)
        })
        .await;
        println!("busy: {list}");
        let top = cluster.kubectl(&["top", "pods", "-n", &namespace, "--no-headers"]).await.expect_ok();
        println!("{top}");
        assert_eq!(top.lines().count(), 3, "{top}");
        let others = metrics(&cluster, &namespace, "pods?labelSelector=app%3Dother").await.expect("a list");
        assert_eq!(others["items"], json!([]), "{others}");

        cluster.apply(&switch(&namespace, "no")).await;
        replicas(1).await;
        ready(1).await;
        assert_eq!(pods.list(&ListParams::default()).await.expect("pods").items.len(), 1);
    });
}

#[test]
fn a_pod_is_measured_with_all_processes_below_it() {
    run(async |cluster| {
        let namespace = cluster.namespace("tree").await;
        // The grandchild works, and holds what it works with; the first process only waits.
        let work =
            "printf -v x %60000000s; while :; do for ((i = 0; i < 20000; i++)); do :; done; read -rt 0.1 <&3; done";
        let container = json!({
            "name": "main",
            "image": "debian:12",
            "command": ["bash", "-c", "exec 3<> <(:); (bash -c \"$WORK\" & wait) & wait"],
            "env": [{"name": "WORK", "value": work}],
        });
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "tree", "namespace": &*namespace, "labels": {"app": "tree"}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
        });
        assert!(metrics(&cluster, &namespace, "pods/tree").await.is_none(), "there is none yet");
        cluster.apply(&pod.to_string()).await;
        let measured = until("it works and has its memory", || async {
            let pod = metrics(&cluster, &namespace, "pods/tree").await?;
            let memory =
                pod.pointer("/containers/0/usage/memory")?.as_str()?.strip_suffix("Ki")?.parse::<u64>().ok()?;
            (millicores(&pod) > 30.0 && memory > 60_000_000 / 1024).then_some(pod)
        })
        .await;
        println!("{measured}");
        assert_eq!(measured["metadata"]["labels"]["app"], "tree");
        cluster.kubectl(&["delete", "pod", "tree", "-n", &namespace]).await.expect_ok();
        assert!(metrics(&cluster, &namespace, "pods/tree").await.is_none(), "it is gone");
    });
}
