//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kube-proxy, as child processes with their logs.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::super::setup;
use super::certificates;
use super::network::{API_SERVER, API_SERVICE};
use super::until;

/// How the folders of clusters begin, with the id of the test process.
const FOLDERS: &str = "chatcluster-k8s-";

/// A folder for a cluster. What is left of processes that no longer are is removed: that is only so after a crash of
/// the machine, as the holder of the network does it otherwise.
pub(super) fn folder() -> TempDir {
    for entry in std::fs::read_dir(std::env::temp_dir()).expect("a folder for temporary files").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix(FOLDERS).and_then(|rest| rest.split('-').next()) else { continue };
        if !Path::new("/proc").join(process).exists() {
            // Another process may be removing it as well.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    TempDir::with_prefix(format!("{FOLDERS}{}-", std::process::id())).expect("a folder for the cluster")
}

/// Who does what, but not with which contents.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "nonResourceURLs": ["/*"]},
    {"level": "Metadata"}
  ]
}"#;

/// Nobody is anonymous but who asks whether the server lives.
const AUTHENTICATION: &str = r#"{
  "apiVersion": "apiserver.config.k8s.io/v1",
  "kind": "AuthenticationConfiguration",
  "anonymous": {"enabled": true, "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}]}
}"#;

/// The parts of a control plane.
pub(super) struct Processes {
    folder: PathBuf,
    running: Mutex<BTreeMap<&'static str, Child>>,
}

