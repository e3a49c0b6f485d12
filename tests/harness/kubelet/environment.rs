//! The environment of a container, and `$(NAME)` in it and in its command.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::super::control_plane::API_SERVICE;
use super::{Host, volumes};

/// Why a container can't be started yet, in the kubelet's words.
pub(super) type Missing = String;

/// Names and values, later ones in the place of earlier ones.
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// What the container gets: the Services' addresses, what it says, and what its Pod is called.
    pub(super) async fn of(host: &Host, pod: &Pod, container: &Container) -> Result<Self, Missing> {
        let services = services(host, pod).await?;
        let mut own = BTreeMap::new();
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            let (data, optional) = if let Some(secret) = &source.secret_ref {
                (self::secret(host, pod, &secret.name).await, secret.optional)
            } else if let Some(map) = &source.config_map_ref {
                (config_map(host, pod, &map.name).await, map.optional)
            } else {
                continue;
            };
            for (key, value) in or_nothing(data, optional)?.unwrap_or_default() {
                own.insert(format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
            }
        }
        for variable in container.env.iter().flatten() {
            let value = match (&variable.value, &variable.value_from) {
                (Some(value), _) => {
                    expand(value, |name| own.get(name).or_else(|| services.get(name)).map(String::as_str))
                }
                (None, Some(source)) => match from_source(host, pod, container, source).await? {
                    Some(value) => value,
                    None => continue,
                },
                (None, None) => String::new(),
            };
            own.insert(variable.name.clone(), value);
        }
        let mut all = BTreeMap::from([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOME", "/".to_owned()),
            ("HOSTNAME", pod.name_any()),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<BTreeMap<_, _>>();
        all.extend(services);
        all.extend(own);
        Ok(Self(all))
    }

    /// A text with what `$(NAME)` stands for.
    pub(super) fn expand(&self, text: &str) -> String {
        expand(text, |name| self.0.get(name).map(String::as_str))
    }

    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        self.0.into_iter().collect()
    }
}

/// Replaces `$(NAME)` where the name is known; `$$` is a `$`.
fn expand<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match value(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

async fn from_source(
    host: &Host,
    pod: &Pod,
    container: &Container,
    source: &EnvVarSource,
) -> Result<Option<String>, Missing> {
    let namespace = pod.namespace().unwrap_or_default();
    let (data, name, key, optional, kind) = if let Some(key) = &source.secret_key_ref {
        (secret(host, pod, &key.name).await, &key.name, &key.key, key.optional, "Secret")
    } else if let Some(key) = &source.config_map_key_ref {
        (config_map(host, pod, &key.name).await, &key.name, &key.key, key.optional, "ConfigMap")
    } else if let Some(field) = &source.field_ref {
        return volumes::field(host, pod, &field.field_path).map(Some);
    } else if let Some(field) = &source.resource_field_ref {
        return volumes::resource(container, &field.resource).map(Some);
    } else {
        return Ok(None);
    };
    let Some(mut data) = or_nothing(data, optional)? else { return Ok(None) };
    match data.remove(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(format!("couldn't find key {key} in {kind} {namespace}/{name}")),
    }
}

fn or_nothing<T>(data: Result<T, Missing>, optional: Option<bool>) -> Result<Option<T>, Missing> {
    match data {
        Err(_) if optional == Some(true) => Ok(None),
        data => data.map(Some),
    }
}

/// What a Secret holds.
pub(super) async fn secret(host: &Host, pod: &Pod, name: &str) -> Result<BTreeMap<String, Vec<u8>>, Missing> {
    let secrets: Api<Secret> = Api::namespaced(host.client.clone(), &pod.namespace().unwrap_or_default());
    let secret = secrets.get_opt(name).await.map_err(|error| error.to_string())?;
    let secret = secret.ok_or_else(|| format!("secret \"{name}\" not found"))?;
    Ok(secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect())
}

/// What a ConfigMap holds.
pub(super) async fn config_map(host: &Host, pod: &Pod, name: &str) -> Result<BTreeMap<String, Vec<u8>>, Missing> {
    let maps: Api<ConfigMap> = Api::namespaced(host.client.clone(), &pod.namespace().unwrap_or_default());
    let map = maps.get_opt(name).await.map_err(|error| error.to_string())?;
    let map = map.ok_or_else(|| format!("configmap \"{name}\" not found"))?;
    let texts = map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
    Ok(texts.chain(map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0))).collect())
}

/// The variables in the style of Docker's links that Pods get of the Services beside them, unless they decline. A name
/// such as `chat` makes a `CHAT_PORT`, which an image may take for its own: real clusters do so, and so it's done here.
async fn services(host: &Host, pod: &Pod) -> Result<BTreeMap<String, String>, Missing> {
    let mut all = BTreeMap::new();
    add_service(&mut all, "kubernetes", API_SERVICE, &[(Some("https"), 443, "TCP")]);
    if pod.spec.as_ref().and_then(|spec| spec.enable_service_links) == Some(false) {
        return Ok(all);
    }
    let services: Api<Service> = Api::namespaced(host.client.clone(), &pod.namespace().unwrap_or_default());
    for service in services.list(&ListParams::default()).await.map_err(|error| error.to_string())? {
        let name = service.name_any();
        let spec = service.spec.unwrap_or_default();
        let Some(address) = spec.cluster_ip.filter(|address| !address.is_empty() && address != "None") else {
            continue;
        };
        let ports: Vec<_> = spec.ports.iter().flatten().collect();
        let ports: Vec<_> = ports
            .iter()
            .map(|port| (port.name.as_deref(), port.port, port.protocol.as_deref().unwrap_or("TCP")))
            .collect();
        add_service(&mut all, &name, &address, &ports);
    }
    Ok(all)
}

fn add_service(all: &mut BTreeMap<String, String>, name: &str, address: &str, ports: &[(Option<&str>, i32, &str)]) {
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let name = upper(name);
    let Some((_, first, protocol)) = ports.first() else { return };
    all.insert(format!("{name}_SERVICE_HOST"), address.to_owned());
    all.insert(format!("{name}_SERVICE_PORT"), first.to_string());
    all.insert(format!("{name}_PORT"), format!("{}://{address}:{first}", protocol.to_lowercase()));
    for (port_name, port, protocol) in ports {
        if let Some(port_name) = port_name.filter(|port_name| !port_name.is_empty()) {
            all.insert(format!("{name}_SERVICE_PORT_{}", upper(port_name)), port.to_string());
        }
        let prefix = format!("{name}_PORT_{port}_{protocol}");
        all.insert(prefix.clone(), format!("{}://{address}:{port}", protocol.to_lowercase()));
        all.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        all.insert(format!("{prefix}_PORT"), port.to_string());
        all.insert(format!("{prefix}_ADDR"), address.to_owned());
    }
}
