//! A proxy between one operator and the API server that knows what the operator writes, and can end it after any write:
//! the API server has done it, and the operator never hears so.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::control_plane::Cluster;
use super::ports;

/// More than etcd would take.
const LARGEST_REQUEST: usize = 4 << 20;

/// A running proxy; takes no more connections when dropped.
pub(crate) struct ApiProxy {
    listen: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    /// Is nobody to the API server: who asks has a token.
    client: Client,
    state: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    writes: Vec<String>,
    /// After how many more writes whom to end.
    fuse: Option<(usize, Pid)>,
    fired: bool,
}

impl ApiProxy {
    /// Carries each request to the API server of this cluster.
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let mut config = config.expect("a configuration");
        config.auth_info = AuthInfo::default();
        // A refusal is for the operator to hear.
        config.default_retry = false;
        let listen = ports::free();
        let listener = TcpListener::bind(listen).await.expect("the port that was free");
        let shared = Arc::new(Shared { client: Client::try_from(config).expect("a client"), state: Mutex::default() });
        let router = Router::new().fallback(carry).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { listen, shared, serving }
    }

    /// What a kubeconfig calls the server.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Changes a kubeconfig so that it leads here.
    pub(crate) fn lead(&self, kubeconfig: &Path) {
        let text = std::fs::read_to_string(kubeconfig).expect("a kubeconfig");
        let mut config: Value = serde_json::from_str(&text).expect("JSON, as the harness writes it");
        config["clusters"][0]["cluster"] = json!({"server": self.url()});
        std::fs::write(kubeconfig, config.to_string()).expect("a kubeconfig");
    }

    /// Has the process end (`kill -9`) when the API server has answered so many more writes, the last of them before
    /// the answer is passed on.
    pub(crate) fn kill_after(&self, writes: usize, pid: u32) {
        let pid = Pid::from_raw(pid.cast_signed()).expect("not 0");
        let mut state = self.shared.state.lock().unwrap();
        (state.fuse, state.fired) = (Some((writes, pid)), false);
    }

    /// Whether that has happened.
    pub(crate) fn fired(&self) -> bool {
        self.shared.state.lock().unwrap().fired
    }

    /// Lets it not happen any more; whether it had.
    pub(crate) fn disarm(&self) -> bool {
        let mut state = self.shared.state.lock().unwrap();
        state.fuse = None;
        state.fired
    }

    /// All that the API server was asked to write so far, `VERB RESOURCE NAME/SUBRESOURCE` in the order of its answers:
    /// `patch replicasets chat-1a2b`, `create events`, `patch chatclusters chat/status`. Without Leases, and without
    /// reviews, which store nothing.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().writes.clone()
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    /// Takes down a write that is done; whether that was the end of the operator.
    fn wrote(&self, write: String) -> bool {
        let mut state = self.state.lock().unwrap();
        state.writes.push(write);
        let Some((left, pid)) = state.fuse else { return false };
        if left > 1 {
            state.fuse = Some((left - 1, pid));
            return false;
        }
        (state.fuse, state.fired) = (None, true);
        kill_process(pid, Signal::KILL).expect("a process that the test has not waited for yet");
        true
    }
}

async fn carry(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let write = write(request.method(), request.uri().path());
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_REQUEST).await else { return StatusCode::BAD_REQUEST.into_response() };
    let request = Request::from_parts(head, kube::client::Body::from(body));
    let answer = match shared.client.send(request).await {
        // Piece by piece, for a watch has no end.
        Ok(answer) => answer.map(Body::new),
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    if write.is_some_and(|write| shared.wrote(write)) {
        // Nobody is there any more: the connection ends, and this with it.
        std::future::pending::<()>().await;
    }
    answer
}

/// What a request is to write; nothing if it only reads.
fn write(method: &Method, path: &str) -> Option<String> {
    let mut parts = path.trim_matches('/').split('/');
    // `/api/VERSION/…`, `/apis/GROUP/VERSION/…`
    match parts.next()? {
        "api" => parts.next()?,
        "apis" => parts.nth(1)?,
        _ => return None,
    };
    let mut parts: Vec<&str> = parts.collect();
    if parts.len() > 2 && parts[0] == "namespaces" {
        parts.drain(..2);
    }
    let (resource, name) = parts.split_first()?;
    if *resource == "leases" || resource.ends_with("reviews") {
        return None;
    }
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => return None,
    };
    Some(format!("{verb} {resource} {}", name.join("/")).trim_end().to_owned())
}
