//! The volumes of the StorageClass `standard`: folders of the cluster, made for a claim and removed after it.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::watch;

/// By this name the controller manager asks for volumes, in an annotation of the claim.
pub(super) const PROVISIONER: &str = "tests.chatcluster.dev/folders";
const ASKED: &str = "volume.kubernetes.io/storage-provisioner";

/// Makes volumes and removes them, as the provisioner of a storage system does. The controller manager binds them.
pub(super) fn start(client: Client, folder: &Path) {
    let folder = folder.join("volumes");
    std::fs::create_dir_all(&folder).expect("a folder for volumes");
    tokio::spawn(provide(client.clone(), folder));
    tokio::spawn(reclaim(client));
}

async fn provide(client: Client, folder: PathBuf) {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let volumes: Api<PersistentVolume> = Api::all(client);
    let events = watch(claims, watcher::Config::default()).applied_objects();
    let mut events = std::pin::pin!(events);
    while let Some(claim) = events.next().await {
        let Ok(claim) = claim else { continue };
        let is_ours = claim.annotations().get(ASKED).is_some_and(|name| name == PROVISIONER);
        let is_bound = claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_some());
        if !is_ours || is_bound {
            continue;
        }
        let spec = claim.spec.clone().unwrap_or_default();
        let name = format!("pvc-{}", claim.uid().expect("a uid"));
        let path = folder.join(&name);
        std::fs::create_dir_all(&path).expect("a folder for a volume");
        let volume = json!({
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
            "spec": {
                "capacity": spec.resources.and_then(|resources| resources.requests),
                "accessModes": spec.access_modes,
                "storageClassName": spec.storage_class_name,
                "persistentVolumeReclaimPolicy": "Delete",
                "hostPath": {"path": path},
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": claim.namespace(),
                    "name": claim.name_any(),
                    "uid": claim.uid(),
                },
            },
        });
        let volume: PersistentVolume = serde_json::from_value(volume).expect("a volume");
        // It exists already, if the claim was seen twice.
        let _ = volumes.create(&PostParams::default(), &volume).await;
    }
}

async fn reclaim(client: Client) {
    let volumes: Api<PersistentVolume> = Api::all(client);
    let events = watch(volumes.clone(), watcher::Config::default()).applied_objects();
    let mut events = std::pin::pin!(events);
    while let Some(volume) = events.next().await {
        let Ok(volume) = volume else { continue };
        let is_released = volume.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Released"));
        let spec = volume.spec.clone().unwrap_or_default();
        if !is_released || spec.persistent_volume_reclaim_policy.as_deref() != Some("Delete") {
            continue;
        }
        if let Some(path) = spec.host_path.map(|folder| folder.path) {
            // Seen twice, it is gone already.
            let _ = std::fs::remove_dir_all(path);
        }
        let _ = volumes.delete(&volume.name_any(), &DeleteParams::default()).await;
    }
}
