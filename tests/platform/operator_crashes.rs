//! The operator is killed after each of its writes in turn: whatever it had done by then, the next one ends where it
//! would have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use operator::api::spec::ChatCluster;
use serde_json::Value;

use crate::harness::api_proxy::ApiProxy;
use crate::harness::control_plane::{Cluster, Namespace, run_within, until_object};
use crate::harness::operator::{Operator, chat_cluster, is_settled, nodes, replica_set};
use crate::harness::{Client, is_full, until};

/// A chat with everything that a chat can consist of.
const WHOLE: &str = "{redis: {managed: {}}, exposure: {ingress: {hosts: [chat.example.com]}}}";

/// What a chat can consist of.
const KINDS: &str = "serviceaccount,secret,configmap,service,replicaset,statefulset,poddisruptionbudget,networkpolicy,\
    ingress,role,rolebinding,job,horizontalpodautoscaler";

/// Waits until a chat is available and nothing is on its way.
async fn settled(cluster: &Cluster, namespace: &str, chat: &str) {
    let chats: Api<ChatCluster> = Api::namespaced(cluster.client().await, namespace);
    until_object(&chats, chat, "is available and settled", |chat| chat.is_some_and(is_settled)).await;
}

/// The objects of a chat, `KIND NAME` with `CHAT` for its name, and what is in its Secrets.
async fn objects(cluster: &Cluster, namespace: &str, chat: &str) -> BTreeMap<String, Value> {
    let label = format!("app.kubernetes.io/instance={chat}");
    let list = cluster.kubectl(&["get", KINDS, "-n", namespace, "-l", &label, "-o", "json"]).await.expect_ok();
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let object = |object: &Value| {
        let (kind, metadata) = (object["kind"].as_str().expect("a kind"), &object["metadata"]);
        let owner = &metadata["ownerReferences"][0]["name"];
        assert_eq!(owner, chat, "{kind} {} belongs to it", metadata["name"]);
        // What a ReplicaSet is named after tells one chat from the other.
        let name = match kind {
            "ReplicaSet" => "CHAT-…".to_owned(),
            _ => metadata["name"].as_str().expect("a name").replacen(chat, "CHAT", 1),
        };
        (format!("{kind} {name}"), if kind == "Secret" { object["data"].clone() } else { Value::Null })
    };
    list["items"].as_array().expect("a list").iter().map(object).collect()
}

