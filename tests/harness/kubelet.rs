//! The harness's own kubelet: three Nodes, and every Pod that is bound to one of them as real processes.
//!
//! Each Pod has a network namespace with an address of its own; each container is a real program in a sandbox of
//! bubblewrap (mounts, processes, user) with the files, environment, probes and termination that its Pod says. There is
//! no DNS: `/etc/hosts` has what it would say of all Services. Pods in namespaces labelled `tests.chatcluster.dev/pods=faked`
//! are said to run, and nothing is started for them.

mod container;
mod environment;
mod faked;
mod handler;
mod hosts;
mod image;
mod network;
mod node;
mod pod;
mod probe;
mod process;
mod sandbox;
mod security;
mod status;
mod usage;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use super::control_plane;
use hosts::Hosts;
use network::Addresses;
pub(crate) use network::link;
use process::Pids;
pub(crate) use usage::{PodUsage, Usages};

/// What takes longer is said to be missing, and tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The kubelet of all nodes.
pub(crate) struct Kubelet(Arc<Host>);

/// What the workers of all Pods share.
struct Host {
    client: Client,
    folder: PathBuf,
    /// The process that holds the cluster network.
    holder: u32,
    addresses: Addresses,
    hosts: Hosts,
    /// Namespaces in which a Secret or a ConfigMap changed.
    changes: broadcast::Sender<String>,
    /// By namespace and name, also of Pods that are gone: the newest of that name.
    pods: Mutex<BTreeMap<(String, String), Arc<Known>>>,
    usages: Arc<Usages>,
}

/// What is known of a Pod outside of its worker.
struct Known {
    folder: PathBuf,
    address: Mutex<Option<Ipv4Addr>>,
    pids: Pids,
}

impl Kubelet {
    /// The name of a node.
    pub(crate) const FIRST_NODE: &str = "node-1";

    /// Registers the nodes and begins to watch.
    pub(crate) async fn start(client: Client, folder: &Path, holder: u32) -> Self {
        let folder = folder.join("kubelet");
        std::fs::create_dir_all(&folder).expect("a folder for the kubelet");
        let host = Arc::new(Host {
            client: client.clone(),
            folder,
            holder,
            addresses: Addresses::default(),
            hosts: Hosts::default(),
            changes: broadcast::channel(1024).0,
            pods: Mutex::default(),
            usages: Arc::default(),
        });
        tokio::spawn(hosts::watch(Arc::clone(&host)));
        tokio::spawn(watch_changes::<Secret>(Arc::clone(&host)));
        tokio::spawn(watch_changes::<ConfigMap>(Arc::clone(&host)));
        tokio::spawn(watch_pods(Arc::clone(&host)));
        tokio::spawn(usage::measure(Arc::clone(&host)));
        for number in 1..=node::NODES {
            node::register(&host, number).await;
        }
        Self(host)
    }

    fn known(&self, namespace: &str, pod: &str) -> Option<Arc<Known>> {
        self.0.pods.lock().unwrap().get(&(namespace.to_owned(), pod.to_owned())).cloned()
    }

