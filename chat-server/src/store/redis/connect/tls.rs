//! TLS to Redis.
//!
//! The files are read again for each connection, so that certificates are renewed without a
//! restart. If a file can't be read then, what it held before stays in force.

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
    /// The CA certificates that are trusted. Without this file: those of the system.
    pub ca: Option<PathBuf>,
    /// The client certificate with its chain, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// The configuration of TLS.
    ///
    /// # Errors
    /// A file that can't be used, and why.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &self.ca {
            Some(path) => {
                let trust = CaFile::read(path.clone(), provider.clone())?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(trust))
            }
            None => builder.with_root_certificates(system_roots()?),
        };
        Ok(match &self.client {
            Some((certificate, key)) => {
                let identity = ClientCertificate::read(certificate.clone(), key.clone(), provider)?;
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

/// What was read, or what was read before if it can't be read now.
fn renewed<T: Clone>(last: &Mutex<T>, read: Result<T, String>) -> T {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    match read {
        Ok(read) => *last = read,
        Err(why) => tracing::warn!("{why}; what it held before stays in force"),
    }
    last.clone()
}

/// Verifies servers by a file of CA certificates, which it reads again for each handshake.
struct CaFile {
    path: PathBuf,
    provider: Arc<CryptoProvider>,
    last: Mutex<Arc<WebPkiServerVerifier>>,
}

impl CaFile {
    fn read(path: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let last = Mutex::new(read_ca(&path, provider.clone())?);
        Ok(Self { path, provider, last })
    }

    fn last(&self) -> Arc<WebPkiServerVerifier> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CaFile").field(&self.path).finish()
    }
}

impl ServerCertVerifier for CaFile {
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

/// Presents a client certificate, which it reads again for each handshake.
struct ClientCertificate {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    last: Mutex<Arc<CertifiedKey>>,
}

impl ClientCertificate {
    fn read(certificate: PathBuf, key: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let last = Mutex::new(read_client(&certificate, &key, &provider)?);
        Ok(Self { certificate, key, provider, last })
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate").field(&self.certificate).finish()
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(renewed(&self.last, read_client(&self.certificate, &self.key, &self.provider)))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
