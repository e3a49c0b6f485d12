//! One Pod, from its node's first word of it to its last.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, timeout};

use super::container::{Container, Stop};
use super::network::PodNetwork;
use super::process::Pids;
use super::status::{self, Place, Record};
use super::{Host, Known, PATIENCE, faked, node, volumes};

/// Runs a Pod until it is gone.
pub(super) async fn live(host: Arc<Host>, updates: watch::Receiver<Option<Arc<Pod>>>) {
    let Some(pod) = updates.borrow().clone() else { return };
    let Some(node) = pod.spec.as_ref().and_then(|spec| node::number(spec.node_name.as_deref()?)) else { return };
    let namespace = pod.namespace().unwrap_or_default();
    let who = format!("{namespace}/{}", pod.name_any());
    let folder = host.folder.join("pods").join(pod.uid().unwrap_or_default());
    let known = Arc::new(Known { folder: folder.clone(), address: Mutex::default(), pids: Pids::default() });
    host.pods.lock().unwrap().insert((namespace.clone(), pod.name_any()), Arc::clone(&known));
    host.say(&who, "bound to a node");
    let address = host.addresses.take(node);
    *known.address.lock().unwrap() = Some(address);
    let namespaces: Api<Namespace> = Api::all(host.client.clone());
    let labels = host.persist(&who, "namespace", || namespaces.get_metadata(&namespace)).await;
    let is_faked = labels.is_some_and(|meta| meta.labels().get(faked::LABEL).is_some_and(|value| value == "faked"));
    if is_faked {
        faked::live(&host, &pod, address, updates.clone()).await;
    } else {
        let worker = Worker { host: Arc::clone(&host), pod: Arc::clone(&pod), known: Arc::clone(&known), address };
        worker.live(updates.clone()).await;
    }
    *known.address.lock().unwrap() = None;
    host.addresses.give_back(address);
    remove(&host, &who, &pod, &updates).await;
    host.say(&who, "gone");
    for part in ["etc", "volumes", "termination"] {
        // Only the logs are still of interest.
        let _ = std::fs::remove_dir_all(folder.join(part));
    }
}

/// The last word: nothing of it runs, so the API server may forget it.
async fn remove(host: &Host, who: &str, pod: &Pod, updates: &watch::Receiver<Option<Arc<Pod>>>) {
    if updates.borrow().is_none() {
        return;
    }
    let pods: Api<Pod> = Api::namespaced(host.client.clone(), &pod.namespace().unwrap_or_default());
    let preconditions = Preconditions { uid: pod.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default().grace_period(0) };
    host.persist(who, "deletion", || pods.delete(pod.metadata.name.as_deref().unwrap_or_default(), &params)).await;
}

struct Worker {
    host: Arc<Host>,
    pod: Arc<Pod>,
    known: Arc<Known>,
    address: Ipv4Addr,
}

impl Worker {
    async fn live(&self, updates: watch::Receiver<Option<Arc<Pod>>>) {
        let record = Arc::new(Record::new(&self.pod));
        let writer = tokio::spawn(status::write(Arc::clone(&self.host), Arc::clone(&record), updates.clone()));
        let (stop, stopped) = watch::channel(None);
        // Its end is told to the containers, and what they do then is waited for.
        let deletion = tokio::spawn(told(updates.clone(), stop));
        let network = self.run(&record, stopped.clone()).await;
        let mut stopped = stopped;
        let _ = stopped.wait_for(Option::is_some).await;
        if let Some(network) = network {
            network.remove().await;
        }
        self.host.hosts.forget(&self.pod);
        record.change(|state| state.ended = true);
        let _ = writer.await;
        deletion.abort();
    }

