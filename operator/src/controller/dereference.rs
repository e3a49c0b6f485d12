//! Reads what a spec refers to: Secrets and a StorageClass, and the Secrets that the operator
//! generates.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, Client};

use super::error::Error;
use super::names::Names;
use crate::api::prometheus::InstalledKinds;
use crate::api::spec::ChatCluster;
use crate::api::spec::redis::Redis;

/// Data of a Secret.
pub type Data = BTreeMap<String, Vec<u8>>;

/// Everything that a spec refers to.
#[derive(Debug, Clone, Default)]
pub struct References {
    /// Keys that sign resume tokens.
    pub session: OwnedSecret,
    /// Token of the nodes' admin port.
    pub admin: OwnedSecret,
    /// Password of a managed Redis.
    pub redis: OwnedSecret,
    /// Secrets of an external Redis.
    pub external: ExternalSecrets,
    /// Whether the Secret with the Ingress' certificate exists.
    pub certificate_exists: bool,
    /// Whether the StorageClass exists. True if the spec names none.
    pub storage_class_exists: bool,
    /// Installed kinds of the Prometheus Operator.
    pub installed: InstalledKinds,
}

/// Secrets of an external Redis. `None` if not referenced, or not found.
#[derive(Debug, Clone, Default)]
pub struct ExternalSecrets {
    /// User name and password.
    pub credentials: Option<Data>,
    /// User name and password of the sentinels.
    pub sentinel_credentials: Option<Data>,
    /// CA certificates.
    pub ca: Option<Data>,
    /// Client certificate of the nodes.
    pub client_certificate: Option<Data>,
}

/// A Secret that the operator generates once.
#[derive(Debug, Clone, Default)]
pub struct OwnedSecret {
    /// Existing data; empty if the Secret does not exist.
    pub data: Data,
    /// A new random value, used if the Secret has none.
    pub fresh: String,
}

impl OwnedSecret {
    fn of(secret: Option<&Secret>) -> Result<Self, Error> {
        Ok(Self { data: secret.map(data).unwrap_or_default(), fresh: random()? })
    }

    /// The existing value of a key, or the new one.
    #[must_use]
    pub fn value(&self, key: &str) -> Vec<u8> {
        match self.data.get(key) {
            Some(value) if !value.is_empty() => value.clone(),
            _ => self.fresh.clone().into_bytes(),
        }
    }
}

/// Reads everything that the spec refers to.
///
/// # Errors
/// The API server can't be reached. Missing objects are not an error: see [`References`].
pub async fn dereference(
    client: &Client,
    cluster: &ChatCluster,
    installed: InstalledKinds,
    owned: impl Fn(&str) -> Option<Secret>,
) -> Result<References, Error> {
    let names = Names::of(cluster);
    let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);

    // If the cache lacks the Secret, a watch may be behind, or somebody removed its label. Its
    // value must be kept in both cases.
    let secret = async |name: String| match owned(&name) {
        Some(secret) => Ok(Some(secret)),
        None => secrets.get_opt(&name).await,
    };
    let referenced = ReferencedNames::of(cluster);
    let read = async |name: Option<&str>| match name {
        Some(name) => Ok::<_, kube::Error>(secrets.get_opt(name).await?.as_ref().map(data)),
        None => Ok(None),
    };
    let [credentials, sentinel_credentials, ca, client_certificate] = referenced.external;
    let external = ExternalSecrets {
        credentials: read(credentials).await?,
        sentinel_credentials: read(sentinel_credentials).await?,
        ca: read(ca).await?,
        client_certificate: read(client_certificate).await?,
    };
    let certificate_exists = match referenced.certificate {
        Some(name) => secrets.get_metadata_opt(name).await?.is_some(),
        None => true,
    };
    let storage_class_exists = match referenced.storage_class {
        Some(name) => storage_class_exists(client, name).await?,
        None => true,
    };
    Ok(References {
        session: OwnedSecret::of(secret(names.session()).await?.as_ref())?,
        admin: OwnedSecret::of(secret(names.admin()).await?.as_ref())?,
        redis: match referenced.managed {
            true => OwnedSecret::of(secret(names.redis()).await?.as_ref())?,
            false => OwnedSecret::default(),
        },
        external,
        certificate_exists,
        storage_class_exists,
        installed,
    })
}

/// Assumed to exist if the operator lacks permission to read StorageClasses, as one limited to a
/// namespace may.
async fn storage_class_exists(client: &Client, name: &str) -> Result<bool, kube::Error> {
    match Api::<StorageClass>::all(client.clone()).get_metadata_opt(name).await {
        Ok(class) => Ok(class.is_some()),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(true),
        Err(error) => Err(error),
    }
}

/// Names that a spec refers to.
pub struct ReferencedNames<'a> {
    managed: bool,
    /// Secrets of an external Redis: credentials, sentinel credentials, CA, client certificate.
    external: [Option<&'a str>; 4],
    certificate: Option<&'a str>,
    storage_class: Option<&'a str>,
}

impl<'a> ReferencedNames<'a> {
    /// The names in a spec.
    #[must_use]
    pub fn of(cluster: &'a ChatCluster) -> Self {
        let redis = cluster.spec.redis.as_ref();
        let external = redis.and_then(|Redis { external, .. }| external.as_ref());
        let sentinel = external.and_then(|external| external.sentinel.as_ref());
        let tls = external.and_then(|external| external.tls.as_ref());
        let managed = redis.and_then(|Redis { managed, .. }| managed.as_ref());
        Self {
            managed: managed.is_some(),
            external: [
                external.and_then(|external| external.credentials_secret_ref.as_ref()).map(|named| &named.name),
                sentinel.and_then(|sentinel| sentinel.credentials_secret_ref.as_ref()).map(|named| &named.name),
                tls.and_then(|tls| tls.ca_secret_ref.as_ref()).map(|named| &named.name),
                tls.and_then(|tls| tls.client_certificate_secret_ref.as_ref()).map(|named| &named.name),
            ]
            .map(|name| name.map(String::as_str)),
            certificate: cluster
                .spec
                .exposure
                .ingress
                .as_ref()
                .and_then(|ingress| ingress.tls.as_ref())
                .map(|tls| tls.secret_name.as_str()),
            storage_class: managed
                .map(|managed| managed.persistence.storage_class_name.as_str())
                .filter(|name| !name.is_empty()),
        }
    }

    /// Whether the spec refers to this Secret.
    #[must_use]
    pub fn contains_secret(&self, name: &str) -> bool {
        self.external.contains(&Some(name)) || self.certificate == Some(name)
    }
}

fn data(secret: &Secret) -> Data {
    secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect()
}

/// 32 random bytes, in hexadecimal.
fn random() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
