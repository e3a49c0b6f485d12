//! ReplicaSet of the nodes.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapEnvSource, Container, ContainerPort, EnvFromSource, HTTPGetAction, Lifecycle, LifecycleHandler,
    LocalObjectReference, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SecretVolumeSource, SleepAction,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sha2::{Digest, Sha256};

use super::hash::ConfigHash;
use super::{certificates, env, meta, security, service};
use crate::api::spec::Image;
use crate::api::spec::pod::Resources;
use crate::controller::names::{Component, REVISION, VERSION};
use crate::controller::validate::{ValidatedCluster, ValidatedRedis};

/// User id of the server in the image.
const USER: i64 = 65_532;
/// How long a terminating pod keeps serving, so that proxies and endpoints have been updated before
/// it shuts down.
const PRE_STOP_SECONDS: i64 = 5;
/// Time that the server may need at shutdown beyond its drain (docs/configuration.md), with a
/// margin.
const END_SECONDS: i64 = 15;

const CONTAINER: &str = "chat-server";

/// ReplicaSet of the desired revision. Old ReplicaSets are kept until their nodes have drained; a
/// Deployment would scale them down as soon as the new nodes are ready.
pub(super) fn build(cluster: &ValidatedCluster, config: &ConfigMap, replicas: usize) -> ReplicaSet {
    let (revision, mut template) = template(cluster, config);
    let of_revision = [(REVISION.to_owned(), revision.clone())];
    template.metadata.get_or_insert_default().labels.get_or_insert_default().extend(of_revision.clone());

    let mut metadata = meta::object(cluster, Component::Node, cluster.names.replica_set(&revision));
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(of_revision.clone());
    labels.insert(VERSION.into(), version(&cluster.image));
    let mut selector = cluster.names.label_selector(Component::Node);
    selector.match_labels.get_or_insert_default().extend(of_revision);

    ReplicaSet {
        metadata,
        spec: Some(ReplicaSetSpec {
            replicas: i32::try_from(replicas).ok(),
            selector,
            template: Some(template),
            ..ReplicaSetSpec::default()
        }),
        status: None,
    }
}

/// The desired revision.
pub(super) fn revision(cluster: &ValidatedCluster, config: &ConfigMap) -> String {
    template(cluster, config).0
}

/// The pod template and its revision, which changes with everything in it.
fn template(cluster: &ValidatedCluster, config: &ConfigMap) -> (String, PodTemplateSpec) {
    let mut labels = cluster.pod.labels.clone();
    labels.extend(cluster.names.labels(Component::Node));
    labels.insert(VERSION.into(), version(&cluster.image));
    let mut annotations = cluster.pod.annotations.clone();
    annotations.insert(meta::CONFIG_HASH.into(), config_hash(cluster, config));
    let metadata = ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() };
    let template = PodTemplateSpec { metadata: Some(metadata), spec: Some(pod(cluster)) };
    // Keys are sorted, so that equal templates have equal revisions.
    let text = serde_json::to_value(&template).map(|value| value.to_string()).unwrap_or_default();
    let hash = Sha256::digest(text);
    (hash.iter().take(5).map(|byte| format!("{byte:02x}")).collect(), template)
}

/// A label value has at most 63 characters, a tag 128.
fn version(image: &Image) -> String {
    image.tag.chars().take(63).collect::<String>().trim_matches(['-', '_', '.']).to_owned()
}

/// Hash of everything that a node reads at start.
fn config_hash(cluster: &ValidatedCluster, config: &ConfigMap) -> String {
    let mut hash = ConfigHash::keyed(&cluster.session_keys).add(&cluster.session_keys).add(&cluster.admin_token);
    for (name, value) in config.data.iter().flatten() {
        hash = hash.add(name.as_bytes()).add(value.as_bytes());
    }
    match &cluster.redis {
        ValidatedRedis::Embedded => {}
        ValidatedRedis::Managed { password, .. } => hash = hash.add(password),
        ValidatedRedis::External(redis) => {
            for credentials in redis.credentials.iter().chain(&redis.sentinel_credentials) {
                let username = credentials.username.as_ref().map(|(_, value)| value.as_slice()).unwrap_or_default();
                hash = hash.add(username).add(&credentials.password.1);
            }
        }
    }
    hash.finish()
}

