//! Client of the nodes' admin ports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::fleet::Report;

/// Admin port of a node.
const PORT: u16 = 9090;
const TIMEOUT: Duration = Duration::from_secs(1);
/// Concurrent requests for metrics.
const CONCURRENCY: usize = 50;
/// Number of nodes asked why they are not ready: most of them have the same cause.
const READINESS_SAMPLE: usize = 3;
const MAX_MESSAGE_BYTES: usize = 300;
/// Limit of a metrics response, many times the usual size.
const MAX_METRICS_BYTES: usize = 512 * 1024;

/// Client for the nodes of one ChatCluster.
pub(super) struct Admin<'a> {
    pub(super) http: &'a reqwest::Client,
    /// Admin token of the nodes.
    pub(super) token: String,
}

/// A failed request to a node.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error("can't reach the node: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("the node answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the pod has no IP address")]
    NoAddress,
}

impl Admin<'_> {
    /// Asks some nodes why they are not ready, unready ones first. Returns their `GET /readyz`
    /// responses; nodes that do not answer are left out.
    pub(super) async fn readiness_messages(&self, pods: &[Arc<Pod>]) -> Vec<String> {
        let mut running: Vec<(bool, String)> = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter_map(|pod| {
                let conditions = pod.status.as_ref()?.conditions.as_ref();
                let ready = conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
                Some((ready, address(pod)?))
            })
            .collect();
        running.sort();
        let requests = running.into_iter().take(READINESS_SAMPLE).map(|(_, address)| async move {
            let request = self.http.get(format!("http://{address}/readyz")).timeout(TIMEOUT);
            let mut answer = request.send().await.ok()?;
            // The address may not belong to a node, so the length is limited.
            let message = answer.chunk().await.ok()??;
            Some(String::from_utf8_lossy(message.get(..MAX_MESSAGE_BYTES).unwrap_or(&message)).into_owned())
        });
        futures_util::future::join_all(requests).await.into_iter().flatten().collect()
    }

    /// Reads the metrics of all nodes, terminating ones included. Nodes that do not answer are left
    /// out.
    pub(super) async fn reports(&self, pods: &[Arc<Pod>]) -> BTreeMap<String, Report> {
        let running: Vec<_> = pods.iter().filter_map(|pod| Some((pod.name_any(), address(pod)?))).collect();
        let requests =
            running.into_iter().map(|(name, address)| async move { Some((name, self.report(&address).await?)) });
        let answers = futures_util::stream::iter(requests).buffer_unordered(CONCURRENCY);
        answers.filter_map(async |answer| answer).collect().await
    }

    async fn report(&self, address: &str) -> Option<Report> {
        let request = self.http.get(format!("http://{address}/metrics")).timeout(TIMEOUT);
        let mut answer = request.send().await.ok()?.error_for_status().ok()?;
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.ok()? {
            if text.len() + chunk.len() > MAX_METRICS_BYTES {
                return None;
            }
            text.extend_from_slice(&chunk);
        }
        parse_report(&String::from_utf8_lossy(&text))
    }

    /// Sends a command to a node.
    pub(super) async fn post(&self, pod: &Pod, path: &str) -> Result<(), AdminError> {
        let address = address(pod).ok_or(AdminError::NoAddress)?;
        let request = self.http.post(format!("http://{address}{path}")).bearer_auth(&self.token).timeout(TIMEOUT);
        let status = request.send().await.map_err(reqwest::Error::without_url)?.status();
        if status.is_success() { Ok(()) } else { Err(AdminError::Status(status)) }
    }
}

/// Address of the admin port of a running pod.
fn address(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref().filter(|status| status.phase.as_deref() == Some("Running"))?;
    let address = status.pod_ip.as_deref()?;
    Some(if address.contains(':') { format!("[{address}]:{PORT}") } else { format!("{address}:{PORT}") })
}

/// Parses a node's metrics. `None` if they lack the number of sockets, so that they are not a
/// node's.
fn parse_report(metrics: &str) -> Option<Report> {
    let samples = || metrics.lines().filter_map(|line| line.rsplit_once(' '));
    let sockets = samples().find(|(name, _)| *name == "chat_connections")?.1.parse().ok()?;
    let state = samples()
        .filter(|(_, value)| *value == "1")
        .find_map(|(name, _)| name.strip_prefix("chat_node_state{state=\"")?.strip_suffix("\"}").map(str::to_owned));
    Some(Report { sockets, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_state_are_parsed_from_the_metrics() {
        let state = "chat_node_state{state=\"serving\"} 0\nchat_node_state{state=\"cordoned\"} 1\n";
        let report = parse_report(&format!("# TYPE chat_connections gauge\nchat_connections 17\n{state}")).unwrap();
        assert_eq!(report, Report { sockets: 17, state: Some("cordoned".into()) });
        assert_eq!(parse_report("chat_connections 3\n").unwrap().state, None, "an earlier version");
        assert_eq!(parse_report(state), None, "no node");
    }
}
