//! What the operator's operands meet on a node: real processes, probes, files and ends. Written by hand, no operator
//! takes part.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, ContainerState, Pod};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::harness::control_plane::{Cluster, Namespace, run, until_gone, until_list, until_object};
use crate::harness::kubelet::link;
use crate::harness::{Client, Connect, Node, until};

const CHAT: &str = include_str!("operator_kubelet/chat.yaml");

fn state(pod: &Pod) -> ContainerState {
    let status = pod.status.clone().unwrap_or_default();
    status.container_statuses.unwrap_or_default().pop().and_then(|status| status.state).unwrap_or_default()
}

fn waits_for(pod: Option<&Pod>, reason: &str) -> bool {
    pod.and_then(|pod| state(pod).waiting).is_some_and(|waiting| waiting.reason.as_deref() == Some(reason))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.clone().unwrap_or_default().conditions.unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && pod.metadata.deletion_timestamp.is_none()
}

async fn pods(cluster: &Cluster, namespace: &Namespace) -> Api<Pod> {
    Api::namespaced(cluster.client().await, namespace)
}

/// Makes a Pod of one container of Debian.
async fn debian(cluster: &Cluster, namespace: &Namespace, name: &str, container: serde_json::Value) -> Api<Pod> {
    let mut container = container;
    let defaults = json!({"name": "main", "image": "debian:12"});
    for (key, value) in defaults.as_object().expect("an object") {
        container.as_object_mut().expect("an object").entry(key).or_insert_with(|| value.clone());
    }
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": &**namespace},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 10},
    });
    cluster.apply(&pod.to_string()).await;
    pods(cluster, namespace).await
}

/// A node as the harness's clients know it, at the address of a Pod.
fn node(cluster: &Cluster, namespace: &Namespace, pod: &Pod) -> Node {
    let address = cluster.kubelet().pod_address(namespace, &pod.name_any()).expect("an address");
    Node::at(0, (address, 3000).into(), Vec::new(), std::path::Path::new("/nowhere"))
}

async fn two_ready(pods: &Api<Pod>) -> Vec<Pod> {
    until_list(pods, "app=chat", "two chat servers are ready, and no other is there", |pods| {
        pods.len() == 2 && pods.iter().all(is_ready)
    })
    .await
}

#[test]
fn a_deployment_of_chat_servers_over_a_redis_is_a_chat_through_a_rollout() {
    run(async |cluster| {
        let restricted = [("pod-security.kubernetes.io/enforce", "restricted")];
        let namespace = cluster.namespace_with("chat", &restricted).await;
        cluster
            .kubectl_with(&cluster.kubeconfig())
            .input(&["apply", "-n", &namespace, "-f", "-"], CHAT)
            .await
            .expect_ok();
        let pods = pods(&cluster, &namespace).await;
        let servers = two_ready(&pods).await;
        let ann = Client::guest(&node(&cluster, &namespace, &servers[0]), "Ann").await;
        let bob = Client::guest(&node(&cluster, &namespace, &servers[1]), "Bob").await;
        ann.say("lobby", "hello from the other Pod").await;
        bob.hear_text("lobby", "hello from the other Pod").await;

        // Never fewer than two are ready, as the Deployment says.
        let deployments: Api<Deployment> = Api::namespaced(cluster.client().await, &namespace);
        let change = json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}});
        deployments.patch("chat", &PatchParams::default(), &Patch::Merge(change)).await.expect("a change");
        let old: BTreeSet<String> = servers.iter().map(ResourceExt::name_any).collect();
        until_list(&pods, "app=chat", "others are ready in their place", |now| {
            let ready = now.iter().filter(|pod| is_ready(pod)).count();
            assert!(ready >= 2 || now.iter().any(|pod| pod.metadata.deletion_timestamp.is_some()), "{ready} are ready");
            now.len() == 2 && ready == 2 && !now.iter().any(|pod| old.contains(&pod.name_any()))
        })
        .await;
        let servers = two_ready(&pods).await;
        let ann = ann.again(&node(&cluster, &namespace, &servers[0])).await;
        let history = ann.ok("history:get", json!({"room": "lobby"})).await;
        assert_eq!(history["messages"][0]["text"], "hello from the other Pod", "Redis has it: {history}");

        // The volume outlives its Pod.
        pods.delete("redis-0", &DeleteParams::default()).await.expect("to delete the Redis");
        let old = pods.get("redis-0").await.ok().and_then(|pod| pod.uid());
        until_object(&pods, "redis-0", "is there anew", |pod| pod.is_some_and(|pod| is_ready(pod) && pod.uid() != old))
            .await;
        let server = node(&cluster, &namespace, &servers[1]);
        let late =
            until("the servers are back with Redis", || Connect::guest("Late").try_to(&server).map(Result::ok)).await;
        let history = late.ok("history:get", json!({"room": "lobby"})).await;
        assert_eq!(history["messages"][0]["text"], "hello from the other Pod", "{history}");

        let processes: Vec<u32> = servers
            .iter()
            .map(ResourceExt::name_any)
            .chain(["redis-0".to_owned()])
            .flat_map(|pod| cluster.kubelet().pids(&namespace, &pod).into_values())
            .collect();
        assert_eq!(processes.len(), 3, "{processes:?}");
        cluster.kubectl(&["delete", "deployment,statefulset,service", "--all", "-n", &namespace]).await.expect_ok();
        until_list(&pods, "", "no Pod is left", <[Pod]>::is_empty).await;
        for process in processes {
            assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "process {process} is left");
        }
    });
}