fn pod(cluster: &ValidatedCluster) -> PodSpec {
    let admin = Volume {
        name: ADMIN_VOLUME.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(cluster.names.admin()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let certificates = certificates::volumes(cluster).into_iter().map(|(volume, _)| volume);
    PodSpec {
        service_account_name: Some(cluster.names.node()),
        automount_service_account_token: Some(false),
        // A Service named `chat` would set CHAT_PORT and others, which the server would read as
        // options.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(PRE_STOP_SECONDS + cluster.drain_seconds + END_SECONDS),
        security_context: Some(security::pod(USER)),
        image_pull_secrets: some(
            cluster.image.pull_secrets.iter().map(|secret| LocalObjectReference { name: secret.name.clone() }),
        ),
        node_selector: (!cluster.pod.node_selector.is_empty()).then(|| cluster.pod.node_selector.clone()),
        tolerations: some(cluster.pod.tolerations.iter().cloned()),
        affinity: cluster.pod.affinity.clone(),
        topology_spread_constraints: Some(spread(cluster)),
        priority_class_name: Some(cluster.pod.priority_class_name.clone()).filter(|name| !name.is_empty()),
        containers: vec![container(cluster)],
        volumes: Some(std::iter::once(admin).chain(certificates).collect()),
        ..PodSpec::default()
    }
}

const ADMIN_VOLUME: &str = "admin";

fn container(cluster: &ValidatedCluster) -> Container {
    let admin = VolumeMount {
        name: ADMIN_VOLUME.into(),
        mount_path: env::ADMIN_FOLDER.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let certificates = certificates::volumes(cluster).into_iter().map(|(_, mount)| mount);
    Container {
        name: CONTAINER.into(),
        image: Some(reference(&cluster.image)),
        image_pull_policy: Some(cluster.image.pull_policy.as_str().into()),
        ports: Some(vec![port(service::HTTP, 3000), port(service::ADMIN, 9090)]),
        env_from: Some(vec![EnvFromSource {
            config_map_ref: Some(ConfigMapEnvSource { name: cluster.names.node(), optional: None }),
            ..EnvFromSource::default()
        }]),
        env: Some(env::build(cluster)),
        resources: Some(requirements(&cluster.pod.resources, [("cpu", "250m"), ("memory", "256Mi")])),
        volume_mounts: Some(std::iter::once(admin).chain(certificates).collect()),
        // Two minutes to start. After that, an unready node leaves the Service within 6 s, and a
        // node that does not answer is restarted after 30 s.
        startup_probe: Some(probe("/livez", 1, 120)),
        readiness_probe: Some(probe("/readyz", 2, 3)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: PRE_STOP_SECONDS }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(security::container()),
        ..Container::default()
    }
}

/// Image reference with tag or digest.
fn reference(image: &Image) -> String {
    if image.digest.is_empty() {
        format!("{}:{}", image.repository, image.tag)
    } else {
        format!("{}@{}", image.repository, image.digest)
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(service::ADMIN.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// A container port.
pub(super) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

/// Requests and limits of a container, with default requests.
pub(super) fn requirements<const N: usize>(resources: &Resources, defaults: [(&str, &str); N]) -> ResourceRequirements {
    let mut requests: BTreeMap<String, Quantity> = BTreeMap::new();
    for (name, amount) in defaults {
        // A limit without a request is also the request.
        if !resources.limits.contains_key(name) {
            requests.insert(name.into(), Quantity(amount.into()));
        }
    }
    requests.extend(resources.requests.iter().map(|(name, amount)| (name.clone(), Quantity(amount.0.clone()))));
    let limits: BTreeMap<_, _> =
        resources.limits.iter().map(|(name, amount)| (name.clone(), Quantity(amount.0.clone()))).collect();
    ResourceRequirements {
        requests: (!requests.is_empty()).then_some(requests),
        limits: (!limits.is_empty()).then_some(limits),
        ..ResourceRequirements::default()
    }
}

/// Spreads pods over zones and Kubernetes nodes, each revision by itself.
fn spread(cluster: &ValidatedCluster) -> Vec<TopologySpreadConstraint> {
    if !cluster.pod.topology_spread_constraints.is_empty() {
        return cluster.pod.topology_spread_constraints.clone();
    }
    let over = |key: &str| TopologySpreadConstraint {
        topology_key: key.into(),
        max_skew: 1,
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(cluster.names.label_selector(Component::Node)),
        match_label_keys: Some(vec![REVISION.into()]),
        ..TopologySpreadConstraint::default()
    };
    vec![over("topology.kubernetes.io/zone"), over("kubernetes.io/hostname")]
}

fn some<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.collect();
    (!items.is_empty()).then_some(items)
}
