//! In the place of DNS: `/etc/hosts` with the names of all Services. They lead to the Service's own address, or, if it
//! has none, to its ready endpoints.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_util::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::super::control_plane;
use super::Host;

/// What is known by namespace and name.
type All<K> = Mutex<BTreeMap<(String, String), K>>;

/// The Services of the cluster with their endpoints, and the Pods that have a hosts file.
#[derive(Default)]
pub(super) struct Hosts {
    services: All<Service>,
    slices: All<EndpointSlice>,
    /// By the uid of the Pod.
    files: Mutex<BTreeMap<String, Kept>>,
}

/// A Pod that has a hosts file.
struct Kept {
    pod: Arc<Pod>,
    address: String,
    etc: PathBuf,
}

impl Hosts {
    /// Begins to keep the hosts file in the folder `etc` of a Pod.
    pub(super) fn keep(&self, pod: &Arc<Pod>, address: String, etc: &Path) {
        let entry = Kept { pod: Arc::clone(pod), address, etc: etc.to_owned() };
        self.write(&entry);
        self.files.lock().unwrap().insert(pod.uid().unwrap_or_default(), entry);
    }

    /// Lets go of it.
    pub(super) fn forget(&self, pod: &Pod) {
        self.files.lock().unwrap().remove(&pod.uid().unwrap_or_default());
    }

    fn write_all(&self) {
        for entry in self.files.lock().unwrap().values() {
            self.write(entry);
        }
    }

    fn write(&self, Kept { pod, address, etc }: &Kept) {
        let text = self.text(pod, address);
        let file = etc.join("hosts");
        if std::fs::read_to_string(&file).is_ok_and(|present| present == text) {
            return;
        }
        // In one step, so that nobody reads half a file. The folder may be gone, with its Pod.
        let next = etc.join(".hosts");
        let _ = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &file));
    }

    fn text(&self, pod: &Pod, address: &str) -> String {
        let namespace = pod.namespace().unwrap_or_default();
        let spec = pod.spec.clone().unwrap_or_default();
        let hostname = spec.hostname.unwrap_or_else(|| pod.name_any());
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        let own = spec.subdomain.map(|domain| format!("{hostname}.{domain}.{namespace}.svc.cluster.local "));
        let _ = writeln!(text, "{address} {}{hostname}", own.unwrap_or_default());
        let services = self.services.lock().unwrap();
        for ((of, name), service) in services.iter() {
            if let Some(address) = own_address(service) {
                let _ = writeln!(text, "{address} {}", names(name, of, *of == namespace).join(" "));
            }
        }
        for slice in self.slices.lock().unwrap().values() {
            let Some(service) = slice.labels().get("kubernetes.io/service-name") else { continue };
            let of = slice.namespace().unwrap_or_default();
            if services.get(&(of.clone(), service.clone())).is_none_or(|service| own_address(service).is_some()) {
                continue;
            }
            for endpoint in &slice.endpoints {
                // Where a Service publishes addresses that are not ready, its endpoints are called ready.
                if endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(false) {
                    continue;
                }
                let mut names = names(service, &of, of == namespace);
                if let Some(host) = &endpoint.hostname {
                    names.extend(self::names(&format!("{host}.{service}"), &of, of == namespace));
                }
                for address in &endpoint.addresses {
                    let _ = writeln!(text, "{address} {}", names.join(" "));
                }
            }
        }
        for alias in spec.host_aliases.iter().flatten() {
            let _ = writeln!(
                text,
                "{} {}",
                alias.ip,
                alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join(" ")
            );
        }
        text
    }
}

/// What the search list of a Pod would find it by.
fn names(name: &str, namespace: &str, short: bool) -> Vec<String> {
    let mut names = vec![
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}.svc.cluster.local"),
    ];
    if short {
        names.insert(0, name.to_owned());
    }
    names
}

fn own_address(service: &Service) -> Option<&str> {
    let address = service.spec.as_ref()?.cluster_ip.as_deref()?;
    Some(address).filter(|address| !address.is_empty() && *address != "None")
}

/// Keeps all hosts files up to date.
pub(super) async fn watch(host: Arc<Host>) {
    tokio::join!(follow(&host, |hosts| &hosts.services), follow(&host, |hosts| &hosts.slices));
}

async fn follow<K>(host: &Host, known: impl Fn(&Hosts) -> &All<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = control_plane::watch(Api::<K>::all(host.client.clone()), watcher::Config::default());
    let mut events = std::pin::pin!(events);
    let mut fresh = BTreeMap::new();
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    while let Some(first) = events.next().await {
        let mut event = Some(first);
        // What has come together is written together.
        while let Some(now) = event {
            let known = known(&host.hosts);
            match now {
                Ok(Event::Apply(object)) => drop(known.lock().unwrap().insert(key(&object), object)),
                Ok(Event::Delete(object)) => drop(known.lock().unwrap().remove(&key(&object))),
                Ok(Event::Init) => fresh.clear(),
                Ok(Event::InitApply(object)) => drop(fresh.insert(key(&object), object)),
                Ok(Event::InitDone) => *known.lock().unwrap() = std::mem::take(&mut fresh),
                Err(error) => host.say("-", &format!("watching Services: {error}")),
            }
            event = events.next().now_or_never().flatten();
        }
        host.hosts.write_all();
    }
}