impl Processes {
    /// Starts all parts, and waits until the API server is ready.
    pub(super) async fn start(folder: &Path) -> Self {
        let this = Self { folder: folder.to_owned(), running: Mutex::default() };
        certificates::write(folder);
        for (name, text) in [("audit-policy.json", AUDIT_POLICY), ("authentication.json", AUTHENTICATION)] {
            std::fs::write(folder.join(name), text).expect("a file for the API server");
        }
        for (user, _, _) in certificates::USERS {
            let identity = json!({
                "client-certificate": this.path(&format!("{user}.crt")),
                "client-key": this.path(&format!("{user}.key")),
            });
            this.write_kubeconfig(user, "default", identity);
        }
        this.start_etcd().await;
        this.start_api_server().await;
        this.start_controller_manager().await;
        this.start_scheduler().await;
        this
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).into_os_string().into_string().expect("UTF-8")
    }

    /// The kubeconfig of a user.
    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.kubeconfig"))
    }

    /// A kubeconfig with a token.
    pub(super) fn token_kubeconfig(&self, name: &str, namespace: &str, token: &str) -> PathBuf {
        self.write_kubeconfig(name, namespace, json!({"token": token}));
        self.kubeconfig(name)
    }

    fn write_kubeconfig(&self, user: &str, namespace: &str, identity: serde_json::Value) {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user, "namespace": namespace}}],
            "clusters": [{
                "name": "tests",
                "cluster": {"server": format!("https://{API_SERVER}"), "certificate-authority": self.path("ca.crt")},
            }],
            "users": [{"name": user, "user": identity}],
        });
        std::fs::write(self.kubeconfig(user), config.to_string()).expect("a kubeconfig");
    }

    /// Where the API server says what it was asked.
    pub(super) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    async fn start_etcd(&self) {
        let flags = [
            ("data-dir", self.path("etcd")),
            ("listen-client-urls", "http://127.0.0.1:2379".to_owned()),
            ("advertise-client-urls", "http://127.0.0.1:2379".to_owned()),
            ("listen-peer-urls", "http://127.0.0.1:2380".to_owned()),
            // It lives as long as a test: no disk has to have it.
            ("unsafe-no-fsync", "true".to_owned()),
        ];
        self.spawn("etcd", &flags).await;
    }

    pub(super) async fn start_api_server(&self) {
        let issuer = "https://kubernetes.default.svc.cluster.local";
        let flags = [
            ("etcd-servers", "http://127.0.0.1:2379".to_owned()),
            ("secure-port", "443".to_owned()),
            ("advertise-address", API_SERVER.to_owned()),
            ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
            ("tls-cert-file", self.path("kube-apiserver.crt")),
            ("tls-private-key-file", self.path("kube-apiserver.key")),
            ("client-ca-file", self.path("ca.crt")),
            ("authorization-mode", "Node,RBAC".to_owned()),
            ("authentication-config", self.path("authentication.json")),
            ("service-account-issuer", issuer.to_owned()),
            ("service-account-key-file", self.path("service-accounts.pub")),
            ("service-account-signing-key-file", self.path("service-accounts.key")),
            ("enable-admission-plugins", "NodeRestriction".to_owned()),
            ("allow-privileged", "true".to_owned()),
            // An APIService is reached by the EndpointSlices of its Service.
            ("enable-aggregator-routing", "true".to_owned()),
            ("requestheader-client-ca-file", self.path("ca.crt")),
            ("requestheader-allowed-names", "front-proxy".to_owned()),
            ("requestheader-username-headers", "X-Remote-User".to_owned()),
            ("requestheader-group-headers", "X-Remote-Group".to_owned()),
            ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
            ("proxy-client-cert-file", self.path("front-proxy.crt")),
            ("proxy-client-key-file", self.path("front-proxy.key")),
            ("audit-policy-file", self.path("audit-policy.json")),
            ("audit-log-path", self.path("audit.log")),
            // Never rotated, so that a place in it stays where it is.
            ("audit-log-maxsize", "4000".to_owned()),
            ("profiling", "false".to_owned()),
        ];
        self.spawn("kube-apiserver", &flags).await;
        let client = super::client(&self.kubeconfig("admin")).await;
        let ready = || http::Request::get("/readyz").body(Vec::new()).expect("a request");
        until("the API server is ready", || async {
            self.assert_runs("kube-apiserver").await;
            client.request_text(ready()).await.ok()
        })
        .await;
    }

    async fn start_controller_manager(&self) {
        let flags = [
            ("kubeconfig", self.path("kube-controller-manager.kubeconfig")),
            ("bind-address", "127.0.0.1".to_owned()),
            ("leader-elect", "false".to_owned()),
            // RBAC for each controller, as on real clusters.
            ("use-service-account-credentials", "true".to_owned()),
            ("service-account-private-key-file", self.path("service-accounts.key")),
            ("root-ca-file", self.path("ca.crt")),
            ("cluster-signing-cert-file", self.path("ca.crt")),
            ("cluster-signing-key-file", self.path("ca.key")),
            ("kube-api-qps", "500".to_owned()),
            ("kube-api-burst", "1000".to_owned()),
            // The same decisions as by default, but within a test.
            ("horizontal-pod-autoscaler-sync-period", "2s".to_owned()),
            ("horizontal-pod-autoscaler-cpu-initialization-period", "10s".to_owned()),
            ("horizontal-pod-autoscaler-initial-readiness-delay", "2s".to_owned()),
        ];
        self.spawn("kube-controller-manager", &flags).await;
    }

    async fn start_scheduler(&self) {
        let flags = [
            ("kubeconfig", self.path("kube-scheduler.kubeconfig")),
            ("bind-address", "127.0.0.1".to_owned()),
            ("leader-elect", "false".to_owned()),
            ("kube-api-qps", "500".to_owned()),
            ("kube-api-burst", "1000".to_owned()),
        ];
        self.spawn("kube-scheduler", &flags).await;
    }

    /// One for all nodes, for they are all in one network. It needs their objects to know its own addresses.
    pub(super) async fn start_proxy(&self, node: &str) {
        let flags = [
            ("kubeconfig", self.path("kube-proxy.kubeconfig")),
            ("hostname-override", node.to_owned()),
            ("proxy-mode", "nftables".to_owned()),
            ("cluster-cidr", "10.244.0.0/16".to_owned()),
            ("healthz-bind-address", "127.0.0.1:10256".to_owned()),
            ("metrics-bind-address", "127.0.0.1:10249".to_owned()),
            // What can be set for the whole machine only.
            ("conntrack-max-per-core", "0".to_owned()),
            ("conntrack-tcp-timeout-established", "0".to_owned()),
            ("conntrack-tcp-timeout-close-wait", "0".to_owned()),
        ];
        self.spawn("kube-proxy", &flags).await;
        until("kube-proxy leads to the API server", || async {
            let connected = tokio::net::TcpStream::connect((API_SERVICE, 443));
            tokio::time::timeout(Duration::from_millis(500), connected).await.ok()?.ok()
        })
        .await;
    }

    async fn spawn(&self, name: &'static str, flags: &[(&str, String)]) {
        let log = OpenOptions::new().create(true).append(true).open(self.log(name)).expect("a log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(setup::go_tool(name))
            .args(flags.iter().map(|(flag, value)| format!("--{flag}={value}")))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .expect("the program `setpriv`");
        let earlier = self.running.lock().await.insert(name, child);
        assert!(earlier.is_none(), "{name} runs already");
    }

    /// `kill -9`: asked to end, an API server first waits a minute for who watches.
    pub(super) async fn kill(&self, name: &str) {
        let mut child = self.running.lock().await.remove(name).unwrap_or_else(|| panic!("{name} does not run"));
        child.kill().await.expect("to kill it");
    }

    async fn assert_runs(&self, name: &str) {
        let mut running = self.running.lock().await;
        let child = running.get_mut(name).unwrap_or_else(|| panic!("{name} was started"));
        if let Some(status) = child.try_wait().expect("its status") {
            panic!("{name} ended at its start with {status}");
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

/// The last lines of all logs that hold a word, or the last of all.
pub(super) fn last_words(folder: &Path, word: &str) -> String {
    let mut all = String::new();
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd"] {
        let log = std::fs::read(folder.join(format!("{name}.log"))).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(word)).collect();
        let last = &lines[lines.len().saturating_sub(15)..];
        if !last.is_empty() {
            all.push_str(&format!("--- {name} ---\n{}\n", last.join("\n")));
        }
    }
    all
}
