//! The joint between the two crates: what the operator writes into a pod is what the server reads.

use std::collections::{BTreeMap, BTreeSet};

use chat_server::node::config::{Cli, Config};
use chat_server::store::redis::Durability;
use clap::{CommandFactory, Parser};
use k8s_openapi::api::core::v1::EnvVar;
use operator::api::prometheus::InstalledKinds;
use operator::api::spec::ChatCluster;
use operator::controller::build::{Desired, Resources, Scale, build};
use operator::controller::dereference::{ExternalSecrets, OwnedSecret, References};
use operator::controller::validate::validate;

/// What the server has options for and a ChatCluster has no field: logs are JSON where there is no terminal.
const NOT_IN_A_SPEC: &[&str] = &["CHAT_ALLOWED_HOSTS", "CHAT_LOG_FORMAT"];

/// An external Redis with all that one can have.
const SENTINELS: &str = "{redis: {external: {mode: Sentinel, endpoints: ['s1:26379', 's2:26379'], keyPrefix: 'other:', \
    database: 3, credentialsSecretRef: {name: theirs, usernameKey: user}, \
    sentinel: {masterName: mymaster, credentialsSecretRef: {name: watch, usernameKey: user}}, \
    tls: {caSecretRef: {name: ca}, clientCertificateSecretRef: {name: ours}}}}}";

fn references() -> References {
    let owned = |value: &str| OwnedSecret { fresh: value.repeat(16), ..OwnedSecret::default() };
    let credentials = [("user".to_owned(), b"chat".to_vec()), ("password".to_owned(), b"p@ss:/word".to_vec())];
    References {
        session: owned("5e55"),
        admin: owned("ad31"),
        redis: owned("4ed1"),
        external: ExternalSecrets {
            credentials: Some(credentials.clone().into()),
            sentinel_credentials: Some(credentials.into()),
            ca: Some([("ca.crt".to_owned(), b"pem".to_vec())].into()),
            client_certificate: Some(["tls.crt", "tls.key"].map(|key| (key.to_owned(), b"pem".to_vec())).into()),
        },
        certificate_exists: true,
        storage_class_exists: true,
        installed: InstalledKinds { pod_monitor: true, prometheus_rule: true },
    }
}

fn built(spec: &str) -> Resources<Desired> {
    let manifest = crate::harness::operator::chat_cluster("here", "chat", spec);
    let mut cluster: ChatCluster = serde_yaml::from_str(&manifest).expect("a ChatCluster");
    cluster.metadata.uid = Some("uid".to_owned());
    let scale = Scale { desired: 2, current_replicas: 2, draining: false };
    build(&validate(&cluster, &references(), "chat-system").expect("it can be built"), &scale)
}

/// The variables of the nodes' container, as a kubelet would set them.
fn variables(resources: &Resources<Desired>) -> BTreeMap<String, String> {
    let pod =
        resources.replica_set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.spec.as_ref()).expect("a pod");
    let container = &pod.containers[0];
    let from = &container.env_from.as_ref().expect("a ConfigMap")[0];
    let map = from.config_map_ref.as_ref().map(|map| map.name.clone());
    assert_eq!(map, resources.config.metadata.name);
    let mut variables = resources.config.data.clone().expect("settings");
    for variable in container.env.iter().flatten() {
        variables.insert(variable.name.clone(), value(variable, resources));
    }
    variables
}

fn value(variable: &EnvVar, resources: &Resources<Desired>) -> String {
    let Some(source) = &variable.value_from else { return variable.value.clone().unwrap_or_default() };
    if source.field_ref.is_some() {
        return "chat-6f9d-x2x".to_owned();
    }
    let named = source.secret_key_ref.as_ref().expect("a Secret");
    let secrets =
        [Some(&resources.session), Some(&resources.admin), resources.redis.as_ref().map(|redis| &redis.secret)];
    let owned = secrets.into_iter().flatten().find(|secret| secret.metadata.name.as_ref() == Some(&named.name));
    let bytes = match owned {
        Some(secret) => secret.data.as_ref().and_then(|data| data.get(&named.key)).map(|value| value.0.clone()),
        None => references().external.credentials.and_then(|data| data.get(&named.key).cloned()),
    };
    String::from_utf8(bytes.unwrap_or_else(|| panic!("nothing under {}", named.key))).expect("text")
}