#[test]
fn a_pod_leaves_no_link_of_its_network() {
    run(async |cluster| {
        let namespace = cluster.namespace("links").await;
        let pods = debian(&cluster, &namespace, "one", json!({"command": ["sleep", "infinity"]})).await;
        until_object(&pods, "one", "is ready", |pod| pod.is_some_and(is_ready)).await;
        let address = cluster.kubelet().pod_address(&namespace, "one").expect("an address");
        let link = link(address);
        assert!(cluster.network().links().contains(&link), "{link} is there");
        pods.delete("one", &DeleteParams::default().grace_period(1)).await.expect("to delete it");
        until_gone(&pods, "one").await;
        assert_eq!(cluster.kubelet().pod_address(&namespace, "one"), None, "it had {address}");
        // The kernel takes a link away after the last process of its network, in its own time.
        until("its link is gone", || async { (!cluster.network().links().contains(&link)).then_some(()) }).await;
    });
}

#[test]
fn a_container_without_its_secret_waits_for_it() {
    run(async |cluster| {
        let namespace = cluster.namespace("config").await;
        let from = json!({"secretKeyRef": {"name": "keys", "key": "token"}});
        let container = json!({
            "command": ["sh", "-c", "echo the token is $TOKEN and $(TOKEN); exec sleep infinity"],
            "env": [{"name": "TOKEN", "valueFrom": from}],
        });
        let pods = debian(&cluster, &namespace, "one", container).await;
        let is = |pod: Option<&Pod>, text: &str| {
            let waiting = pod.and_then(|pod| state(pod).waiting);
            waits_for(pod, "CreateContainerConfigError")
                && waiting.and_then(|waiting| waiting.message).as_deref() == Some(text)
        };
        until_object(&pods, "one", "there is no Secret", |pod| is(pod, "secret \"keys\" not found")).await;
        let secret = |key: &str| {
            let metadata = json!({"name": "keys", "namespace": &*namespace});
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {key: "s3cret"}})
                .to_string()
        };
        cluster.apply(&secret("other")).await;
        let message = format!("couldn't find key token in Secret {}/keys", &*namespace);
        until_object(&pods, "one", "there is no key", |pod| is(pod, &message)).await;
        cluster.apply(&secret("token")).await;
        until_object(&pods, "one", "is ready", |pod| pod.is_some_and(is_ready)).await;
        until("it has the token", || async {
            let log = cluster.kubelet().pod_log(&namespace, "one");
            log.contains("the token is s3cret and s3cret").then_some(())
        })
        .await;
    });
}

#[test]
fn an_image_that_is_not_there_is_backed_off_from() {
    run(async |cluster| {
        let namespace = cluster.namespace("images").await;
        let unknown = json!({"image": "example.com/no-such-image:1"});
        let pods = debian(&cluster, &namespace, "unknown", unknown).await;
        until_object(&pods, "unknown", "ImagePullBackOff", |pod| waits_for(pod, "ImagePullBackOff")).await;
        debian(&cluster, &namespace, "malformed", json!({"image": "Not/An/Image!"})).await;
        until_object(&pods, "malformed", "InvalidImageName", |pod| waits_for(pod, "InvalidImageName")).await;
        // Nothing of it ever ran, and it can go.
        pods.delete("unknown", &DeleteParams::default()).await.expect("to delete it");
        until_gone(&pods, "unknown").await;
    });
}

