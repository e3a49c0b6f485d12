//! Who is who: one authority, and a certificate for each part of the control plane and for the administrator.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::metrics;
use super::network::{API_SERVER, API_SERVICE};

/// Users by their file names, with their groups. RBAC knows the controller manager, the scheduler and kube-proxy.
pub(super) const USERS: [(&str, &str, Option<&str>); 6] = [
    ("admin", "admin", Some("system:masters")),
    // The harness's kubelet is all nodes and the volume provisioner as well.
    ("kubelet", "harness:kubelet", Some("system:masters")),
    ("kube-controller-manager", "system:kube-controller-manager", None),
    ("kube-scheduler", "system:kube-scheduler", None),
    ("kube-proxy", "system:kube-proxy", None),
    ("front-proxy", "front-proxy", None),
];

/// Writes `NAME.crt` and `NAME.key` for the authority, the servers and all users, and the keys of service accounts.
pub(super) fn write(folder: &Path) {
    let mut params = params("chatcluster-tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate authority");
    save(folder, "ca.crt", &authority.pem());
    save(folder, "ca.key", &authority.key().serialize_pem());

    let mut server = self::params("kube-apiserver");
    for name in ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
        server.subject_alt_names.push(SanType::DnsName(name.try_into().expect("a name")));
    }
    for address in ["127.0.0.1", API_SERVER, API_SERVICE] {
        server.subject_alt_names.push(SanType::IpAddress(address.parse::<IpAddr>().expect("an address")));
    }
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(folder, "kube-apiserver", server, &authority);

    let mut server = self::params(metrics::SERVICE);
    server.subject_alt_names.push(SanType::DnsName(metrics::SERVER_NAME.try_into().expect("a name")));
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(folder, metrics::SERVICE, server, &authority);

    for (file, user, group) in USERS {
        let mut client = self::params(user);
        if let Some(group) = group {
            client.distinguished_name.push(DnType::OrganizationName, group);
        }
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        issue(folder, file, client, &authority);
    }

    let accounts = key();
    save(folder, "service-accounts.key", &accounts.serialize_pem());
    save(folder, "service-accounts.pub", &accounts.public_key_pem());
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn issue(folder: &Path, name: &str, params: CertificateParams, authority: &CertifiedIssuer<'_, KeyPair>) {
    let key = key();
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    save(folder, &format!("{name}.crt"), &certificate.pem());
    save(folder, &format!("{name}.key"), &key.serialize_pem());
}

fn save(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
}
