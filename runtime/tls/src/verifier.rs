//! Which clients may connect: those with a valid certificate *and* one of the allowed names in it.
//!
//! The names are checked inside the handshake, so that who is refused is told so by TLS itself instead of finding a
//! closed connection.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::EndEntityCert;

use crate::error::{NotAllowed, TlsError};
use crate::material;

/// The identities that an acceptor lets in.
#[derive(Debug)]
pub(crate) struct Allowed(Vec<ServerName<'static>>);

impl Allowed {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Result<Self, TlsError> {
        names.into_iter().map(|name| identity(&name)).collect::<Result<_, _>>().map(Self)
    }

    /// Those of the names that the certificate is valid for. Its chain must have been verified.
    pub(crate) fn found_in(&self, certificate: &CertificateDer<'_>) -> Vec<String> {
        let Ok(parsed) = EndEntityCert::try_from(certificate) else { return Vec::new() };
        let valid = self.0.iter().filter(|name| parsed.verify_is_valid_for_subject_name(name).is_ok());
        valid.map(|name| name.to_str().into_owned()).collect()
    }

    fn refusal(&self, certificate: &CertificateDer<'_>) -> NotAllowed {
        let allowed = self.0.iter().map(|name| name.to_str().into_owned()).collect();
        NotAllowed { presented: material::names(certificate), allowed }
    }
}

/// A name as certificates are checked for it.
pub(crate) fn identity(name: &str) -> Result<ServerName<'static>, TlsError> {
    match ServerName::try_from(name.to_owned()) {
        Ok(name @ ServerName::DnsName(_)) => Ok(name),
        _ => Err(TlsError::Name(name.to_owned())),
    }
}

/// The library's check of the certificate, then that of the names.
pub(crate) struct NamedClients {
    pub(crate) certificates: Arc<dyn ClientCertVerifier>,
    pub(crate) allowed: Arc<Allowed>,
}

impl fmt::Debug for NamedClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedClients").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for NamedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.certificates.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.certificates.verify_client_cert(end_entity, intermediates, now)?;
        if self.allowed.found_in(end_entity).is_empty() {
            let refusal = OtherError(Arc::new(self.allowed.refusal(end_entity)));
            return Err(CertificateError::Other(refusal).into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.certificates.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.certificates.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.certificates.supported_verify_schemes()
    }
}
