//! A real Traefik that reads the annotations of ingress-nginx, as the ServiceAccount that its documentation gives it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::control_plane::Cluster;
use super::{Node, ports, setup};

/// What is said to reach the Ingresses that it serves.
pub(crate) const ADDRESS: &str = "203.0.113.7";

/// The Traefik of one namespace. Killed when dropped.
pub(crate) struct Traefik {
    web: SocketAddr,
    api: SocketAddr,
    log: PathBuf,
    _child: Child,
    _folder: TempDir,
}

impl Traefik {
    /// Starts it for the Ingresses of the class `nginx` in a namespace.
    pub(crate) async fn start(cluster: &Cluster, namespace: &str) -> Self {
        cluster.apply(&objects(namespace)).await;
        let kubeconfig = cluster.service_account_kubeconfig(namespace, "traefik").await;
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let out = File::create(&log).expect("a log");
        let (web, api) = (ports::free(), ports::free());
        let provider = "--providers.kubernetesingressnginx";
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(setup::go_tool("traefik"))
            .args(["--log.level=INFO", "--log.nocolor=true", "--api.insecure=true", "--api.dashboard=false"])
            .args(["--global.checknewversion=false", "--global.sendanonymoususage=false"])
            .arg(format!("--entrypoints.web.address={web}"))
            .arg(format!("--entrypoints.traefik.address={api}"))
            .args([format!("{provider}=true"), format!("{provider}.watchnamespace={namespace}")])
            .arg(format!("{provider}.publishstatusaddress={ADDRESS}"))
            .env("KUBECONFIG", kubeconfig)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a second handle of the log"))
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .expect("the program `setpriv`");
        Self { web, api, log, _child: child, _folder: folder }
    }

    /// What the harness's clients take for a node.
    pub(crate) fn node(&self) -> Node {
        Node::at(0, self.web, Vec::new(), Path::new("/nowhere"))
    }

    /// What it has made of everything that it has read.
    pub(crate) async fn configuration(&self) -> Option<Value> {
        let answer = reqwest::get(format!("http://{}/api/rawdata", self.api)).await.ok()?;
        serde_json::from_str(&answer.text().await.ok()?).ok()
    }

    /// What it logged of that importance (`WRN`, `ERR`).
    pub(crate) fn logged(&self, level: &str) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter(|line| line.split(' ').nth(1) == Some(level)).map(str::to_owned).collect()
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- traefik ---\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

/// The class, and the rights that Traefik's documentation asks for.
fn objects(namespace: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: nginx}}
spec: {{controller: k8s.io/ingress-nginx}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: traefik, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: traefik}}
rules:
- {{apiGroups: [''], resources: [services, secrets, configmaps, namespaces], verbs: [list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
- {{apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [list, watch]}}
- {{apiGroups: [networking.k8s.io], resources: [ingresses/status], verbs: [update]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: traefik-{namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: traefik}}
subjects: [{{kind: ServiceAccount, name: traefik, namespace: {namespace}}}]
"
    )
}
