//! Finds failures in the status of pods.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;

use super::names::{COMPONENT, Component, INSTANCE};
use crate::api::reason::Reason;

/// Longest message that is passed on.
const MAX_MESSAGE_CHARS: usize = 300;

/// Whether a pod belongs to this component of the ChatCluster.
#[must_use]
pub fn belongs(pod: &Pod, namespace: &str, name: &str, component: Component) -> bool {
    let label = |key: &str| pod.labels().get(key).map(String::as_str);
    pod.metadata.namespace.as_deref() == Some(namespace)
        && label(INSTANCE) == Some(name)
        && label(COMPONENT) == Some(component.as_str())
}

/// How long a pod may stay unscheduled before that counts as a failure: provisioning a volume takes
/// time.
const SCHEDULING_GRACE: SignedDuration = SignedDuration::from_secs(10);

/// How long an exit counts as recent: longer than any backoff of a kubelet between restarts.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// The first failure that keeps a pod from running, with a message. Both stay the same as long as
/// the failure does.
#[must_use]
pub fn failure(pods: &[Arc<Pod>], now: &Time) -> Option<(Reason, String)> {
    pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).find_map(|pod| {
        let containers = pod.status.as_ref()?.container_statuses.iter().flatten();
        let (reason, message) = containers
            .filter_map(|container| container_failure(container, now))
            .next()
            .or_else(|| scheduling_failure(pod, now))?;
        Some((reason, format!("pod {}: {}", pod.name_any(), tail(&message))))
    })
}

fn scheduling_failure(pod: &Pod, now: &Time) -> Option<(Reason, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    let waiting = now.0.duration_since(pod.creation_timestamp()?.0) > SCHEDULING_GRACE;
    waiting.then(|| (Reason::Unschedulable, condition.message.clone().unwrap_or_default()))
}

fn container_failure(container: &ContainerStatus, now: &Time) -> Option<(Reason, String)> {
    let state = container.state.as_ref()?;
    let waiting = state.waiting.as_ref();
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError") => {
            let message = format!("can't pull the image {}; see the pod's Events", container.image);
            return Some((Reason::ImagePullFailed, message));
        }
        Some("CreateContainerConfigError" | "CreateContainerError") => {
            let message = waiting.and_then(|waiting| waiting.message.clone());
            return Some((Reason::ContainerConfigError, message.unwrap_or_default()));
        }
        _ => {}
    }
    // Between crashes a container runs for a while, so a recent exit counts too. An old one does
    // not.
    let loops = waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"));
    let last = state.terminated.as_ref().or(container.last_state.as_ref()?.terminated.as_ref())?;
    let recent = last.finished_at.as_ref().is_some_and(|end| now.0.duration_since(end.0) < RECENT);
    (!container.ready && last.exit_code != 0 && (loops || recent)).then(|| {
        let message = last.message.as_deref().unwrap_or_default().trim();
        (
            Reason::ContainerCrashing,
            format!("container {} exited with code {}: {message}", container.name, last.exit_code),
        )
    })
}

/// Keeps the end of a message, where a log has the cause.
fn tail(message: &str) -> String {
    let message = message.trim();
    let skipped = message.chars().count().saturating_sub(MAX_MESSAGE_CHARS);
    if skipped == 0 { message.to_owned() } else { format!("…{}", message.chars().skip(skipped).collect::<String>()) }
}