/// The server's own reading. Each option has a variable of its name, which a test of the server's holds; so flags in
/// their place, which leave this process's environment alone.
fn read(variables: &BTreeMap<String, String>) -> Config {
    let set = variables.iter().filter(|(name, value)| name.starts_with("CHAT_") && !value.is_empty());
    let flags =
        set.map(|(name, value)| format!("--{}={value}", name["CHAT_".len()..].to_lowercase().replace('_', "-")));
    let arguments = std::iter::once("chat-server".to_owned()).chain(flags);
    let config = Cli::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).config;
    config.check().expect("keys that are long enough");
    config
}

#[test]
fn the_server_reads_what_the_operator_writes() {
    let spec = "{redis: {managed: {}}, auth: {allowedOrigins: ['https://a.example', 'https://b.example']}, \
        limits: {maxConnectionsPerPod: 11, maxMessageBytes: 12, messagesPerSecondPerUser: 13, burst: 14, \
        changesPerSecondPerUser: 19, queriesPerSecondPerUser: 20, handshakesPerSecondPerAddress: 21, \
        newGuestsPerSecondPerAddress: 22}, \
        exposure: {path: /team/chat}, retention: {maxAgeSeconds: 15, maxMessagesPerRoom: 16}, drain: {timeoutSeconds: 17, connectionsPerSecond: 18}}";
    let config = read(&variables(&built(spec)));
    assert_eq!(config.allowed_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.base_path.to_string(), "/team/chat");
    assert_eq!((config.max_connections, config.max_message_bytes), (11, 12));
    assert_eq!((config.messages_per_second, config.message_burst), (13, 14));
    assert_eq!((config.changes_per_second, config.queries_per_second), (19, 20));
    let by_address = (config.handshakes_per_second_per_address, config.new_guests_per_second_per_address);
    assert_eq!(by_address, (21, 22));
    assert_eq!((config.retention_seconds, config.retention_messages), (15, 16));
    assert_eq!((config.drain_timeout_seconds, config.drain_connections_per_second), (17, 18));
    assert_eq!((config.listen.port(), config.admin_listen.port()), (3000, 9090));
    assert!(!config.admin_listen.ip().is_loopback(), "the kubelet asks from outside");
    assert_eq!(config.redis.url.as_deref(), Some("redis://chat-redis:6379"));
    assert_eq!(config.redis.password.as_deref(), Some("4ed1".repeat(16).as_str()));
    assert_eq!(config.session_keys.len(), 1);
    assert_eq!(config.node_id.map(|id| id.as_str().to_owned()).as_deref(), Some("chat-6f9d-x2x"));
}

#[test]
fn credentials_of_an_external_redis_are_passed_unchanged() {
    let spec = "{redis: {external: {endpoints: ['redis.example:6380'], \
        credentialsSecretRef: {name: theirs, usernameKey: user}}}}";
    let config = read(&variables(&built(spec)));
    assert_eq!(config.redis.url.as_deref(), Some("redis://redis.example:6380"));
    assert_eq!(config.redis.username.as_deref(), Some("chat"));
    assert_eq!(config.redis.password.as_deref(), Some("p@ss:/word"));
}

#[test]
fn sentinel_settings_reach_the_server() {
    let resources = built(SENTINELS);
    let config = read(&variables(&resources));
    assert_eq!(config.redis.url.as_deref(), Some("rediss-sentinel://s1:26379,s2:26379/3"));
    assert_eq!(config.redis.sentinel_master.as_deref(), Some("mymaster"));
    assert_eq!(config.redis.sentinel_username.as_deref(), Some("chat"));
    assert_eq!(config.redis.sentinel_password.as_deref(), Some("p@ss:/word"));
    assert_eq!(config.redis.key_prefix, "other:");
    // The files are where the Secrets are mounted, under the names that their keys get there.
    let pod = resources.replica_set.spec.and_then(|spec| spec.template?.spec).expect("a pod");
    let mounts = pod.containers[0].volume_mounts.as_ref().expect("mounts");
    let options = &config.redis;
    for file in [&options.ca_file, &options.cert_file, &options.key_file].map(|file| file.as_ref().expect("a file")) {
        let mount = mounts.iter().find(|mount| Some(std::path::Path::new(&mount.mount_path)) == file.parent());
        let name = &mount.expect("a mount").name;
        let volume = pod.volumes.iter().flatten().find(|volume| volume.name == *name).expect("a volume");
        let items = volume.secret.as_ref().and_then(|secret| secret.items.as_ref()).expect("items");
        assert!(items.iter().any(|item| file.ends_with(&item.path)), "{}", file.display());
    }
}

