//! Mutual TLS between the parts of Greenroom.
//!
//! Invariant: both ends of a connection have shown a certificate from the same authorities before a byte of either is
//! believed. TLS 1.3 only, nothing is resumed: every connection proves anew who is at its ends.
//!
//! An identity is a DNS name in the certificate, never an address. A [`Connector`] expects one name of the server, an
//! [`Acceptor`] has a list of names of clients and learns which of them came.
//!
//! [`Tls`] holds the certificate, key and authorities in use. They are exchanged as a whole, while connections stay open:
//! each handshake takes what is current. [`directory`] keeps it up with the files of a mounted Secret.

mod acceptor;
mod connector;
pub mod directory;
mod error;
mod material;
#[cfg(feature = "testing")]
pub mod testing;
mod verifier;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

pub use acceptor::{Acceptor, Client, ServerStream};
pub use connector::{ClientStream, Connector};
pub use error::{HandshakeError, NotAllowed, TlsError};
pub use material::Pem;

use material::Material;

/// How long the other side has for a handshake, unless another time is set.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The certificate, key and authorities in use. Clones share them.
#[derive(Clone)]
pub struct Tls(Arc<ArcSwap<Material>>);

impl Tls {
    /// Takes these files into use, if they fit each other and the certificate is valid now.
    pub fn new(pem: Pem) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(Material::new(pem)?))))
    }

    /// Exchanges the files for these. Open connections live on; each later handshake uses the new ones. If they cannot be
    /// used, everything stays as it was.
    pub fn replace(&self, pem: Pem) -> Result<(), TlsError> {
        self.0.store(Arc::new(Material::new(pem)?));
        Ok(())
    }

    /// Whether these very files are in use.
    pub fn holds(&self, pem: &Pem) -> bool {
        self.0.load().pem == *pem
    }

    /// When this side's certificate stops being valid.
    pub fn expires(&self) -> SystemTime {
        self.0.load().expires
    }

    /// The names in this side's certificate.
    pub fn names(&self) -> Vec<String> {
        self.0.load().names.clone()
    }

    fn current(&self) -> arc_swap::Guard<Arc<Material>> {
        self.0.load()
    }
}
