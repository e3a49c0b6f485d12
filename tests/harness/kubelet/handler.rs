//! What a Pod may ask of its kubelet: an HTTP request, a connection, a command in a container, a pause.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::sandbox::Sandbox;

/// The container that it is asked of.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) address: Ipv4Addr,
    pub(super) container: Container,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) pid: u32,
}

impl Target {
    fn port(&self, port: &IntOrString) -> Result<i32, String> {
        match port {
            IntOrString::Int(port) => Ok(*port),
            IntOrString::String(name) => {
                let mut ports = self.container.ports.iter().flatten();
                let port = ports.find(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port);
                port.or_else(|| name.parse().ok()).ok_or_else(|| format!("no port is named {name}"))
            }
        }
    }

    /// A request, whose answer has to be a success or a redirection.
    pub(super) async fn http(&self, get: &HTTPGetAction) -> Result<(), String> {
        let host = get.host.clone().unwrap_or_else(|| self.address.to_string());
        let path = get.path.as_deref().unwrap_or("/");
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let mut request = client
            .map_err(|error| error.to_string())?
            .get(format!("{scheme}://{host}:{}{path}", self.port(&get.port)?))
            .header("User-Agent", "kube-probe/1.36");
        for header in get.http_headers.iter().flatten() {
            request = request.header(&header.name, &header.value);
        }
        let status = request.send().await.map_err(|error| error.to_string())?.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        Err(format!("HTTP probe failed with statuscode: {}", status.as_u16()))
    }

    /// A connection.
    pub(super) async fn tcp(&self, port: &IntOrString) -> Result<(), String> {
        let port = u16::try_from(self.port(port)?).map_err(|error| error.to_string())?;
        tokio::net::TcpStream::connect((self.address, port)).await.map(drop).map_err(|error| error.to_string())
    }

    /// A command in the container, which has to succeed.
    pub(super) async fn exec(&self, argv: &[String]) -> Result<(), String> {
        let output = self.sandbox.exec(self.pid, argv).output().await.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }

    /// `postStart` or `preStop`.
    pub(super) async fn hook(&self, handler: &LifecycleHandler) -> Result<(), String> {
        if let Some(exec) = &handler.exec {
            self.exec(exec.command.as_deref().unwrap_or_default()).await
        } else if let Some(get) = &handler.http_get {
            self.http(get).await
        } else if let Some(sleep) = &handler.sleep {
            tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
            Ok(())
        } else {
            Ok(())
        }
    }
}
