//! A real control plane — etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy — in a network of
//! its own, with a StorageClass and a `metrics.k8s.io` of the harness.
//!
//! The *cluster network* is a network namespace: every port is free there, and whatever a scenario opens or starts
//! inside of [`run`] is in it. All tests of this binary share one control plane and keep to namespaces of their own;
//! [`run_alone`] gives a test one that it may stop and break. Whatever happens to the test, nothing stays: each
//! process dies with the thread that started it, and the holder of the network removes the folder.

mod audit;
mod certificates;
mod kubectl;
mod metrics;
mod namespace;
mod network;
mod objects;
mod processes;
mod storage;
mod tls;
mod waiting;
mod watching;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::kubelet::Kubelet;
use super::{WHOLE_TEST, setup, until};
pub(crate) use audit::{AuditEntry, AuditMark};
pub(crate) use kubectl::{Answer, Kubectl};
pub(crate) use namespace::Namespace;
pub(crate) use network::API_SERVICE;
use network::Network;
use processes::Processes;
pub(crate) use waiting::{until_gone, until_list, until_list_within, until_object};
pub(crate) use watching::watch;

/// What all tests share. The process takes it along when it ends.
static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// Runs a scenario in the network of the cluster that all tests share.
pub(crate) fn run(scenario: impl AsyncFnOnce(Cluster) + Send) {
    run_within(WHOLE_TEST, scenario);
}

/// Runs a scenario that may take so long in the network of the cluster that all tests share.
pub(crate) fn run_within(limit: Duration, scenario: impl AsyncFnOnce(Cluster) + Send) {
    // Said of each scenario, not of the first one only.
    setup::go_tool("kube-apiserver");
    SHARED.run(limit, scenario);
}

/// Runs a scenario in a cluster of its own, which it may break.
pub(crate) fn run_alone(scenario: impl AsyncFnOnce(Cluster) + Send) {
    Cluster::start().run(WHOLE_TEST, scenario);
}

/// A running cluster. Copies are the same one.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Inner>);

struct Inner {
    processes: Arc<Processes>,
    kubelet: Kubelet,
    /// Its threads start all processes of the cluster, which end with them: so it lives as long as the cluster.
    runtime: Option<Runtime>,
    network: Arc<Network>,
    folder: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let folder = processes::folder();
        let network = Arc::new(Network::start(folder.path()));
        let runtime = network.runtime("cluster");
        let began = std::time::Instant::now();
        let path = folder.path().to_owned();
        let (processes, kubelet) = network.enter(|| {
            runtime.block_on(async {
                // On a thread of the runtime, which lives on, and not on this one.
                let holder = network.holder();
                let started = tokio::spawn(async move {
                    let processes = Arc::new(Processes::start(&path).await);
                    let client = client(&processes.kubeconfig("kubelet")).await;
                    objects::create(&client).await;
                    storage::start(client.clone(), &path);
                    let kubelet = Kubelet::start(client.clone(), &path, holder).await;
                    metrics::start(client.clone(), kubelet.usages(), &path).await;
                    processes.start_proxy(Kubelet::FIRST_NODE).await;
                    objects::settled(&client).await;
                    metrics::available(&client).await;
                    (processes, kubelet)
                });
                started.await.unwrap_or_else(|error| {
                    eprintln!("{}", processes::last_words(folder.path(), ""));
                    panic!("the cluster does not start: {error}");
                })
            })
        });
        println!("the control plane is ready after {:.1?}", began.elapsed());
        Self(Arc::new(Inner { processes, kubelet, runtime: Some(runtime), network, folder }))
    }

    fn run(&self, limit: Duration, scenario: impl AsyncFnOnce(Self) + Send) {
        let inner = &self.0;
        inner.network.enter(|| {
            inner.network.runtime("scenario").block_on(async {
                tokio::time::timeout(limit, scenario(self.clone()))
                    .await
                    .unwrap_or_else(|_| panic!("the whole test took longer than {limit:?}"));
            });
        });
    }

    /// Does something on the threads that live as long as the cluster: what they start lives as long.
    async fn stay<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self.0.runtime.as_ref().expect("the cluster runs");
        runtime.spawn(work).await.expect("the cluster does it")
    }

    /// A client with all rights.
    pub(crate) async fn client(&self) -> Client {
        client(&self.kubeconfig()).await
    }

    /// A client with the rights of a ServiceAccount.
    pub(crate) async fn client_of(&self, namespace: &str, account: &str) -> Client {
        client(&self.service_account_kubeconfig(namespace, account).await).await
    }

    /// The kubeconfig of who has all rights.
    pub(crate) fn kubeconfig(&self) -> std::path::PathBuf {
        self.0.processes.kubeconfig("admin")
    }

    /// A kubeconfig with a token that the API server gives a ServiceAccount.
    pub(crate) async fn service_account_kubeconfig(&self, namespace: &str, account: &str) -> std::path::PathBuf {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, namespace);
        let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
        let answer = answer.unwrap_or_else(|error| panic!("no token for {namespace}/{account}: {error}"));
        let token = answer.status.expect("a token").token;
        self.0.processes.token_kubeconfig(&format!("{namespace}.{account}"), namespace, &token)
    }

    /// The real kubectl, with all rights.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Answer {
        self.kubectl_with(&self.kubeconfig()).run(args).await
    }

    /// The real kubectl with another kubeconfig.
    pub(crate) fn kubectl_with(&self, kubeconfig: &Path) -> Kubectl {
        Kubectl::new(kubeconfig, self.0.folder.path())
    }

    /// Applies manifests (YAML) as they stand, which must succeed.
    pub(crate) async fn apply(&self, manifests: &str) {
        self.kubectl_with(&self.kubeconfig()).input(&["apply", "-f", "-"], manifests).await.expect_ok();
    }

    /// A namespace for one test, named after it; deleted, or shown when the test failed, at its end.
    pub(crate) async fn namespace(&self, name: &str) -> Namespace {
        Namespace::create(self, name, &[]).await
    }

    /// The same with labels.
    pub(crate) async fn namespace_with(&self, name: &str, labels: &[(&str, &str)]) -> Namespace {
        Namespace::create(self, name, labels).await
    }

    /// The present end of the audit log.
    pub(crate) fn audit_mark(&self) -> AuditMark {
        AuditMark::end_of(&self.0.processes.audit_log())
    }

    /// What the API server was asked since then. It writes an entry when it has answered, so that the last one may
    /// still be missing: look again with [`until`](super::until) for what must come.
    pub(crate) fn audit(&self, since: &AuditMark) -> Vec<AuditEntry> {
        since.read(&self.0.processes.audit_log())
    }

    /// Ends the API server (`kill -9`). Only for a cluster of the test's own.
    pub(crate) async fn stop_api_server(&self) {
        assert!(!Arc::ptr_eq(&self.0, &SHARED.0), "others use this API server too");
        let processes = Arc::clone(&self.0.processes);
        self.stay(async move { processes.kill("kube-apiserver").await }).await;
    }

    /// Starts it again, and waits until it is ready.
    pub(crate) async fn start_api_server(&self) {
        let processes = Arc::clone(&self.0.processes);
        self.stay(async move { processes.start_api_server().await }).await;
    }

    /// The harness's kubelet: logs, addresses and processes of Pods.
    pub(crate) fn kubelet(&self) -> &Kubelet {
        &self.0.kubelet
    }

    /// The network that everything is in.
    pub(crate) fn network(&self) -> &Network {
        &self.0.network
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // May be dropped by a scenario that runs in it: not the place to wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}
