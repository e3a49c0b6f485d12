//! Validates an external Redis.

use super::validated::{SpecError, ValidatedCredentials, ValidatedExternal, ValidatedRedis};
use crate::api::reason::Reason;
use crate::api::spec::redis::external::{CaCertificates, ClientCertificate, Credentials, External, Mode, Tls};
use crate::controller::dereference::{Data, ExternalSecrets};

/// Usual port of the Redis servers behind sentinels.
const PORT: u16 = 6379;
/// Keys of a Secret of type kubernetes.io/tls.
const TLS_KEYS: [&str; 2] = ["tls.crt", "tls.key"];

pub(super) fn external(spec: &External, secrets: &ExternalSecrets) -> Result<ValidatedRedis, SpecError> {
    let External { mode, endpoints, sentinel, credentials_secret_ref, tls, key_prefix, database, server_ports } = spec;
    let mut ports = endpoints.iter().map(|endpoint| port(endpoint)).collect::<Result<Vec<_>, _>>()?;
    ports.extend(server_ports.iter().filter_map(|port| u16::try_from(*port).ok()));
    if *mode == Mode::Sentinel && server_ports.is_empty() {
        ports.push(PORT);
    }
    ports.sort_unstable();
    ports.dedup();

    let scheme = match mode {
        Mode::Standalone => "",
        Mode::Sentinel => "-sentinel",
        Mode::Cluster => "-cluster",
    };
    let database = if *database == 0 { String::new() } else { format!("/{database}") };
    let url = format!("redis{}{scheme}://{}{database}", if tls.is_some() { "s" } else { "" }, endpoints.join(","));
    let found = |field: &str, spec: Option<&Credentials>, data: Option<&Data>| {
        spec.map(|spec| credentials(&format!("spec.redis.external.{field}"), spec, data)).transpose()
    };
    let of_sentinels = sentinel.as_ref().and_then(|sentinel| sentinel.credentials_secret_ref.as_ref());
    let Tls { ca_secret_ref, client_certificate_secret_ref } = tls.clone().unwrap_or_default();
    if let Some(CaCertificates { name, key }) = &ca_secret_ref {
        value("spec.redis.external.tls.caSecretRef", secrets.ca.as_ref(), name, key)?;
    }
    if let Some(ClientCertificate { name }) = &client_certificate_secret_ref {
        for key in TLS_KEYS {
            let field = "spec.redis.external.tls.clientCertificateSecretRef";
            value(field, secrets.client_certificate.as_ref(), name, key)?;
        }
    }
    Ok(ValidatedRedis::External(Box::new(ValidatedExternal {
        url,
        ports,
        credentials: found("credentialsSecretRef", credentials_secret_ref.as_ref(), secrets.credentials.as_ref())?,
        sentinel_master: sentinel.as_ref().map(|sentinel| sentinel.master_name.clone()),
        sentinel_credentials: found(
            "sentinel.credentialsSecretRef",
            of_sentinels,
            secrets.sentinel_credentials.as_ref(),
        )?,
        ca: ca_secret_ref,
        client_certificate: client_certificate_secret_ref,
        key_prefix: key_prefix.clone(),
    })))
}

/// The schema's pattern accepts numbers that are not ports.
fn port(endpoint: &str) -> Result<u16, SpecError> {
    let port = endpoint.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).filter(|port| *port > 0);
    port.ok_or_else(|| SpecError {
        reason: Reason::InvalidValue,
        message: format!("spec.redis.external.endpoints: {endpoint:?} is not host:port with a port up to 65535"),
    })
}

fn credentials(field: &str, spec: &Credentials, data: Option<&Data>) -> Result<ValidatedCredentials, SpecError> {
    let of = |key: &str| value(field, data, &spec.name, key);
    let username = match spec.username_key.as_str() {
        "" => None,
        key => Some((key.to_owned(), of(key)?)),
    };
    let password = (spec.password_key.clone(), of(&spec.password_key)?);
    Ok(ValidatedCredentials { secret: spec.name.clone(), username, password })
}

/// The value of a key in a Secret.
fn value(field: &str, data: Option<&Data>, secret: &str, key: &str) -> Result<Vec<u8>, SpecError> {
    let data = data.ok_or_else(|| SpecError {
        reason: Reason::SecretNotFound,
        message: format!("{field}: Secret {secret} does not exist"),
    })?;
    data.get(key).filter(|value| !value.is_empty()).cloned().ok_or_else(|| SpecError {
        reason: Reason::SecretKeyNotFound,
        message: format!("{field}: Secret {secret} has no value for key {key}"),
    })
}