    /// What all containers of a Pod have printed, before restarts too; also of a Pod that is gone.
    pub(crate) fn pod_log(&self, namespace: &str, pod: &str) -> String {
        let Some(known) = self.known(namespace, pod) else { return String::new() };
        let mut logs: Vec<PathBuf> = std::fs::read_dir(known.folder.join("logs"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        logs.sort();
        let texts = logs.iter().map(|log| std::fs::read(log).unwrap_or_default());
        texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
    }

    /// The address of a Pod, while it has one.
    pub(crate) fn pod_address(&self, namespace: &str, pod: &str) -> Option<Ipv4Addr> {
        *self.known(namespace, pod)?.address.lock().unwrap()
    }

    /// The ids of the main processes of a Pod that run now, by container.
    pub(crate) fn pids(&self, namespace: &str, pod: &str) -> BTreeMap<String, u32> {
        self.known(namespace, pod).map(|known| known.pids.all()).unwrap_or_default()
    }

    /// What the containers of all Pods use.
    pub(crate) fn usages(&self) -> Arc<Usages> {
        Arc::clone(&self.0.usages)
    }

    /// Sends a signal (`KILL`, `STOP`, …) to the main process of the one container of a Pod, as from outside of it.
    pub(crate) fn kill_container(&self, namespace: &str, pod: &str, signal: &str) {
        let pids = self.pids(namespace, pod);
        assert_eq!(pids.len(), 1, "{namespace}/{pod} runs one container: {pids:?}");
        for pid in pids.into_values() {
            super::signal(pid, signal);
        }
    }

    /// What the kubelet did and could not do in a namespace of late.
    pub(crate) fn last_words(&self, namespace: &str) -> String {
        let text = std::fs::read_to_string(self.0.folder.join("kubelet.log")).unwrap_or_default();
        let (prefix, of_all) = (format!("{namespace}/"), "-: ");
        let lines: Vec<&str> =
            text.lines().filter(|line| line.starts_with(&prefix) || line.starts_with(of_all)).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Host {
    /// Writes a line to the kubelet's log; `who` is `NAMESPACE/POD`.
    fn say(&self, who: &str, what: &str) {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("kubelet.log"));
        // The folder is gone only when the cluster ends.
        if let Ok(mut log) = log {
            let _ = log.write_all(format!("{who}: {what}\n").as_bytes());
        }
    }

    /// Asks the API server until it answers, for it may just be starting again. Nothing, if what is asked for cannot
    /// be, because it exists already or no longer.
    async fn persist<T, F>(&self, who: &str, what: &str, mut ask: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut told = String::new();
        loop {
            let Ok(answer) = timeout(PATIENCE, ask()).await else {
                self.say(who, &format!("{what}: no answer within {PATIENCE:?}"));
                continue;
            };
            let problem = match answer {
                Ok(answer) => return Some(answer),
                Err(kube::Error::Api(status)) if status.code == 409 => return None,
                Err(kube::Error::Api(status)) if status.code == 404 && status.message.contains("pods ") => return None,
                Err(error) => error.to_string(),
            };
            if problem != told {
                self.say(who, &format!("{what}: {problem}"));
                told = problem;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

/// Tells of namespaces in which something is made, changed or deleted.
async fn watch_changes<K>(host: Arc<Host>)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let events = control_plane::watch(Api::<K>::all(host.client.clone()), watcher::Config::default());
    let mut events = std::pin::pin!(events.touched_objects());
    while let Some(object) = events.next().await {
        if let Some(namespace) = object.ok().and_then(|object| object.namespace()) {
            // Nobody may be listening.
            let _ = host.changes.send(namespace);
        }
    }
}

/// Gives each Pod that is bound to a node a worker, and tells it what becomes of the Pod.
async fn watch_pods(host: Arc<Host>) {
    let config = watcher::Config::default().fields("spec.nodeName!=");
    let mut events = std::pin::pin!(control_plane::watch(Api::<Pod>::all(host.client.clone()), config));
    let mut workers: BTreeMap<String, watch::Sender<Option<Arc<Pod>>>> = BTreeMap::new();
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => {
                let uid = pod.uid().expect("a uid");
                listed.insert(uid.clone());
                let pod = Arc::new(pod);
                if let Some(worker) = workers.get(&uid) {
                    worker.send_replace(Some(pod));
                } else {
                    let (updates, pod) = watch::channel(Some(pod));
                    workers.insert(uid, updates);
                    tokio::spawn(pod::live(Arc::clone(&host), pod));
                }
            }
            Ok(Event::Delete(pod)) => gone(&mut workers, &pod.uid().expect("a uid")),
            Ok(Event::InitDone) => {
                let missing: Vec<String> = workers.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
                for uid in missing {
                    gone(&mut workers, &uid);
                }
            }
            Err(error) => host.say("-", &format!("watching Pods: {error}")),
        }
    }
}

fn gone(workers: &mut BTreeMap<String, watch::Sender<Option<Arc<Pod>>>>, uid: &str) {
    if let Some(worker) = workers.remove(uid) {
        worker.send_replace(None);
    }
}
