//! Pods that only seem to run, for tests with hundreds of them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use super::Host;
use super::status::{self, Place, Record, now};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning};

/// A namespace with this label and the value `faked` has no processes.
pub(super) const LABEL: &str = "tests.chatcluster.dev/pods";

/// Says that it runs and is ready, until it has to end.
pub(super) async fn live(
    host: &Arc<Host>,
    pod: &Pod,
    address: Ipv4Addr,
    mut updates: watch::Receiver<Option<Arc<Pod>>>,
) {
    let record = Arc::new(Record::new(pod));
    let spec = pod.spec.clone().unwrap_or_default();
    record.change(|state| (state.address, state.initialized) = (Some(address), true));
    let places = (0..spec.init_containers.map_or(0, |all| all.len())).map(Place::Init);
    for place in places.chain((0..spec.containers.len()).map(Place::Main)) {
        record.change_container(place, |status| {
            let running = ContainerStateRunning { started_at: Some(now()) };
            status.state = Some(ContainerState { running: Some(running), ..ContainerState::default() });
            (status.ready, status.started) = (true, Some(true));
        });
    }
    let writer = tokio::spawn(status::write(Arc::clone(host), record, updates.clone()));
    let ends = |pod: &Option<Arc<Pod>>| pod.as_ref().is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
    // If nobody tells of it any more, the cluster has ended.
    let _ = updates.wait_for(ends).await;
    writer.abort();
}
