//! Real `operator` processes, each as the ServiceAccount that k8s/rbac.yaml gives it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition;
use kube::{Api, ResourceExt};
use operator::api::spec::ChatCluster;
use operator::api::status::ConditionType;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::api_proxy::ApiProxy;
use super::cluster::binary;
use super::control_plane::{Cluster, until_list, until_list_within, until_object};
use super::{DEADLINE, Node, ports, signal, until};

/// The definition and the roles, as people apply them.
const DEFINITION: &str = include_str!("../../k8s/crd.yaml");
const ROLES: &str = include_str!("../../k8s/rbac.yaml");
const NAMESPACE: &str = include_str!("../../k8s/namespace.yaml");

/// Makes the definition and the roles known; once more does no harm.
pub(crate) async fn install(cluster: &Cluster) {
    install_definition(cluster, DEFINITION).await;
    install_roles(cluster).await;
}

async fn install_roles(cluster: &Cluster) {
    let kubectl = cluster.kubectl_with(&cluster.kubeconfig());
    for manifest in [NAMESPACE, ROLES] {
        kubectl.input(&APPLY, manifest).await.expect_ok();
    }
}

const APPLY: [&str; 5] = ["apply", "--server-side", "--force-conflicts", "-f", "-"];

/// Makes this definition of ChatCluster known.
pub(crate) async fn install_definition(cluster: &Cluster, definition: &str) {
    cluster.kubectl_with(&cluster.kubeconfig()).input(&APPLY, definition).await.expect_ok();
    // `kubectl wait --for=condition=Established` ends with an error on a definition that was made a moment ago: its
    // conditions are null until the API server has looked at its names.
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client().await);
    until_object(&definitions, "chatclusters.chatcluster.dev", "is established", |definition| {
        is_crd_established().matches_object(definition)
    })
    .await;
}

/// One replica of the operator. Killed when dropped.
pub(crate) struct Operator {
    child: Child,
    port: u16,
    log: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
    identity: String,
    _folder: TempDir,
}

impl Operator {
    /// Starts the only replica for one namespace, with the ServiceAccount, the roles and the Lease in that namespace
    /// too, and waits until it works.
    pub(crate) async fn start(cluster: &Cluster, namespace: &str) -> Self {
        let operator = Self::replica(cluster, namespace, "operator-0").await;
        operator.works().await;
        operator
    }

    /// Starts a replica of that name; it may have to wait for another one.
    pub(crate) async fn replica(cluster: &Cluster, namespace: &str, identity: &str) -> Self {
        install_definition(cluster, DEFINITION).await;
        Self::replica_as_is(cluster, namespace, identity).await
    }

    /// The same, under the definition that is there.
    pub(crate) async fn replica_as_is(cluster: &Cluster, namespace: &str, identity: &str) -> Self {
        let kubeconfig = kubeconfig(cluster, namespace).await;
        Self::with(kubeconfig, namespace, identity)
    }

    /// Starts the only replica for one namespace, which reaches the API server through a proxy only, and waits until it
    /// works.
    pub(crate) async fn start_through(cluster: &Cluster, namespace: &str, proxy: &ApiProxy) -> Self {
        install_definition(cluster, DEFINITION).await;
        let kubeconfig = kubeconfig(cluster, namespace).await;
        proxy.lead(&kubeconfig);
        let operator = Self::with(kubeconfig, namespace, "operator-0");
        operator.works().await;
        operator
    }

    fn with(kubeconfig: PathBuf, namespace: &str, identity: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let port = ports::free().port();
        let child = spawn(&kubeconfig, namespace, identity, port, &log);
        Self {
            child,
            port,
            log,
            kubeconfig,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            _folder: folder,
        }
    }

    /// Starts it again, after it was killed.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.kubeconfig, &self.namespace, &self.identity, self.port, &self.log);
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("it was killed");
    }

    /// SIGTERM; gives the exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        signal(self.pid(), "TERM");
        let status = tokio::time::timeout(super::DEADLINE, self.child.wait()).await.expect("it ends");
        status.expect("its end").code()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Who it is to the API server.
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}:chat-operator", self.namespace)
    }

    /// Waits until it is the replica that works.
    pub(crate) async fn works(&self) {
        let what = format!("{} works; its log:\n{}", self.identity, self.log());
        until(&what, || async { (self.metric("chat_operator_leader").await? == 1.0).then_some(()) }).await;
    }

    /// Where its HTTP server is.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The status and the words of a path of its HTTP server.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}{path}", self.port)).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// The sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics").await?;
        let samples = text.lines().filter(|line| line.starts_with(name));
        let values: Vec<f64> = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.identity, self.log());
        }
    }
}

/// The kubeconfig of the operator's ServiceAccount in a namespace, with the rights that it needs.
async fn kubeconfig(cluster: &Cluster, namespace: &str) -> PathBuf {
    install_roles(cluster).await;
    cluster.apply(&bindings(namespace)).await;
    cluster.service_account_kubeconfig(namespace, "chat-operator").await
}

