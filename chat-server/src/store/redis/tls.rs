//! TLS to Redis: whom the node trusts, and what it shows of itself.
//!
//! The files are read again with each new connection, so that a certificate may be renewed without a
//! restart. One that can't be read then leaves the last one in force.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fred::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use fred::rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use fred::rustls::crypto::{CryptoProvider, aws_lc_rs};
use fred::rustls::pki_types::pem::PemObject;
use fred::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use fred::rustls::sign::CertifiedKey;
use fred::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use fred::rustls_native_certs::load_native_certs;

/// The PEM files of a connection.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// The certificates that sign those of Redis. Without it those of the system count.
    pub ca: Option<PathBuf>,
    /// The certificate that the node shows, with those between it and its CA; and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// What TLS is begun with.
    ///
    /// # Errors
    /// A file that can't be used, and why.
    pub(super) fn client_config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &self.ca {
            Some(path) => {
                let trust = Trust::read(path.clone(), provider.clone())?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(trust))
            }
            None => builder.with_root_certificates(system_roots()?),
        };
        Ok(match &self.client {
            Some((certificate, key)) => {
                let identity = Identity::read(certificate.clone(), key.clone(), provider)?;
                builder.with_client_cert_resolver(Arc::new(identity))
            }
            None => builder.with_no_client_auth(),
        })
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(load_native_certs().certs);
    if roots.is_empty() {
        return Err("this system has no CA certificates; name the file of yours with --redis-ca-file".to_owned());
    }
    Ok(roots)
}

fn read_ca(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let unusable = |why: String| format!("--redis-ca-file: {} can't be used: {why}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path).map_err(unusable)? {
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .map_err(|_| unusable("it holds no certificate".to_owned()))
}

fn read_client(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
    let unusable =
        |option: &str, path: &Path, why: String| format!("{option}: {} can't be used: {why}", path.display());
    let chain = certificates(certificate).map_err(|why| unusable("--redis-cert-file", certificate, why))?;
    if chain.is_empty() {
        return Err(unusable("--redis-cert-file", certificate, "it holds no certificate".to_owned()));
    }
    let unusable_key = |why: String| unusable("--redis-key-file", key, why);
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable_key(error.to_string()))?;
    CertifiedKey::from_der(chain, private, provider).map(Arc::new).map_err(|error| unusable_key(error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    read.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// The last of what was read; what can't be read leaves it.
fn renewed<T: Clone>(last: &Mutex<T>, read: Result<T, String>) -> T {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    match read {
        Ok(read) => *last = read,
        Err(why) => tracing::warn!("{why}; what it held before stays in force"),
    }
    last.clone()
}

/// Trusts what a file of CA certificates says.
struct Trust {
    path: PathBuf,
    provider: Arc<CryptoProvider>,
    last: Mutex<Arc<WebPkiServerVerifier>>,
}

impl Trust {
    fn read(path: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let last = Mutex::new(read_ca(&path, provider.clone())?);
        Ok(Self { path, provider, last })
    }

    fn last(&self) -> Arc<WebPkiServerVerifier> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trust").field(&self.path).finish()
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        renewed(&self.last, read_ca(&self.path, self.provider.clone())).verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.last().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.last().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.last().supported_verify_schemes()
    }
}

/// Shows the certificate of a file.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    last: Mutex<Arc<CertifiedKey>>,
}

impl Identity {
    fn read(certificate: PathBuf, key: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let last = Mutex::new(read_client(&certificate, &key, &provider)?);
        Ok(Self { certificate, key, provider, last })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.certificate).finish()
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(renewed(&self.last, read_client(&self.certificate, &self.key, &self.provider)))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
