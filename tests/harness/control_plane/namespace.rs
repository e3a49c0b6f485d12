//! A namespace for one test.

use std::ops::Deref;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::api::core::v1::{Namespace as Object, ServiceAccount};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::super::setup;
use super::{Cluster, processes, until_object};

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A namespace; shown if the test failed, and deleted without waiting for it.
pub(crate) struct Namespace {
    name: String,
    cluster: Cluster,
}

impl Namespace {
    /// Makes it, and waits until Pods can be created in it.
    pub(super) async fn create(cluster: &Cluster, name: &str, labels: &[(&str, &str)]) -> Self {
        let name = format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let client = cluster.client().await;
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let metadata = ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
        let object = Object { metadata, ..Object::default() };
        let namespaces: Api<Object> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &object).await.expect("a namespace");
        let accounts: Api<ServiceAccount> = Api::namespaced(client, &name);
        until_object(&accounts, "default", "there is a service account", |account| account.is_some()).await;
        Self { name, cluster: cluster.clone() }
    }

    fn kubectl(&self, args: &[&str]) -> String {
        let output = Command::new(setup::go_tool("kubectl"))
            .args(args)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .output()
            .expect("the program `kubectl`");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }
}

impl Deref for Namespace {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = "all,pvc,events";
            eprintln!(
                "--- namespace {} ---\n{}",
                self.name,
                self.kubectl(&["get", what, "-o", "wide", "-n", &self.name])
            );
            for pod in self.kubectl(&["get", "pods", "-o", "name", "-n", &self.name]).lines() {
                let pod = pod.trim_start_matches("pod/");
                let log = self.cluster.kubelet().pod_log(&self.name, pod);
                let lines: Vec<&str> = log.lines().collect();
                eprintln!("--- the last lines of {pod} ---\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
            }
            let folder = self.cluster.kubeconfig();
            let folder = folder.parent().expect("the folder of the cluster");
            eprintln!("{}", processes::last_words(folder, &self.name));
            eprintln!("--- the kubelet ---\n{}", self.cluster.kubelet().last_words(&self.name));
        }
        self.kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