#[test]
fn a_container_that_crashes_is_started_again_and_says_why() {
    run(async |cluster| {
        let namespace = cluster.namespace("crash").await;
        let container = json!({
            "command": ["sh", "-c", "echo first line; echo no such database >&2; exit 3"],
            "terminationMessagePolicy": "FallbackToLogsOnError",
        });
        let pods = debian(&cluster, &namespace, "one", container).await;
        let pod = until_object(&pods, "one", "is backed off from", |pod| waits_for(pod, "CrashLoopBackOff")).await;
        let status = pod.and_then(|pod| pod.status?.container_statuses?.pop()).expect("a status");
        assert!(status.restart_count >= 1, "the first time it is started again at once: {status:?}");
        let last = status.last_state.and_then(|state| state.terminated).expect("how it ended");
        assert_eq!((last.exit_code, last.reason.as_deref()), (3, Some("Error")));
        assert_eq!(last.message.as_deref(), Some("first line\nno such database"));
    });
}

#[test]
fn a_container_that_is_killed_is_started_again_at_the_address_of_its_pod() {
    run(async |cluster| {
        let namespace = cluster.namespace("killed").await;
        let pods = debian(&cluster, &namespace, "one", json!({"command": ["sleep", "infinity"]})).await;
        until_object(&pods, "one", "is ready", |pod| pod.is_some_and(is_ready)).await;
        let address = cluster.kubelet().pod_address(&namespace, "one");
        cluster.kubelet().kill_container(&namespace, "one", "KILL");
        let status = |pod: &Pod| pod.status.clone()?.container_statuses?.pop();
        let restarted = until_object(&pods, "one", "was started again", |pod| {
            pod.is_some_and(|pod| is_ready(pod) && status(pod).is_some_and(|status| status.restart_count == 1))
        })
        .await;
        let status = restarted.as_ref().and_then(status).expect("a status");
        let last = status.last_state.and_then(|state| state.terminated).expect("how it ended");
        assert_eq!((last.exit_code, last.reason.as_deref()), (137, Some("Error")));
        assert_eq!(cluster.kubelet().pod_address(&namespace, "one"), address);
    });
}

#[test]
fn a_container_without_its_program_says_so() {
    run(async |cluster| {
        let namespace = cluster.namespace("program").await;
        let shell = json!({"image": "chat-server", "command": ["sh", "-c", "true"]});
        let pods = debian(&cluster, &namespace, "one", shell).await;
        let terminated = |pod: &Pod| {
            let status = pod.status.clone()?.container_statuses?.pop()?;
            status.last_state.and_then(|state| state.terminated)
        };
        let pod =
            until_object(&pods, "one", "has failed to start", |pod| pod.is_some_and(|pod| terminated(pod).is_some()))
                .await;
        let terminated = pod.as_ref().and_then(terminated).expect("how it ended");
        assert_eq!((terminated.exit_code, terminated.reason.as_deref()), (128, Some("StartError")), "{terminated:?}");
    });
}

