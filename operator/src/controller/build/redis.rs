//! Managed Redis: a single instance with an append-only file.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, ExecAction, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec,
    PodTemplateSpec, Probe, SecretVolumeSource, Service, ServiceSpec, TCPSocketAction, Volume, VolumeMount,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::hash::ConfigHash;
use super::replica_set::{port, requirements};
use super::resources::Redis;
use super::service::REDIS_PORT;
use super::{env, meta, network_policy, secret, security, service};
use crate::api::spec::redis::Managed;
use crate::controller::names::Component;
use crate::controller::validate::{PASSWORD_KEY, ValidatedCluster};

const PORT_NAME: &str = "redis";
/// User id of Redis in the image.
const USER: i64 = 999;
const CONFIG_FOLDER: &str = "/etc/redis";
const AUTH_FOLDER: &str = "/etc/redis-auth";
const CONFIG_FILE: &str = "redis.conf";
/// Time for Redis to flush its append-only file at shutdown.
const GRACE_SECONDS: i64 = 60;

/// All objects of a managed Redis.
pub(super) fn build(cluster: &ValidatedCluster, spec: &Managed, configuration: &str, password: &[u8]) -> Redis {
    let hash = ConfigHash::keyed(password).add(configuration.as_bytes()).add(password).finish();
    Redis {
        secret: secret::redis(cluster, password),
        config: ConfigMap {
            metadata: meta::object(cluster, Component::Redis, cluster.names.redis()),
            data: Some([(CONFIG_FILE.to_owned(), configuration.to_owned())].into()),
            ..ConfigMap::default()
        },
        service: Service {
            metadata: meta::object(cluster, Component::Redis, cluster.names.redis()),
            spec: Some(ServiceSpec {
                selector: Some(cluster.names.selector(Component::Redis)),
                ports: Some(vec![service::port(PORT_NAME, REDIS_PORT)]),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        },
        stateful_set: stateful_set(cluster, spec, hash),
        network_policy: network_policy::redis(cluster),
    }
}

/// Redis answers a write after it is in the append-only file, which is flushed to disk with the
/// write or within a second: a crash of Redis loses nothing, one of the machine at most that
/// second. When its memory is full, Redis refuses writes, which clients see as `unavailable`; it
/// never evicts.
pub(super) fn configuration(max_memory: Option<i64>, fsync: &str) -> String {
    let mut lines = vec![
        format!("port {REDIS_PORT}"),
        "bind * -::*".to_owned(),
        "dir /data".to_owned(),
        "appendonly yes".to_owned(),
        format!("appendfsync {fsync}"),
        "save \"\"".to_owned(),
        "maxmemory-policy noeviction".to_owned(),
        format!("include {AUTH_FOLDER}/{}", secret::AUTH_FILE),
    ];
    if let Some(bytes) = max_memory {
        lines.push(format!("maxmemory {bytes}"));
    }
    lines.join("\n") + "\n"
}

fn stateful_set(cluster: &ValidatedCluster, spec: &Managed, hash: String) -> StatefulSet {
    let when_deleted = if spec.persistence.retain_on_delete { "Retain" } else { "Delete" };
    StatefulSet {
        metadata: meta::object(cluster, Component::Redis, cluster.names.redis()),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            revision_history_limit: Some(3),
            service_name: Some(cluster.names.redis()),
            selector: cluster.names.label_selector(Component::Redis),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(when_deleted.into()),
                when_scaled: Some("Retain".into()),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(cluster.names.labels(Component::Redis)),
                    annotations: Some([(meta::CONFIG_HASH.to_owned(), hash)].into()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(cluster, spec)),
            },
            volume_claim_templates: Some(vec![claim(cluster, spec)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn pod(cluster: &ValidatedCluster, spec: &Managed) -> PodSpec {
    PodSpec {
        // This ServiceAccount has no permissions.
        service_account_name: Some(cluster.names.node()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(security::pod(USER)),
        containers: vec![Container {
            name: "redis".into(),
            image: Some(spec.image.clone()),
            image_pull_policy: Some("IfNotPresent".into()),
            command: Some(vec!["redis-server".into(), format!("{CONFIG_FOLDER}/{CONFIG_FILE}")]),
            ports: Some(vec![port(PORT_NAME, REDIS_PORT)]),
            // For redis-cli in the probe, and for manual use.
            env: Some(vec![env::secret("REDISCLI_AUTH", &cluster.names.redis(), PASSWORD_KEY)]),
            resources: Some(requirements(&spec.resources, [("cpu", "100m"), ("memory", "256Mi")])),
            volume_mounts: Some(vec![
                mount("data", "/data", false),
                mount("config", CONFIG_FOLDER, true),
                mount("auth", AUTH_FOLDER, true),
            ]),
            // Loading a large file takes time.
            startup_probe: Some(probe(2, 900)),
            readiness_probe: Some(probe(2, 3)),
            // A TCP probe: with a full disk, Redis answers an error instead of PONG but still
            // serves reads.
            liveness_probe: Some(Probe {
                tcp_socket: Some(TCPSocketAction {
                    port: IntOrString::String(PORT_NAME.into()),
                    ..TCPSocketAction::default()
                }),
                period_seconds: Some(10),
                timeout_seconds: Some(5),
                failure_threshold: Some(6),
                ..Probe::default()
            }),
            termination_message_policy: Some("FallbackToLogsOnError".into()),
            security_context: Some(security::container()),
            ..Container::default()
        }],
        volumes: Some(vec![
            Volume {
                name: "config".into(),
                config_map: Some(ConfigMapVolumeSource {
                    name: cluster.names.redis(),
                    default_mode: Some(0o444),
                    ..ConfigMapVolumeSource::default()
                }),
                ..Volume::default()
            },
            Volume {
                name: "auth".into(),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(cluster.names.redis()),
                    default_mode: Some(0o440),
                    ..SecretVolumeSource::default()
                }),
                ..Volume::default()
            },
        ]),
        ..PodSpec::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// While it loads its file, Redis answers but not with PONG.
fn probe(period: i32, failures: i32) -> Probe {
    Probe {
        exec: Some(ExecAction {
            command: Some(["sh", "-c", "redis-cli ping | grep -qx PONG"].map(str::to_owned).into()),
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn claim(cluster: &ValidatedCluster, spec: &Managed) -> PersistentVolumeClaim {
    let size = BTreeMap::from([("storage".to_owned(), Quantity(spec.persistence.size.clone()))]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".into()),
            labels: Some(cluster.names.labels(Component::Redis)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: Some(spec.persistence.storage_class_name.clone()).filter(|name| !name.is_empty()),
            resources: Some(VolumeResourceRequirements { requests: Some(size), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
