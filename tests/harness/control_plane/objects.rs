//! What a new cluster has in it.

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use super::storage::PROVISIONER;
use super::{until_list, until_object};

/// A default StorageClass, as most clusters have one. Its volumes come from [`super::storage`].
pub(super) async fn create(client: &Client) {
    let class = json!({
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": true,
    });
    let class: StorageClass = serde_json::from_value(class).expect("a StorageClass");
    Api::all(client.clone()).create(&PostParams::default(), &class).await.expect("a StorageClass");
}

/// Waits until Pods can be created and scheduled.
pub(super) async fn settled(client: &Client) {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    until_object(&accounts, "default", "the controller manager works", |account| account.is_some()).await;
    let nodes: Api<Node> = Api::all(client.clone());
    until_list(&nodes, "", "all nodes are ready and without taints", |nodes| {
        let tainted = |node: &Node| node.spec.as_ref().is_some_and(|spec| spec.taints.is_some());
        !nodes.is_empty() && !nodes.iter().any(tainted)
    })
    .await;
}
