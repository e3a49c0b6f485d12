//! What the pods say of themselves.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use super::names::{COMPONENT, Component, INSTANCE};
use crate::api::reason::Reason;

/// How long a node may take to say why it is not ready.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many nodes are asked: they mostly have the same trouble.
const ASKED: usize = 3;
/// Longest word of a container that is passed on.
const MAX_WORDS: usize = 300;

/// Whether a pod belongs to this part of this ChatCluster.
#[must_use]
pub fn belongs(pod: &Pod, namespace: &str, name: &str, component: Component) -> bool {
    let label = |key: &str| pod.labels().get(key).map(String::as_str);
    pod.metadata.namespace.as_deref() == Some(namespace)
        && label(INSTANCE) == Some(name)
        && label(COMPONENT) == Some(component.as_str())
}

/// The first trouble that keeps a pod from working, and its words.
#[must_use]
pub fn trouble(pods: &[Arc<Pod>]) -> Option<(Reason, String)> {
    pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).find_map(|pod| {
        let status = pod.status.as_ref()?;
        let (reason, words) = status.container_statuses.iter().flatten().find_map(of_container).or_else(|| {
            let unscheduled = status.conditions.iter().flatten().find(|condition| {
                condition.type_ == "PodScheduled"
                    && condition.status == "False"
                    && condition.reason.as_deref() == Some("Unschedulable")
            })?;
            Some((Reason::Unschedulable, unscheduled.message.clone().unwrap_or_default()))
        })?;
        Some((reason, format!("pod {}: {}", pod.name_any(), shortened(&words))))
    })
}

fn of_container(container: &ContainerStatus) -> Option<(Reason, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let words = waiting.message.clone().unwrap_or_default();
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError" => {
            let why = waiting.reason.as_deref().unwrap_or_default();
            Some((Reason::ImagePullFailed, format!("{why} {}: {words}", container.image)))
        }
        "CreateContainerConfigError" | "CreateContainerError" => Some((Reason::ContainerConfigError, words)),
        "CrashLoopBackOff" => {
            let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            let words = last.map(|last| {
                let message = last.message.as_deref().unwrap_or_default().trim();
                format!("container {} ended with code {}: {message}", container.name, last.exit_code)
            });
            Some((Reason::ContainerCrashing, words.unwrap_or_default()))
        }
        _ => None,
    }
}

/// The end of it: that is where a log says why.
fn shortened(words: &str) -> String {
    let words = words.trim();
    let skipped = words.chars().count().saturating_sub(MAX_WORDS);
    if skipped == 0 { words.to_owned() } else { format!("…{}", words.chars().skip(skipped).collect::<String>()) }
}

/// Asks nodes that run and are not ready why, on their admin port. The words are those of
/// `GET /readyz`; whoever does not answer says nothing.
pub async fn ask(http: &reqwest::Client, pods: &[Arc<Pod>]) -> Vec<String> {
    let unready = pods.iter().filter_map(|pod| {
        let status = pod.status.as_ref()?;
        let runs = status.phase.as_deref() == Some("Running") && pod.metadata.deletion_timestamp.is_none();
        let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
        (runs && !ready).then(|| status.pod_ip.clone()).flatten()
    });
    let questions = unready.take(ASKED).map(|address| async move {
        let host = if address.contains(':') { format!("[{address}]") } else { address };
        let answer = http.get(format!("http://{host}:9090/readyz")).timeout(PATIENCE).send().await.ok()?;
        answer.text().await.ok()
    });
    futures_util::future::join_all(questions).await.into_iter().flatten().collect()
}
