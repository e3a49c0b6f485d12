//! Certificates for TLS to an external Redis, mounted into the nodes' pods. The kubelet updates the
//! files and the server reads them with each connection, so a renewal does not replace the pods.

use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume, VolumeMount};

use crate::controller::validate::{ValidatedCluster, ValidatedExternal, ValidatedRedis};

/// Mount path of the CA certificates.
pub(super) const CA_FOLDER: &str = "/etc/chat-server/redis-ca";
/// File name of the CA certificates, whatever their key in the Secret.
pub(super) const CA: &str = "ca.crt";
/// Mount path of the client certificate.
pub(super) const CLIENT_FOLDER: &str = "/etc/chat-server/redis-client";
/// File name of the client certificate.
pub(super) const CERTIFICATE: &str = "tls.crt";
/// File name of its private key.
pub(super) const KEY: &str = "tls.key";

/// A volume and its mount for each Secret.
pub(super) fn volumes(cluster: &ValidatedCluster) -> Vec<(Volume, VolumeMount)> {
    let ValidatedRedis::External(redis) = &cluster.redis else { return Vec::new() };
    let ValidatedExternal { ca, client_certificate, .. } = &**redis;
    let ca = ca.as_ref().map(|ca| volume("redis-ca", CA_FOLDER, &ca.name, &[(&ca.key, CA)]));
    let client = client_certificate
        .as_ref()
        .map(|client| volume("redis-client", CLIENT_FOLDER, &client.name, &[(CERTIFICATE, CERTIFICATE), (KEY, KEY)]));
    ca.into_iter().chain(client).collect()
}

fn volume(name: &str, folder: &str, secret: &str, files: &[(&str, &str)]) -> (Volume, VolumeMount) {
    let items = files.iter().map(|(key, path)| KeyToPath { key: (*key).into(), path: (*path).into(), mode: None });
    let source = SecretVolumeSource {
        secret_name: Some(secret.into()),
        default_mode: Some(0o440),
        items: Some(items.collect()),
        ..SecretVolumeSource::default()
    };
    let mount =
        VolumeMount { name: name.into(), mount_path: folder.into(), read_only: Some(true), ..VolumeMount::default() };
    (Volume { name: name.into(), secret: Some(source), ..Volume::default() }, mount)
}
