//! A ChatCluster that people reach: a namespace, its operator, and our nginx before the Service.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use http::HeaderName;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::control_plane::{Cluster, Namespace, until_list, until_list_within};
use super::front::Front;
use super::operator::{Operator, chat_cluster, is_ready, nodes_within};
use super::{Connect, Node, RedisAt, until};

/// What nginx tells people apart by.
pub(crate) const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The name of the ChatCluster, and so of its Service.
const NAME: &str = "chat";
/// How long it may take until there are as many nodes as were asked for: those that go hand their people over before.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running chat with a managed Redis. It goes, and its namespace with it, when dropped.
pub(crate) struct Chat {
    front: Front,
    _operator: Operator,
    namespace: Namespace,
    cluster: Cluster,
}

impl Chat {
    /// Applies this spec (flow-style YAML, without `redis` and `replicas`) in a namespace named after the test, and
    /// waits until so many nodes take clients.
    pub(crate) async fn start(cluster: &Cluster, test: &str, nodes: usize, spec: &str) -> Self {
        let namespace = cluster.namespace(test).await;
        let operator = Operator::start(cluster, &namespace).await;
        let spec = format!("{{redis: {{managed: {{}}}}, replicas: {nodes}, {spec}}}");
        cluster.apply(&chat_cluster(&namespace, NAME, &spec)).await;
        nodes_within(PATIENCE, cluster, &namespace, NAME, nodes).await;
        let front = Front::start(cluster, &namespace, NAME).await;
        Self { front, _operator: operator, namespace, cluster: cluster.clone() }
    }

    /// Where people connect.
    pub(crate) fn url(&self) -> String {
        self.front.url()
    }

    /// The same, as the harness's clients know a node.
    pub(crate) fn front(&self) -> Node {
        self.front.node()
    }

    /// `kill -9` of the process of a node, which is named as its pod.
    pub(crate) fn kill(&self, node: &str) {
        self.cluster.kubelet().kill_container(&self.namespace, node, "KILL");
    }

    /// The nodes, once there are so many and no other pod.
    pub(crate) async fn nodes(&self, count: usize) -> Vec<Node> {
        nodes_within(PATIENCE, &self.cluster, &self.namespace, NAME, count).await
    }

    /// `kubectl scale`; waits until so many nodes take clients and the others are gone.
    pub(crate) async fn scale(&self, nodes: usize) {
        let replicas = format!("--replicas={nodes}");
        self.kubectl(&["scale", "chatcluster", NAME, &replicas]).await;
        self.nodes(nodes).await;
    }

    /// Waits until nginx sends people to so many nodes: it looks for them from time to time.
    pub(crate) async fn found(&self, nodes: usize) {
        let front = self.front.node();
        let found = Mutex::new((0_u8, BTreeSet::new()));
        until("nginx knows all nodes", || async {
            let number = {
                let mut found = found.lock().unwrap();
                found.0 = found.0.wrapping_add(1);
                found.0
            };
            let address = format!("10.2.{number}.1");
            let client = Connect::guest("Scout").header(FORWARDED, &address).try_to(&front).await.ok()?;
            let node = client.session["node"].as_str().expect("a node").to_owned();
            client.close().await;
            let mut found = found.lock().unwrap();
            found.1.insert(node);
            (found.1.len() >= nodes).then_some(())
        })
        .await;
    }

    /// Changes the spec by a merge patch, in JSON.
    pub(crate) async fn patch(&self, spec: &str) {
        let patch = format!("{{\"spec\": {spec}}}");
        self.kubectl(&["patch", "chatcluster", NAME, "--type=merge", "-p", &patch]).await;
    }

    /// Has all pods replaced; waits until so many others take clients and the former ones are gone.
    pub(crate) async fn roll(&self, nodes: usize) {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client().await, &self.namespace);
        let labels = format!("app.kubernetes.io/instance={NAME},app.kubernetes.io/component=chat-server");
        let former = pods.list(&ListParams::default().labels(&labels)).await.expect("pods").items;
        let former: BTreeSet<String> = former.iter().map(ResourceExt::name_any).collect();
        self.patch(r#"{"pod": {"annotations": {"restarted": "once"}}}"#).await;
        until_list_within(PATIENCE, &pods, &labels, "all pods are others", |pods| {
            pods.len() == nodes && pods.iter().all(|pod| is_ready(pod) && !former.contains(&pod.name_any()))
        })
        .await;
    }

    /// The real kubectl, in the namespace of the chat; it must succeed.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> String {
        let args: Vec<&str> = args.iter().copied().chain(["-n", &self.namespace]).collect();
        self.cluster.kubectl(&args).await.expect_ok()
    }

    /// The managed Redis, to look at what is stored.
    pub(crate) async fn redis(&self) -> RedisAt {
        let client = self.cluster.client().await;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let labels = format!("app.kubernetes.io/instance={NAME},app.kubernetes.io/component=redis");
        let pods = until_list(&pods, &labels, "Redis is ready", |pods| pods.iter().any(is_ready)).await;
        let ready = pods.iter().find(|pod| is_ready(pod)).and_then(|pod| pod.metadata.name.as_deref());
        let address = ready.and_then(|pod| self.cluster.kubelet().pod_address(&self.namespace, pod));
        let secrets: Api<Secret> = Api::namespaced(client, &self.namespace);
        let secret = secrets.get(&format!("{NAME}-redis")).await.expect("the Secret of Redis");
        let password = secret.data.expect("what it has").remove("password").expect("the password").0;
        RedisAt {
            addr: (address.expect("the address of Redis"), 6379).into(),
            password: Some(String::from_utf8(password).expect("UTF-8")),
        }
    }
}