#[test]
fn a_crash_after_any_write_of_a_creation_leads_to_the_same_objects() {
    run_within(Duration::from_secs(900), async |cluster| {
        let namespace = cluster.namespace_with("sweep", &[("tests.chatcluster.dev/pods", "faked")]).await;
        let proxy = ApiProxy::start(&cluster).await;
        let mut operator = Operator::start_through(&cluster, &namespace, &proxy).await;
        let mark = cluster.audit_mark();
        cluster.apply(&chat_cluster(&namespace, "undisturbed", WHOLE)).await;
        settled(&cluster, &namespace, "undisturbed").await;
        let expected: BTreeSet<String> = objects(&cluster, &namespace, "undisturbed").await.into_keys().collect();

        // The API server has heard what the proxy says, and nothing else.
        let writes = until("the audit log is as long as the proxy's", || async {
            let writes = proxy.writes();
            let entries = cluster.audit(&mark).into_iter();
            let heard = entries.filter(|e| e.user == operator.user() && e.writes() && e.resource != "leases");
            let mut heard: Vec<String> =
                heard.map(|e| format!("{} {}", e.verb, e.resource.split('/').next().unwrap_or_default())).collect();
            let mut said: Vec<String> =
                writes.iter().map(|w| w.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
            heard.sort();
            said.sort();
            (heard == said).then_some(writes)
        })
        .await;
        println!("undisturbed, {} objects in {} writes: {writes:#?}", expected.len(), writes.len());
        assert!(writes.len() > expected.len(), "{writes:?}");

        let step = if is_full("SWEEP_FULL") { 1 } else { 3 };
        let chats: Api<ChatCluster> = Api::namespaced(cluster.client().await, &namespace);
        for n in (1..=writes.len()).step_by(step) {
            let began = Instant::now();
            let chat = format!("killed-{n}");
            let before = proxy.writes().len();
            proxy.kill_after(n, operator.pid());
            cluster.apply(&chat_cluster(&namespace, &chat, WHOLE)).await;
            until("it is killed, or through", || async {
                let told = proxy.writes()[before..].iter().any(|write| write == "create events");
                let through = told && chats.get(&chat).await.is_ok_and(|chat| is_settled(&chat));
                (through || proxy.fired()).then_some(())
            })
            .await;
            // It may need fewer writes this time, where two changes of the status come together.
            if !proxy.disarm() {
                assert!(n > expected.len(), "{n}: each object is a write: {:?}", &proxy.writes()[before..]);
                println!("{n}: no such write");
                continue;
            }
            let write = proxy.writes().pop().unwrap_or_default();
            let left = objects(&cluster, &namespace, &chat).await;
            operator.kill().await;
            operator.restart();
            settled(&cluster, &namespace, &chat).await;
            let end = objects(&cluster, &namespace, &chat).await;
            println!("{n}: killed at {} objects by {write}; settled after {:.1?}", left.len(), began.elapsed());
            assert_eq!(
                end.keys().cloned().collect::<BTreeSet<_>>(),
                expected,
                "after {n} writes, the last of them {write}"
            );
            for (object, data) in &left {
                assert_eq!(end.get(object), Some(data), "{object} is made once, also after {write}");
            }
        }
    });
}

/// A chat of real nodes with clients on each, and an operator that dies when it is told to.
struct Hazard {
    cluster: Cluster,
    namespace: Namespace,
    proxy: ApiProxy,
    operator: Operator,
    ends: Arc<Mutex<Vec<String>>>,
    clients: Vec<Client>,
}

impl Hazard {
    async fn start(cluster: &Cluster) -> Self {
        let namespace = cluster.namespace("sweep").await;
        let proxy = ApiProxy::start(cluster).await;
        let operator = Operator::start_through(cluster, &namespace, &proxy).await;
        let drain = "drain: {timeoutSeconds: 60, connectionsPerSecond: 50, maxReconnectsPerSecond: 50}";
        cluster.apply(&chat_cluster(&namespace, "chat", &format!("{{redis: {{managed: {{}}}}, {drain}}}"))).await;
        settled(cluster, &namespace, "chat").await;
        let ends = Arc::default();
        tokio::spawn(note_ends(cluster.client().await, namespace.to_string(), Arc::clone(&ends)));
        Self { cluster: cluster.clone(), namespace, proxy, operator, ends, clients: Vec::new() }
    }

    /// Changes the spec, and waits until the chat is so.
    async fn change(&self, spec: &str) {
        let patch = format!("{{\"spec\": {spec}}}");
        let args = ["patch", "chatcluster", "chat", "--type=merge", "-p", &patch, "-n", &self.namespace];
        self.cluster.kubectl(&args).await.expect_ok();
    }

    /// Clients come to each of so many nodes.
    async fn come(&mut self, count: usize) {
        self.clients.clear();
        for node in nodes(&self.cluster, &self.namespace, "chat", count).await {
            for _ in 0..3 {
                self.clients.push(Client::guest(&node, "Ann").await);
            }
        }
    }

    /// Has the operator die after its n-th write of this change, and another one go on; answers which write that was,
    /// or nothing if there are not so many.
    async fn dies(&mut self, n: usize, spec: &str, count: usize) -> Option<String> {
        let before = self.proxy.writes().len();
        self.proxy.kill_after(n, self.operator.pid());
        self.change(spec).await;
        let chats: Api<ChatCluster> = Api::namespaced(self.cluster.client().await, &self.namespace);
        let through = async || {
            let chat = chats.get("chat").await.ok()?;
            let seen = chat.status.as_ref()?.observed_generation == chat.metadata.generation;
            (seen && is_settled(&chat) && self.proxy.writes().len() > before).then_some(())
        };
        until("it is killed, or through", || async { if self.proxy.fired() { Some(()) } else { through().await } })
            .await;
        let write = self.proxy.disarm().then(|| self.proxy.writes().pop().unwrap_or_default());
        if write.is_some() {
            self.operator.kill().await;
            self.operator.restart();
        }
        until("the chat is as it was asked for", through).await;
        nodes(&self.cluster, &self.namespace, "chat", count).await;
        replica_set(&self.cluster, &self.namespace, "chat").await;
        let marked = ["get", "pods", "-n", &self.namespace, "-l", "chatcluster.dev/state", "-o", "name"];
        assert_eq!(self.cluster.kubectl(&marked).await.expect_ok(), "", "no mark is left");
        write
    }
}

/// Notes how each node is when its pod is told to end.
async fn note_ends(client: kube::Client, namespace: String, ends: Arc<Mutex<Vec<String>>>) {
    let config = watcher::Config::default().labels("app.kubernetes.io/component=chat-server");
    let mut pods = pin!(watcher::watcher(Api::<Pod>::namespaced(client, &namespace), config).applied_objects());
    let mut known = BTreeSet::new();
    while let Some(pod) = pods.next().await {
        let Ok(pod) = pod else { continue };
        if pod.metadata.deletion_timestamp.is_none() || !known.insert(pod.uid()) {
            continue;
        }
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default();
        let metrics = async { reqwest::get(format!("http://{address}:9090/metrics")).await?.text().await };
        let metrics = metrics.await.unwrap_or_default();
        let sockets =
            metrics.lines().find(|line| line.starts_with("chat_connections ")).unwrap_or("no answer").to_owned();
        let state = pod.labels().get("chatcluster.dev/state").map_or("serving", String::as_str);
        ends.lock().unwrap().push(format!("{state}, {sockets}"));
    }
}

#[test]
fn a_crash_after_any_write_of_a_scale_down_or_rollout_removes_no_node_with_clients() {
    run_within(Duration::from_secs(1_800), async |cluster| {
        let mut hazard = Hazard::start(&cluster).await;
        let all = is_full("SWEEP_FULL");
        // Without that, after the first mark of a pod in the one, and in the midst of the other.
        for n in if all { (1..100).step_by(1) } else { (4..5).step_by(1) } {
            hazard.change("{\"replicas\": 3}").await;
            hazard.come(3).await;
            let Some(write) = hazard.dies(n, "{\"replicas\": 2}", 2).await else { break };
            println!("scale-down, {n}: killed by {write}");
        }
        for n in if all { (1..100).step_by(1) } else { (5..13).step_by(7) } {
            hazard.come(2).await;
            let spec = format!("{{\"pod\": {{\"annotations\": {{\"round\": \"{n}\"}}}}}}");
            let Some(write) = hazard.dies(n, &spec, 2).await else { break };
            println!("rollout, {n}: killed by {write}");
        }
        let ends = hazard.ends.lock().unwrap().clone();
        println!("{} nodes were taken away", ends.len());
        assert!(ends.len() >= 3, "{ends:?}");
        assert!(ends.iter().all(|end| end == "drained, chat_connections 0"), "{ends:?}");
    });
}
