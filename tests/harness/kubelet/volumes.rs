//! The volumes of a Pod, as folders of this machine.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, KeyToPath, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount,
    ServiceAccountTokenProjection, Volume,
};
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::environment::{config_map, secret};
use super::{Host, node, security};

/// A file of a volume: its path, its contents and its mode.
type Files = BTreeMap<String, (Vec<u8>, u32)>;

/// Makes all volumes of a Pod, or renews what is in them; gives their folders by name, or says what is missing.
pub(super) async fn make(host: &Host, pod: &Pod, folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut folders = BTreeMap::new();
    let group = security::fs_group(pod);
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let own = folder.join("volumes").join(&volume.name);
        let path = if volume.empty_dir.is_some() {
            if !own.exists() {
                std::fs::create_dir_all(&own).expect("a folder for a volume");
                std::fs::set_permissions(&own, PermissionsExt::from_mode(0o777)).expect("its mode");
                give(&own, group);
            }
            own
        } else if let Some(claim) = &volume.persistent_volume_claim {
            let path = claimed(host, pod, &claim.claim_name).await?;
            give(&path, group);
            path
        } else if let Some(path) = &volume.host_path {
            PathBuf::from(&path.path)
        } else {
            let files = files(host, pod, volume, &own).await?;
            write(&own, &files, group);
            own
        };
        folders.insert(volume.name.clone(), path);
    }
    Ok(folders)
}

/// Gives a folder and what is in it to the group of the Pod.
fn give(path: &Path, group: Option<u32>) {
    let Some(group) = group else { return };
    chown(path, None, Some(group)).expect("a group for a volume");
    let mode = std::fs::metadata(path).expect("a volume").permissions().mode();
    let more = if path.is_dir() { 0o2770 } else { 0o660 };
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode | more)).expect("a mode for a volume");
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a volume").flatten().filter(|entry| !entry.path().is_symlink()) {
            give(&entry.path(), Some(group));
        }
    }
}

async fn claimed(host: &Host, pod: &Pod, name: &str) -> Result<PathBuf, String> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(host.client.clone(), &pod.namespace().unwrap_or_default());
    let claim = claims.get(name).await.map_err(|error| error.to_string())?;
    let volume = claim.spec.and_then(|spec| spec.volume_name).ok_or_else(|| format!("claim {name} is not bound"))?;
    let volumes: Api<PersistentVolume> = Api::all(host.client.clone());
    let volume = volumes.get(&volume).await.map_err(|error| error.to_string())?;
    let path = volume.spec.and_then(|spec| spec.host_path).ok_or("a volume that is no folder")?;
    Ok(PathBuf::from(path.path))
}

async fn files(host: &Host, pod: &Pod, volume: &Volume, own: &Path) -> Result<Files, String> {
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let data = secret(host, pod, name).await;
        return chosen(data, source.items.as_deref(), source.default_mode, source.optional);
    }
    if let Some(source) = &volume.config_map {
        let data = config_map(host, pod, &source.name).await;
        return chosen(data, source.items.as_deref(), source.default_mode, source.optional);
    }
    if let Some(source) = &volume.downward_api {
        return downward(host, pod, source.items.as_deref(), source.default_mode);
    }
    let Some(projected) = &volume.projected else { return Err(format!("volume {}: of an unknown kind", volume.name)) };
    let mode = projected.default_mode;
    let mut all = Files::new();
    for source in projected.sources.iter().flatten() {
        if let Some(source) = &source.secret {
            all.extend(chosen(secret(host, pod, &source.name).await, source.items.as_deref(), mode, source.optional)?);
        }
        if let Some(source) = &source.config_map {
            let data = config_map(host, pod, &source.name).await;
            all.extend(chosen(data, source.items.as_deref(), mode, source.optional)?);
        }
        if let Some(source) = &source.downward_api {
            all.extend(downward(host, pod, source.items.as_deref(), mode)?);
        }
        if let Some(source) = &source.service_account_token {
            // One that was given is good for an hour, which no test lasts.
            let token = match std::fs::read(own.join(&source.path)) {
                Ok(token) => token,
                Err(_) => token(host, pod, source).await?.into_bytes(),
            };
            all.insert(source.path.clone(), (token, 0o644));
        }
    }
    Ok(all)
}

fn chosen(
    data: Result<BTreeMap<String, Vec<u8>>, String>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
    optional: Option<bool>,
) -> Result<Files, String> {
    let data = match data {
        Err(_) if optional == Some(true) => return Ok(Files::new()),
        data => data?,
    };
    let mode = bits(mode);
    let Some(items) = items else { return Ok(data.into_iter().map(|(key, value)| (key, (value, mode))).collect()) };
    let mut files = Files::new();
    for item in items {
        match data.get(&item.key) {
            Some(value) => {
                let mode = item.mode.map_or(mode, |mode| bits(Some(mode)));
                files.insert(item.path.clone(), (value.clone(), mode));
            }
            None if optional == Some(true) => {}
            None => return Err(format!("references non-existent secret or configmap key: {}", item.key)),
        }
    }
    Ok(files)
}

fn bits(mode: Option<i32>) -> u32 {
    mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644)
}