fn spawn(kubeconfig: &Path, namespace: &str, identity: &str, port: u16, log: &Path) -> Child {
    let log: File = OpenOptions::new().create(true).append(true).open(log).expect("a log");
    Command::new(binary("operator"))
        .args(["run", "--watch-namespace", namespace, "--namespace", namespace, "--identity", identity])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .env("KUBECONFIG", kubeconfig)
        .stdout(Stdio::from(log.try_clone().expect("a log")))
        .stderr(Stdio::from(log))
        .kill_on_drop(true)
        .spawn()
        .expect("the operator")
}

/// The roles bound in one namespace, as k8s/rbac.yaml says to.
fn bindings(namespace: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: chat-operator, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: chat-operator, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: chat-operator}}
subjects: [{{kind: ServiceAccount, name: chat-operator, namespace: {namespace}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: chat-operator-cluster-{namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: chat-operator-cluster}}
subjects: [{{kind: ServiceAccount, name: chat-operator, namespace: {namespace}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: chat-operator-lease, namespace: {namespace}}}
rules:
- {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}}
- {{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [chat-operator], verbs: [get, update]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: chat-operator-lease, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: chat-operator-lease}}
subjects: [{{kind: ServiceAccount, name: chat-operator, namespace: {namespace}}}]
"
    )
}

/// A ChatCluster with this spec (flow-style YAML).
pub(crate) fn chat_cluster(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: chatcluster.dev/v1alpha1, kind: ChatCluster, metadata: {{name: {name}, namespace: {namespace}}}, spec: {spec}}}"
    )
}

/// The same of a chat whose pods are faked: nobody waits for what they can't say.
pub(crate) fn faked_chat(namespace: &str, name: &str, spec: &str) -> String {
    let skips = format!("namespace: {namespace}, annotations: {{chatcluster.dev/drain: skip}}");
    chat_cluster(namespace, name, spec).replace(&format!("namespace: {namespace}"), &skips)
}

/// The name of the ReplicaSet of a ChatCluster's nodes, once there is one and no other.
pub(crate) async fn replica_set(cluster: &Cluster, namespace: &str, name: &str) -> String {
    let sets: kube::Api<ReplicaSet> = kube::Api::namespaced(cluster.client().await, namespace);
    let labels = format!("app.kubernetes.io/instance={name}");
    let only = until_list(&sets, &labels, "there is one ReplicaSet", |sets| sets.len() == 1).await;
    only[0].name_any()
}

/// Waits until a condition of a ChatCluster is as told.
pub(crate) async fn until_condition(cluster: &Cluster, namespace: &str, name: &str, type_: &str, is: (&str, &str)) {
    let api: kube::Api<ChatCluster> = kube::Api::namespaced(cluster.client().await, namespace);
    let what = format!("{type_} is {} because of {}", is.0, is.1);
    until_object(&api, name, &what, |chat| {
        let conditions = chat.and_then(|chat| chat.status.as_ref()).map(|status| status.conditions.as_slice());
        conditions
            .unwrap_or_default()
            .iter()
            .any(|condition| condition.type_ == type_ && condition.status == is.0 && condition.reason == is.1)
    })
    .await;
}

/// Whether it is available and nothing of it is on its way.
pub(crate) fn is_settled(chat: &ChatCluster) -> bool {
    let Some(status) = &chat.status else { return false };
    let is = |type_: ConditionType, value: &str| {
        status.conditions.iter().any(|condition| condition.type_ == type_.as_str() && condition.status == value)
    };
    is(ConditionType::Available, "True")
        && is(ConditionType::RedisReady, "True")
        && is(ConditionType::Progressing, "False")
        && status.ready_replicas == chat.spec.replicas
}

/// The nodes of a ChatCluster that take clients, as the harness's clients know them: once there are so many and no
/// other pod.
pub(crate) async fn nodes(cluster: &Cluster, namespace: &str, name: &str, count: usize) -> Vec<Node> {
    nodes_within(DEADLINE, cluster, namespace, name, count).await
}

/// The same where it may take so long, such as until nodes that go have handed their people over.
pub(crate) async fn nodes_within(
    limit: Duration,
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    count: usize,
) -> Vec<Node> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(cluster.client().await, namespace);
    let labels = format!("app.kubernetes.io/instance={name},app.kubernetes.io/component=chat-server");
    let ready =
        until_list_within(limit, &pods, &labels, "so many nodes take clients, and no other pod is there", |pods| {
            pods.len() == count && pods.iter().all(is_ready)
        })
        .await;
    let node = |(index, pod): (usize, &Pod)| {
        let address = cluster.kubelet().pod_address(namespace, &pod.name_any()).expect("an address");
        Node::at(index, (address, 3000).into(), Vec::new(), Path::new("/nowhere"))
    };
    ready.iter().enumerate().map(node).collect()
}

/// Whether it takes clients, and is not about to end.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