#[test]
fn a_probe_that_fails_too_often_ends_the_container() {
    run(async |cluster| {
        let namespace = cluster.namespace("probes").await;
        let container = json!({
            "command": ["sh", "-c", "trap 'exit 0' TERM; touch /tmp/alive; while :; do sleep 0.1; done"],
            // Or the first look could come before the file.
            "startupProbe": {"exec": {"command": ["cat", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 30},
            "livenessProbe": {"exec": {"command": ["cat", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1},
            "readinessProbe": {"exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 1, "failureThreshold": 1},
        });
        let pods = debian(&cluster, &namespace, "one", container).await;
        let pid = until("it runs", || async { cluster.kubelet().pids(&namespace, "one").remove("main") }).await;
        let inside = |name: &str| std::path::PathBuf::from(format!("/proc/{pid}/root/tmp/{name}"));
        std::fs::write(inside("ready"), "").expect("to write into the container");
        until_object(&pods, "one", "is ready", |pod| pod.is_some_and(is_ready)).await;
        std::fs::remove_file(inside("ready")).expect("to remove from the container");
        until_object(&pods, "one", "is not ready", |pod| pod.is_some_and(|pod| !is_ready(pod))).await;
        std::fs::remove_file(inside("alive")).expect("to remove from the container");
        let restarts =
            |pod: &Pod| pod.status.clone().unwrap_or_default().container_statuses.unwrap_or_default()[0].restart_count;
        until_object(&pods, "one", "was started again", |pod| pod.is_some_and(|pod| restarts(pod) > 0)).await;
    });
}

#[test]
fn what_exceeds_a_quota_is_refused_by_name() {
    run(async |cluster| {
        let namespace = cluster.namespace("quota").await;
        let quota = json!({
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "few", "namespace": &*namespace},
            "spec": {"hard": {"pods": "1"}},
        });
        cluster.apply(&quota.to_string()).await;
        // The API server refuses all until it knows how much is used.
        let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> =
            Api::namespaced(cluster.client().await, &namespace);
        until_object(&quotas, "few", "is known", |quota| {
            quota.and_then(|quota| quota.status.as_ref()?.used.as_ref()).is_some_and(|used| used.contains_key("pods"))
        })
        .await;
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "two", "namespace": &*namespace},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "two"}},
                "template": {
                    "metadata": {"labels": {"app": "two"}},
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "main", "image": "debian", "command": ["sleep", "infinity"]}],
                    },
                },
            },
        });
        cluster.apply(&deployment.to_string()).await;
        let sets: Api<ReplicaSet> = Api::namespaced(cluster.client().await, &namespace);
        let sets = until_list(&sets, "app=two", "one Pod could not be made", |sets| {
            let conditions =
                sets.iter().flat_map(|set| set.status.iter().flat_map(|status| status.conditions.iter().flatten()));
            let mut conditions = conditions.into_iter();
            conditions.any(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")
        })
        .await;
        let message = sets[0].status.as_ref().and_then(|status| status.conditions.as_ref()?[0].message.clone());
        assert!(message.as_ref().is_some_and(|message| message.contains("exceeded quota: few")), "{message:?}");
        until_list(&pods(&cluster, &namespace).await, "app=two", "one Pod is ready", |pods| {
            pods.len() == 1 && is_ready(&pods[0])
        })
        .await;
    });
}

#[test]
fn a_deleted_pod_first_does_what_it_has_to_and_then_ends_by_itself() {
    run(async |cluster| {
        let namespace = cluster.namespace("ends").await;
        let container = json!({
            "command": ["sh", "-c", "trap 'echo asked to end; exit 0' TERM; echo began; while :; do sleep 0.1; done"],
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo the hook ran >> /proc/1/fd/1; sleep 1"]}}},
        });
        let pods = debian(&cluster, &namespace, "one", container).await;
        until_object(&pods, "one", "is ready", |pod| pod.is_some_and(is_ready)).await;
        until("it has set its trap", || async {
            cluster.kubelet().pod_log(&namespace, "one").contains("began").then_some(())
        })
        .await;
        pods.delete("one", &DeleteParams::default()).await.expect("to delete it");
        until_gone(&pods, "one").await;
        assert_eq!(cluster.kubelet().pod_log(&namespace, "one"), "began\nthe hook ran\nasked to end\n");

        let pause = json!({"command": ["sleep", "infinity"], "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}});
        debian(&cluster, &namespace, "deaf", pause).await;
        until_object(&pods, "deaf", "is ready", |pod| pod.is_some_and(is_ready)).await;
        // The process 1 of a container does not hear SIGTERM unless it listens, so that only SIGKILL ends it.
        pods.delete("deaf", &DeleteParams::default().grace_period(2)).await.expect("to delete it");
        until_gone(&pods, "deaf").await;
    });
}

#[test]
fn files_follow_their_config_map_and_tokens_open_the_api_server() {
    run(async |cluster| {
        let namespace = cluster.namespace("files").await;
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client().await, &namespace);
        let map = |text: &str| {
            let metadata = json!({"name": "texts", "namespace": &*namespace});
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}).to_string()
        };
        cluster.apply(&map("one")).await;
        until_object(&maps, "texts", "is there", |map| map.is_some()).await;
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "one", "namespace": &*namespace, "labels": {"colour": "blue"}},
            "spec": {
                "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000},
                "terminationGracePeriodSeconds": 0,
                "volumes": [
                    {"name": "texts", "configMap": {"name": "texts"}},
                    {"name": "work", "emptyDir": {}},
                    {"name": "about", "downwardAPI": {"items": [
                        {"path": "colour", "fieldRef": {"fieldPath": "metadata.labels['colour']"}},
                    ]}},
                ],
                "containers": [{
                    "name": "main",
                    "image": "debian",
                    "workingDir": "/work",
                    "command": ["sh", "-c", "id -u; id -g; id -G; cat /about/colour > colour; ls -ld /work; echo $(ADDRESS); touch /no; exec sleep infinity"],
                    "env": [{"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                    "securityContext": {"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false},
                    "volumeMounts": [
                        {"name": "texts", "mountPath": "/etc/texts"},
                        {"name": "work", "mountPath": "/work"},
                        {"name": "about", "mountPath": "/about"},
                    ],
                }],
            },
        });
        cluster.apply(&pod.to_string()).await;
        let pods = pods(&cluster, &namespace).await;
        until_object(&pods, "one", "is ready", |pod| pod.is_some_and(is_ready)).await;
        let log = until("it has said all", || async {
            let log = cluster.kubelet().pod_log(&namespace, "one");
            log.contains("/no").then_some(log)
        })
        .await;
        let address = cluster.kubelet().pod_address(&namespace, "one").expect("an address").to_string();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!((lines[0], lines[1], lines[2]), ("1000", "1000", "1000 2000"), "{log}");
        assert!(lines[3].starts_with("drwxrwsrwx") && lines[3].contains(" 2000 "), "{log}");
        assert_eq!(lines[4], address, "{log}");
        assert!(lines[5].contains("Read-only file system"), "{log}");

        let pid = cluster.kubelet().pids(&namespace, "one")["main"];
        let root = std::path::PathBuf::from(format!("/proc/{pid}/root"));
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
        until("it has written", || async { (read("work/colour") == "blue").then_some(()) }).await;
        assert_eq!(read("etc/texts/text"), "one");
        cluster.apply(&map("two")).await;
        until("the file follows", || async { (read("etc/texts/text") == "two").then_some(()) }).await;

        let token = read("var/run/secrets/kubernetes.io/serviceaccount/token");
        let kubectl = cluster
            .kubectl(&[
                "auth",
                "whoami",
                "-o",
                "json",
                &format!("--token={token}"),
                "--kubeconfig=/dev/null",
                "--server=https://10.96.0.1",
                "--insecure-skip-tls-verify",
            ])
            .await;
        let who = kubectl.expect_ok();
        assert!(who.contains(&format!("system:serviceaccount:{}:default", &*namespace)), "{who}");
    });
}

