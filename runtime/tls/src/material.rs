//! Certificate, key and authorities, read and checked against each other.
//!
//! Invariant: what is in use would be accepted by a peer that has the same authorities, at the moment it was taken into
//! use. So a Secret that was read halfway, mixed up or expired is found here, not in the handshakes of others.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, Error as RustlsError, RootCertStore, ServerConfig};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::parse_x509_certificate;

use crate::error::TlsError;

/// The three files of a TLS Secret, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// `tls.crt`: this side's certificate, and those between it and the authority.
    pub certificate: Vec<u8>,
    /// `tls.key`: its private key.
    pub key: Vec<u8>,
    /// `ca.crt`: the authorities, while they are exchanged both the old and the new one.
    pub authorities: Vec<u8>,
}

/// Without the key, of which nothing may reach a log.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("certificate", &self.certificate.len()).finish_non_exhaustive()
    }
}

/// What handshakes use.
pub(crate) struct Material {
    pub(crate) pem: Pem,
    pub(crate) expires: SystemTime,
    pub(crate) names: Vec<String>,
    /// For connections that this side opens.
    pub(crate) client: Arc<ClientConfig>,
    /// Checks the certificates of those who connect.
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    own: Arc<SingleCertAndKey>,
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// What both sides speak inside.
const HTTP2: &[u8] = b"h2";

impl Material {
    pub(crate) fn new(pem: Pem) -> Result<Self, TlsError> {
        let chain = certificates("tls.crt", &pem.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| unusable("tls.key", error))?;
        let roots = Arc::new(authorities(&pem.authorities)?);
        check_chain(&chain, &roots)?;
        let (expires, names) = (expiry(&chain[0])?, names(&chain[0]));
        let own = CertifiedKey::from_der(chain, key, &PROVIDER).map_err(|error| match error {
            RustlsError::InconsistentKeys(_) => TlsError::KeyMismatch,
            error => unusable("tls.key", error),
        })?;
        let own = Arc::new(SingleCertAndKey::from(own));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), PROVIDER.clone())
            .build()
            .map_err(|error| unusable("ca.crt", error))?;
        let mut client = ClientConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_cert_resolver(own.clone());
        // A resumed session would outlive the certificates and authorities that it was opened with.
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(Self { pem, expires, names, client: Arc::new(client), verifier, own })
    }

    /// For one connection to this side, whose other end `verifier` judges.
    pub(crate) fn server(
        &self,
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> Result<Arc<ServerConfig>, RustlsError> {
        let mut server = ServerConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.own.clone());
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(Arc::new(server))
    }
}

fn unusable(file: &'static str, error: impl fmt::Display) -> TlsError {
    TlsError::Pem { file, message: error.to_string() }
}

fn certificates(file: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(file, error))?;
    if found.is_empty() { Err(unusable(file, "it holds no certificate")) } else { Ok(found) }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca.crt", pem)? {
        roots.add(certificate).map_err(|error| unusable("ca.crt", error))?;
    }
    Ok(roots)
}

/// Whether others would accept the certificate. Every part of Greenroom dials, so it must be good for a client.
fn check_chain(chain: &[CertificateDer<'_>], roots: &RootCertStore) -> Result<(), TlsError> {
    let own = EndEntityCert::try_from(&chain[0]).map_err(|error| unusable("tls.crt", error))?;
    let algorithms = PROVIDER.signature_verification_algorithms.all;
    let (between, usage) = (&chain[1..], KeyUsage::client_auth());
    match own.verify_for_usage(algorithms, &roots.roots, between, UnixTime::now(), usage, None, None) {
        Ok(_) => Ok(()),
        Err(webpki::Error::CertExpired { .. }) => Err(TlsError::Expired),
        Err(error) => Err(TlsError::NotTrusted(error.to_string())),
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Result<SystemTime, TlsError> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|error| unusable("tls.crt", error))?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The DNS names in a certificate; to be shown, not to be decided upon.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = EndEntityCert::try_from(certificate);
    parsed.map(|parsed| parsed.valid_dns_names().map(str::to_owned).collect()).unwrap_or_default()
}