#[test]
fn redis_cluster_settings_reach_the_server() {
    let config = read(&variables(&built("{redis: {external: {mode: Cluster, endpoints: ['a:7000', 'b:7000']}}}")));
    assert_eq!(config.redis.url.as_deref(), Some("redis-cluster://a:7000,b:7000"));
}

#[test]
fn tracing_settings_reach_the_server_and_the_network_policy() {
    let resources = built("{replicas: 1, tracing: {otlpEndpoint: 'http://otel.monitoring:4317', sampleRatio: '0.5'}}");
    let variables = variables(&resources);
    let telemetry = read(&variables).telemetry;
    assert_eq!(telemetry.otlp_endpoint.as_deref(), Some("http://otel.monitoring:4317"));
    assert_eq!(telemetry.trace_sample_ratio, 0.5);
    assert!(variables["OTEL_RESOURCE_ATTRIBUTES"].starts_with("k8s.namespace.name=here,k8s.pod.name=$(CHAT_NODE_ID),"));
    let ports = |resources: Resources<Desired>| serde_json::to_string(&resources.network_policy).expect("JSON");
    assert!(ports(resources).contains("4317"));
    let plain = built("{replicas: 1}");
    assert_eq!(read(&self::variables(&plain)).telemetry.otlp_endpoint, None);
    assert!(!self::variables(&plain).contains_key("OTEL_RESOURCE_ATTRIBUTES") && !ports(plain).contains("4317"));
}

#[test]
fn trusted_proxies_reach_the_server() {
    let of =
        |exposure: &str| read(&variables(&built(&format!("{{replicas: 1, exposure: {exposure}}}")))).trusted_proxies;
    assert_eq!(of("{}"), []);
    let private = of("{ingress: {hosts: [a.example]}}");
    let trusts = |address: [u8; 4]| private.iter().any(|network| network.contains(&std::net::IpAddr::from(address)));
    assert!(trusts([10, 244, 1, 7]) && trusts([172, 31, 0, 1]) && trusts([192, 168, 0, 9]) && trusts([100, 64, 0, 1]));
    assert!(!trusts([172, 32, 0, 1]) && !trusts([8, 8, 8, 8]));
    assert_eq!(of("{trustedProxies: ['192.0.2.7', '2001:db8::/32']}").len(), 2);
}

#[test]
fn durability_settings_reach_the_server() {
    let of = |spec: &str| {
        let options = read(&variables(&built(spec))).redis;
        (options.durability, options.durability_replicas)
    };
    assert_eq!(of("{redis: {managed: {}}}"), (Durability::Memory, 1));
    assert_eq!(of("{redis: {managed: {}}, delivery: {durability: Aof}}"), (Durability::Aof, 1));
    let replicas = "{redis: {external: {endpoints: ['a:1']}}, delivery: {durability: Replica, replicas: 2}}";
    assert_eq!(of(replicas), (Durability::Replica, 2));
}

#[test]
fn a_chat_in_memory_has_no_redis_settings() {
    let config = read(&variables(&built("{replicas: 1}")));
    assert_eq!((config.redis.url, config.redis.password), (None, None));
}

#[test]
fn every_option_of_the_server_is_set_by_the_operator_or_known_not_to_be() {
    let set: BTreeSet<String> =
        variables(&built(SENTINELS)).into_keys().filter(|name| name.starts_with("CHAT_")).collect();
    let options: BTreeSet<String> = Cli::command()
        .get_arguments()
        .filter_map(|argument| Some(argument.get_env()?.to_string_lossy().into_owned()))
        .filter(|name| !NOT_IN_A_SPEC.contains(&name.as_str()))
        .collect();
    assert_eq!(set, options);
}

#[test]
fn the_admin_token_is_mounted_where_the_server_reads_it() {
    let resources = built("{replicas: 1}");
    let file = read(&variables(&resources)).admin_token_file.expect("a file");
    let pod = resources.replica_set.spec.and_then(|spec| spec.template?.spec).expect("a pod");
    let mount = &pod.containers[0].volume_mounts.as_ref().expect("a mount")[0];
    assert_eq!(file.parent(), Some(std::path::Path::new(&mount.mount_path)));
    let key = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(resources.admin.data.expect("data").contains_key(&key));
}
