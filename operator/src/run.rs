//! Puts the operator together and takes it down.

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

/// The Lease that one replica holds.
const LEASE: &str = "chat-operator";
/// How soon a crd_check that does not fit is looked at again.
const CRD_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long what was begun may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// How the operator works.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The one namespace whose ChatClusters are carried out. Without it those of all
    #[arg(long, env = "CHAT_OPERATOR_WATCH_NAMESPACE", value_name = "NAMESPACE")]
    pub watch_namespace: Option<String>,

    /// The namespace that the operator's own pods are in: its Lease is there, and the nodes let its
    /// pods reach their admin port
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = "chat-system")]
    pub namespace: String,

    /// The name of this replica, unlike any other's
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: String,

    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "CHAT_OPERATOR_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// How logs are written: json, pretty for plain lines, or auto, which is pretty on a terminal and json elsewhere
    #[arg(long, env = "CHAT_OPERATOR_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain lines on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// An object a line.
    Json,
    /// Plain lines.
    Pretty,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no API server to talk to.
    #[error("no way to the API server: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// No client can be made of the configuration.
    #[error("no client for the API server: {0}")]
    Client(#[from] kube::Error),
    /// The address is taken, or none of this machine's.
    #[error("--listen {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// A mistake in the names of the metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// No client for the nodes' admin ports can be made.
    #[error("no HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// Another replica may be at run_elected: this one must not be.
    #[error("the Lease is lost")]
    LeaseLost,
}

/// Works until `stop` is done.
///
/// # Errors
/// See [`Error`]. A lost Lease is one: whoever runs the operator starts it anew.
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
        // Dropped with all that it has begun: another replica may start any moment.
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
    // With whatever has not ended in time: only then may another begin.
    drop(controller);
    metrics.set_leader(false);
    election.release().await;
    Ok(())
}

/// Waits for a crd_check that this operator can run_elected with.
async fn wait_for_crd(client: &Client, readiness: &Readiness) {
    let mut logged = String::new();
    while let Err(why) = crd_check::check(client).await {
        if logged != why {
            tracing::error!("{why}");
            readiness.unready(&why);
            logged = why;
        }
        tokio::time::sleep(CRD_CHECK_INTERVAL).await;
    }
    readiness.ready();
}

async fn client(metrics: &Metrics) -> Result<Client, Error> {
    let config = Config::infer().await?;
    Ok(ClientBuilder::try_from(config)?.with_layer(&CountRequests(metrics.clone())).build())
}