fn downward(
    host: &Host,
    pod: &Pod,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: Option<i32>,
) -> Result<Files, String> {
    let mut files = Files::new();
    for item in items.unwrap_or_default() {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => field_of_files(host, pod, &field.field_path)?,
            (None, Some(resource)) => {
                let name = resource.container_name.as_deref().unwrap_or_default();
                let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
                let container = containers.into_iter().find(|container| container.name == name);
                self::resource(container.ok_or("no such container")?, &resource.resource)?
            }
            (None, None) => continue,
        };
        files.insert(item.path.clone(), (text.into_bytes(), bits(item.mode.or(mode))));
    }
    Ok(files)
}

/// Files may have all labels at once, `key="value"` in lines.
fn field_of_files(host: &Host, pod: &Pod, path: &str) -> Result<String, String> {
    let lines = |map: &BTreeMap<String, String>| {
        let lines: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        lines.join("\n")
    };
    match path {
        "metadata.labels" => Ok(lines(pod.labels())),
        "metadata.annotations" => Ok(lines(pod.annotations())),
        path => field(host, pod, path),
    }
}

/// A field of a Pod.
pub(super) fn field(host: &Host, pod: &Pod, path: &str) -> Result<String, String> {
    let spec = pod.spec.clone().unwrap_or_default();
    let in_brackets = |name: &str| {
        let key = path.strip_prefix(name)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(key.to_owned())
    };
    let node = spec.node_name.clone().unwrap_or_default();
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "spec.nodeName" => node,
        "spec.serviceAccountName" => spec.service_account_name.unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => node::number(&node).map(node::address).unwrap_or_default(),
        "status.podIP" | "status.podIPs" => {
            let known = host.pods.lock().unwrap();
            let known = known.get(&(pod.namespace().unwrap_or_default(), pod.name_any()));
            known
                .and_then(|known| *known.address.lock().unwrap())
                .map(|address| address.to_string())
                .unwrap_or_default()
        }
        _ => match (in_brackets("metadata.labels"), in_brackets("metadata.annotations")) {
            (Some(key), _) => pod.labels().get(&key).cloned().unwrap_or_default(),
            (_, Some(key)) => pod.annotations().get(&key).cloned().unwrap_or_default(),
            _ => return Err(format!("unsupported field path {path}")),
        },
    })
}

/// A request or limit of a container, as a whole number of cores or bytes.
pub(super) fn resource(container: &Container, path: &str) -> Result<String, String> {
    let resources = container.resources.clone().unwrap_or_default();
    let (which, name) = path.split_once('.').ok_or("no such resource")?;
    let of = if which == "limits" { resources.limits } else { resources.requests };
    let quantity = of.and_then(|all| all.get(name).cloned()).map(|quantity| quantity.0).unwrap_or("0".to_owned());
    let digits = quantity.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| format!("{quantity} is no quantity"))?;
    let factor = match &quantity[digits.len()..] {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        unit => return Err(format!("the unit {unit} is not known here")),
    };
    Ok(format!("{:.0}", (number * factor).ceil()))
}

async fn token(host: &Host, pod: &Pod, source: &ServiceAccountTokenProjection) -> Result<String, String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(host.client.clone(), &pod.namespace().unwrap_or_default());
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        uid: pod.uid(),
    };
    let spec = TokenRequestSpec {
        audiences: source.audience.iter().cloned().collect(),
        bound_object_ref: Some(bound),
        expiration_seconds: source.expiration_seconds,
    };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
    Ok(answer.map_err(|error| error.to_string())?.status.ok_or("no token")?.token)
}

/// Puts files in the place of earlier ones all at once: `NAME` leads to `..data/NAME`, and `..data` to a folder that is
/// never changed, only replaced. So does the kubelet, and programs rely on it.
fn write(folder: &Path, files: &Files, group: Option<u32>) {
    std::fs::create_dir_all(folder).expect("a folder for a volume");
    let data = folder.join("..data");
    let is_same = |(path, (contents, _)): (&String, &(Vec<u8>, u32))| {
        std::fs::read(data.join(path)).is_ok_and(|present| present == *contents)
    };
    let before = std::fs::read_link(&data).ok();
    let count = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
    let tops: std::collections::BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    if before.is_some() && count(&data) == tops.len() && files.iter().all(is_same) {
        return;
    }
    let version = format!("..{}", before.as_ref().map_or(0, |old| number(old) + 1));
    let fresh = folder.join(&version);
    std::fs::create_dir_all(&fresh).expect("a folder for files");
    for (path, (contents, mode)) in files {
        let file = fresh.join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for files");
        std::fs::write(&file, contents).expect("a file of a volume");
        let mode = if group.is_some() { mode | 0o440 } else { *mode };
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("its mode");
        chown(&file, None, group).expect("its group");
    }
    let next = folder.join("..data_tmp");
    symlink(&version, &next).expect("a link");
    std::fs::rename(&next, &data).expect("the link in its place");
    for top in tops {
        // It is there already from the second time on.
        let _ = symlink(Path::new("..data").join(top), folder.join(top));
    }
    if let Some(old) = before {
        let present = std::fs::read_dir(folder).expect("a volume").flatten();
        for entry in present.filter(|entry| entry.path().is_symlink() && !entry.path().exists()) {
            std::fs::remove_file(entry.path()).expect("to remove a link");
        }
        std::fs::remove_dir_all(folder.join(old)).expect("to remove old files");
    }
}

fn number(version: &Path) -> u64 {
    version.to_str().and_then(|name| name.trim_start_matches('.').parse().ok()).unwrap_or(0)
}