#[test]
fn a_service_leads_to_its_ready_pods_by_name_and_port() {
    run(async |cluster| {
        let namespace = cluster.namespace("service").await;
        let manifests = include_str!("operator_kubelet/service.yaml");
        cluster
            .kubectl_with(&cluster.kubeconfig())
            .input(&["apply", "-n", &namespace, "-f", "-"], manifests)
            .await
            .expect_ok();
        let pods = pods(&cluster, &namespace).await;
        until_object(&pods, "caller", "has its answer", |pod| {
            pod.is_some_and(|pod| {
                pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Succeeded"))
            })
        })
        .await;
        assert!(cluster.kubelet().pod_log(&namespace, "caller").contains("200 OK"));
        // And from outside of Pods, in the cluster network.
        let services: Api<k8s_openapi::api::core::v1::Service> = Api::namespaced(cluster.client().await, &namespace);
        let address = services.get("chat").await.expect("the Service").spec.and_then(|spec| spec.cluster_ip);
        let url = format!("http://{}/livez", address.expect("an address"));
        let answer = reqwest::get(&url).await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
    });
}

#[test]
fn hundreds_of_pods_only_seem_to_run_where_they_are_faked() {
    run(async |cluster| {
        let namespace = cluster.namespace_with("faked", &[("tests.chatcluster.dev/pods", "faked")]).await;
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "many", "namespace": &*namespace},
            "spec": {
                "replicas": 100,
                "selector": {"matchLabels": {"app": "many"}},
                "template": {
                    "metadata": {"labels": {"app": "many"}},
                    "spec": {"containers": [{"name": "main", "image": "no-such-image"}]},
                },
            },
        });
        cluster.apply(&deployment.to_string()).await;
        let pods = pods(&cluster, &namespace).await;
        let all =
            until_list(&pods, "app=many", "all seem to run", |pods| pods.len() == 100 && pods.iter().all(is_ready))
                .await;
        let addresses: BTreeSet<_> = all.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone()).collect();
        assert_eq!(addresses.len(), 100, "each has an address of its own");
        cluster.kubectl(&["scale", "deployment", "many", "--replicas=0", "-n", &namespace]).await.expect_ok();
        until_list(&pods, "app=many", "none is left", <[Pod]>::is_empty).await;
    });
}
