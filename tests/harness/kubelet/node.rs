//! Nodes: three of them, each in a zone of its own, all of which this process is.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::Host;

/// How many nodes there are.
pub(super) const NODES: u8 = 3;

/// The name of a node.
pub(super) fn name(number: u8) -> String {
    format!("node-{number}")
}

/// The number of the node of that name.
pub(super) fn number(name: &str) -> Option<u8> {
    (1..=NODES).find(|number| self::name(*number) == name)
}

/// The address of a node, which the cluster network has on its loopback.
pub(super) fn address(number: u8) -> String {
    format!("10.0.0.{}", 10 + number)
}

/// Registers a node and keeps up its heartbeat.
pub(super) async fn register(host: &Arc<Host>, number: u8) {
    let name = name(number);
    let resources = json!({"cpu": "200", "memory": "1Ti", "ephemeral-storage": "100Gi", "pods": "1000"});
    let now = Timestamp::now();
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "",
            "lastHeartbeatTime": now.to_string(), "lastTransitionTime": now.to_string(),
        })
    };
    let node = json!({
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "tests",
                "topology.kubernetes.io/zone": format!("zone-{number}"),
            },
        },
        "spec": {"podCIDR": format!("10.244.{}.0/18", u16::from(number - 1) * 64)},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address(number)},
                {"type": "Hostname", "address": name},
            ],
            "capacity": resources,
            "allocatable": resources,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID"),
                condition("Ready", "True", "KubeletReady"),
            ],
            "nodeInfo": {
                "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "bubblewrap://0.8",
                "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "v1.36.0", "machineID": "",
                "operatingSystem": "linux", "osImage": "tests", "systemUUID": "",
            },
        },
    });
    let node: Node = serde_json::from_value(node).expect("a node");
    let (post, patch) = (PostParams::default(), PatchParams::default());
    let nodes: Api<Node> = Api::all(host.client.clone());
    host.persist("-", "a node", || nodes.create(&post, &node)).await;

    // The API server makes the namespace of the leases in its own time.
    let leases: Api<Lease> = Api::namespaced(host.client.clone(), "kube-node-lease");
    let lease = json!({
        "metadata": {"name": name},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": MicroTime(now)},
    });
    let lease: Lease = serde_json::from_value(lease).expect("a lease");
    host.persist("-", "a lease", || leases.create(&post, &lease)).await;
    let host = Arc::clone(host);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let renewal = Patch::Merge(json!({"spec": {"renewTime": MicroTime(Timestamp::now())}}));
            host.persist("-", "a lease", || leases.patch(&name, &patch, &renewal)).await;
        }
    });
}
