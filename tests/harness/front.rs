//! Our own nginx before a Service of the cluster: it looks up every 2 s where the ready endpoints are, as a headless
//! Service's name would say, and is never reloaded.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::runtime::reflector;
use kube::runtime::watcher::{self, Event};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::control_plane::{Cluster, until_list, watch};
use super::deployment::{Service, hosts, last_words, reaches_a_node, start_dnsmasq, start_nginx};
use super::{Node, ports};

/// The list that the name server reads, in the folder of a front.
const LIST: &str = "hosts";

/// nginx, its name server, and who tells that one of the endpoints; stopped when dropped.
pub(crate) struct Front {
    at: SocketAddr,
    _nginx: Service,
    follower: JoinHandle<()>,
    dir: TempDir,
}

impl Front {
    /// Starts it before a Service, of which an endpoint has to become ready.
    pub(crate) async fn start(cluster: &Cluster, namespace: &str, service: &str) -> Self {
        let dir = TempDir::with_prefix("chatcluster-front-").expect("a folder for nginx");
        // Started by root, nginx works as somebody else.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("to open the folder");
        let api: Api<EndpointSlice> = Api::namespaced(cluster.client().await, namespace);
        let labels = format!("kubernetes.io/service-name={service}");
        let what = format!("an endpoint of {service} is ready");
        let slices = until_list(&api, &labels, &what, |slices| !ready(slices).is_empty()).await;
        let endpoints = ready(&slices);
        let port = endpoints.first().expect("an endpoint").port();
        tell(dir.path(), &endpoints);
        let (resolver, at) = (ports::free(), ports::free());
        let dnsmasq = start_dnsmasq(&dir.path().join(LIST), resolver, dir.path());
        let nginx = start_nginx(dir.path(), at, port, resolver, "");
        // Then the name server is up too: before, it could not be told of a change.
        reaches_a_node(at, "").await;
        let follower = tokio::spawn(follow(api, labels, endpoints, dir.path().to_owned(), dnsmasq));
        Self { at, _nginx: nginx, follower, dir }
    }

    /// Where the chat is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// The same, as the harness's clients know a node.
    pub(crate) fn node(&self) -> Node {
        Node::at(0, self.at, Vec::new(), self.dir.path())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.follower.abort();
        if std::thread::panicking() {
            eprintln!("{}", last_words(self.dir.path()));
        }
    }
}

/// Keeps the list at what the cluster says.
async fn follow(
    api: Api<EndpointSlice>,
    labels: String,
    mut told: BTreeSet<SocketAddr>,
    dir: std::path::PathBuf,
    dnsmasq: Service,
) {
    let (store, writer) = reflector::store();
    let config = watcher::Config::default().labels(&labels);
    let mut events = pin!(reflector::reflector(writer, watch(api, config)));
    while let Some(event) = events.next().await {
        // While it is being listed, and while the API server is away, what was known before holds.
        if !matches!(event, Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_))) {
            continue;
        }
        let endpoints = ready(store.state().iter().map(Arc::as_ref));
        if endpoints != told {
            tell(&dir, &endpoints);
            dnsmasq.read_again();
            told = endpoints;
        }
    }
}

fn tell(dir: &Path, endpoints: &BTreeSet<SocketAddr>) {
    fs::write(dir.join(LIST), hosts(endpoints.iter().copied())).expect("the list of endpoints");
}

/// The addresses of the endpoints that take clients.
fn ready<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> BTreeSet<SocketAddr> {
    let mut all = BTreeSet::new();
    for slice in slices {
        let port = slice.ports.iter().flatten().find_map(|port| u16::try_from(port.port?).ok());
        let Some(port) = port else { continue };
        let ready = slice
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true));
        all.extend(ready.flat_map(|endpoint| &endpoint.addresses).map(|address| {
            let address: std::net::IpAddr = address.parse().expect("an address");
            SocketAddr::new(address, port)
        }));
    }
    all
}
