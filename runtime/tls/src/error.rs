//! What can be wrong with certificates, here and at the other side of a handshake.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustls::{CertificateError, Error as RustlsError};
use thiserror::Error;

/// Why certificate, key and authorities cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; it must be one of tls.crt, tls.key and ca.crt of a mounted Secret", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{file} cannot be used: {message}; it must be PEM, as the operator writes it")]
    Pem {
        /// The name of the file.
        file: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Key and certificate are of different pairs.
    #[error("tls.key does not belong to tls.crt; take both from the same Secret")]
    KeyMismatch,
    /// The certificate's time is over.
    #[error("the certificate in tls.crt has expired; the operator renews it: see that the operator runs")]
    Expired,
    /// The certificate is not accepted by the authorities beside it, so nobody else would accept it either.
    #[error("tls.crt is not accepted by the authorities in ca.crt: {0}; take both from the same Secret")]
    NotTrusted(String),
    /// A name is no DNS name.
    #[error("{0:?} is no identity; use a DNS name")]
    Name(String),
    /// The library refuses the combination.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] RustlsError),
}

/// Who showed a valid certificate, but of somebody who may not connect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the certificate is for {}, and only {} may connect; use a certificate with such a name",
    list(presented),
    list(allowed)
)]
pub struct NotAllowed {
    /// The names in the certificate.
    pub presented: Vec<String>,
    /// The names that may connect.
    pub allowed: Vec<String>,
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// Why a connection did not come about.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// It took too long.
    #[error("no TLS handshake within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The certificate is valid, its holder unwanted.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The other side showed no certificate.
    #[error("no certificate was shown; connect with one from this cluster's operator")]
    NoCertificate,
    /// The other side's certificate is not valid here.
    #[error("the certificate was not accepted: {}", explain(.0))]
    Certificate(CertificateError),
    /// The other side did not accept this side, or does not speak TLS 1.3.
    #[error("the TLS handshake failed: {0}")]
    Tls(RustlsError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(io::Error),
}

/// What the library says, except where it takes knowledge of TLS to read it.
fn explain(error: &CertificateError) -> String {
    match error {
        // Two authorities of the same name, one of them ours, look like a bad signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no authority in ca.crt here has issued it; both sides need certificates from the same operator"
                .to_owned()
        }
        other => other.to_string(),
    }
}

impl HandshakeError {
    /// The reason in a word, for metrics: `timeout`, `identity`, `certificate`, `tls` or `connection`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::NotAllowed(_) => "identity",
            Self::NoCertificate | Self::Certificate(_) => "certificate",
            Self::Tls(_) => "tls",
            Self::Io(_) => "connection",
        }
    }
}

impl From<io::Error> for HandshakeError {
    /// tokio-rustls hides the error of the handshake in one of I/O.
    fn from(error: io::Error) -> Self {
        let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) else {
            return Self::Io(error);
        };
        match inner {
            RustlsError::NoCertificatesPresented => Self::NoCertificate,
            RustlsError::InvalidCertificate(CertificateError::Other(other)) => {
                match other.0.downcast_ref::<NotAllowed>() {
                    Some(not_allowed) => Self::NotAllowed(not_allowed.clone()),
                    None => Self::Certificate(CertificateError::Other(other.clone())),
                }
            }
            RustlsError::InvalidCertificate(certificate) => Self::Certificate(certificate.clone()),
            other => Self::Tls(other.clone()),
        }
    }
}