    /// Runs all containers until none is to be started again.
    async fn run(&self, record: &Arc<Record>, mut stop: watch::Receiver<Option<Stop>>) -> Option<PodNetwork> {
        let etc = self.known.folder.join("etc");
        make_etc(&etc);
        let network = loop {
            if stop.borrow().is_some() {
                return None;
            }
            match timeout(PATIENCE, PodNetwork::join(self.address, self.host.holder)).await {
                Ok(Ok(network)) => break network,
                Ok(Err(error)) => self.host.say(&self.who(), &format!("FailedCreatePodSandBox: {error}")),
                Err(_) => self.host.say(&self.who(), &format!("FailedCreatePodSandBox: not within {PATIENCE:?}")),
            }
            sleep(Duration::from_millis(300)).await;
        };
        self.host.say(&self.who(), &format!("has a network and {}", self.address));
        record.change(|state| state.address = Some(self.address));
        self.host.hosts.keep(&self.pod, self.address.to_string(), &etc);
        let Some(volumes) = self.volumes(&mut stop).await else { return Some(network) };
        self.host.say(&self.who(), "has its volumes");
        let volumes = Arc::new(volumes);
        let renewal = tokio::spawn(renew(Arc::clone(&self.host), Arc::clone(&self.pod), self.known.folder.clone()));
        let container = |spec: &k8s_openapi::api::core::v1::Container, place| Container {
            host: Arc::clone(&self.host),
            pod: Arc::clone(&self.pod),
            known: Arc::clone(&self.known),
            spec: spec.clone(),
            place,
            record: Arc::clone(record),
            entry: network.entry(),
            address: self.address,
            volumes: Arc::clone(&volumes),
            stop: stop.clone(),
        };
        let spec = self.pod.spec.clone().unwrap_or_default();
        let mut initialized = true;
        for (number, init) in spec.init_containers.iter().flatten().enumerate() {
            initialized = initialized && container(init, Place::Init(number)).run().await;
        }
        if initialized {
            record.change(|state| state.initialized = true);
            let all = spec.containers.iter().enumerate();
            join_all(all.map(|(number, main)| container(main, Place::Main(number)).run())).await;
        }
        renewal.abort();
        Some(network)
    }

    fn who(&self) -> String {
        format!("{}/{}", self.pod.namespace().unwrap_or_default(), self.pod.name_any())
    }

    /// Waits for all volumes; nothing if the Pod has to end before.
    async fn volumes(&self, stop: &mut watch::Receiver<Option<Stop>>) -> Option<BTreeMap<String, PathBuf>> {
        loop {
            if stop.borrow().is_some() {
                return None;
            }
            match timeout(PATIENCE, volumes::make(&self.host, &self.pod, &self.known.folder)).await {
                Ok(Ok(volumes)) => return Some(volumes),
                Ok(Err(problem)) => self.host.say(&self.who(), &format!("FailedMount: {problem}")),
                Err(_) => self.host.say(&self.who(), &format!("FailedMount: not within {PATIENCE:?}")),
            }
            tokio::select! {
                () = sleep(Duration::from_millis(500)) => {}
                _ = stop.wait_for(Option::is_some) => {}
            }
        }
    }
}

/// Tells the containers when their Pod has to end, and when it is gone already.
async fn told(mut updates: watch::Receiver<Option<Arc<Pod>>>, stop: watch::Sender<Option<Stop>>) {
    loop {
        let pod = updates.borrow_and_update().clone();
        let Some(pod) = pod else {
            stop.send_replace(Some(Stop(Instant::now())));
            return;
        };
        if pod.metadata.deletion_timestamp.is_some() {
            let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
            let end = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            stop.send_if_modified(|stop| {
                let is_new = stop.is_none_or(|Stop(earlier)| end < earlier);
                if is_new {
                    *stop = Some(Stop(end));
                }
                is_new
            });
        }
        if updates.changed().await.is_err() {
            return;
        }
    }
}

/// Brings what is mounted up to date when a Secret or a ConfigMap beside it changes.
async fn renew(host: Arc<Host>, pod: Arc<Pod>, folder: PathBuf) {
    let mut changes = host.changes.subscribe();
    let own = pod.namespace().unwrap_or_default();
    loop {
        match changes.recv().await {
            Ok(namespace) if namespace != own => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                // What is gone stays mounted as it was.
                let _ = volumes::make(&host, &pod, &folder).await;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// What a container runtime puts into `/etc`.
fn make_etc(etc: &Path) {
    for place in ["ssl", "alternatives"] {
        std::fs::create_dir_all(etc.join(place)).expect("a folder for /etc");
    }
    let files = [
        ("passwd", "root:x:0:0:root:/:/bin/sh\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"),
        ("group", "root:x:0:\nnonroot:x:65532:\n"),
        ("nsswitch.conf", "hosts: files\n"),
        ("resolv.conf", ""),
    ];
    for (name, text) in files {
        std::fs::write(etc.join(name), text).expect("a file in /etc");
    }
}
