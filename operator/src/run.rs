//! Starts the operator and shuts it down.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::FutureExt;
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::controller::{self, Settings};
use crate::crd_check;
use crate::http::{self, Readiness};
use crate::leader::Election;
use crate::metrics::Metrics;
use crate::metrics::requests::CountRequests;

/// Name of the Lease for leader election.
const LEASE: &str = "chat-operator";
/// How often the CRD is checked while it is incompatible.
const CRD_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long reconciliations in progress may take at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Options of `operator run`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Namespace to watch for ChatClusters. If unset, the operator watches all namespaces
    #[arg(long, env = "CHAT_OPERATOR_WATCH_NAMESPACE", value_name = "NAMESPACE")]
    pub watch_namespace: Option<String>,

    /// Namespace of the operator's own pods. It holds the Lease for leader election, and the nodes'
    /// NetworkPolicies admit the operator's pods from it
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = "chat-system")]
    pub namespace: String,

    /// Identity of this replica in the leader election. Must be unique among the replicas
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: String,

    /// Address for /livez, /readyz and /metrics
    #[arg(long, env = "CHAT_OPERATOR_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Log format: json, pretty (plain lines), or auto, which is pretty on a terminal and json
    /// otherwise
    #[arg(long, env = "CHAT_OPERATOR_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Log format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain lines on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// Plain lines.
    Pretty,
}

/// Why the operator stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable client configuration.
    #[error("can't load the Kubernetes client configuration: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The client can't be created.
    #[error("can't create a client for the API server: {0}")]
    Client(#[from] kube::Error),
    /// The address can't be bound.
    #[error("can't listen on --listen {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Two metrics have the same name.
    #[error("can't register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The HTTP client for the nodes' admin ports can't be created.
    #[error("can't create an HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// The Lease was lost. Another replica may be the leader, so this one must stop.
    #[error("lost the Lease: another replica may be the leader")]
    LeaseLost,
}

/// Runs until `stop` resolves.
///
/// # Errors
/// See [`Error`]. After a lost Lease the process must be restarted.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let metrics = Metrics::new()?;
    let client = client(&metrics).await?;
    let readiness = Readiness::default();
    let listener = TcpListener::bind(options.listen).await.map_err(|error| Error::Listen(options.listen, error))?;
    let routes = http::router(readiness.clone(), metrics.clone());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let result = run_elected(&options, client, &metrics, &readiness, stop).await;
    server.abort();
    result
}

async fn run_elected(
    options: &Options,
    client: Client,
    metrics: &Metrics,
    readiness: &Readiness,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    tokio::pin!(stop);
    let mut election = Election::new(client.clone(), &options.namespace, LEASE, &options.identity, metrics.clone());
    tokio::select! {
        () = &mut stop => return Ok(()),
        () = async {
            wait_for_crd(&client, readiness).await;
            election.acquire().await;
        } => {}
    }
    metrics.set_leader(true);
    let settings = Settings {
        namespace: options.watch_namespace.clone(),
        operator_namespace: options.namespace.clone(),
        identity: options.identity.clone(),
    };
    let (end, ended) = oneshot::channel::<()>();
    let controller = controller::run(client, settings, metrics.clone(), ended.map(|_| ()));
    let mut controller = Box::pin(controller);
    tokio::select! {
        // Dropping the controller stops its reconciliations at once: another replica may start at
        // any moment.
        () = election.hold() => return Err(Error::LeaseLost),
        result = &mut controller => result?,
        () = &mut stop => {
            let _ = end.send(());
            tokio::select! {
                () = election.hold() => return Err(Error::LeaseLost),
                result = tokio::time::timeout(SHUTDOWN_TIMEOUT, &mut controller) => {
                    if let Ok(result) = result {
                        result?;
                    }
                }
            }
        }
    }
    // Reconciliations that did not finish in time stop here, before another replica can acquire the
    // Lease.
    drop(controller);
    metrics.set_leader(false);
    election.release().await;
    Ok(())
}

/// Waits until the installed CRD is compatible with this operator.
async fn wait_for_crd(client: &Client, readiness: &Readiness) {
    let mut logged = String::new();
    while let Err(reason) = crd_check::check(client).await {
        if logged != reason {
            tracing::error!("{reason}");
            readiness.set_not_ready(&reason);
            logged = reason;
        }
        tokio::time::sleep(CRD_CHECK_INTERVAL).await;
    }
    readiness.set_ready();
}

async fn client(metrics: &Metrics) -> Result<Client, Error> {
    let config = Config::infer().await?;
    Ok(ClientBuilder::try_from(config)?.with_layer(&CountRequests(metrics.clone())).build())
}
