//! The side that is connected to: lets in whoever has one of the allowed names, and says who that is.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{HandshakeError, TlsError};
use crate::verifier::{Allowed, NamedClients};
use crate::{HANDSHAKE_TIMEOUT, Tls};

/// A connection from a client that has shown who it is.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// Who is at the other end of an accepted connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    names: Arc<[String]>,
}

impl Client {
    /// A client with these identities; from a handshake, or made up in a test of who may do what.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
    }

    /// Whether this is one of its identities.
    pub fn is(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// Those of the acceptor's allowed names that its certificate has; at least one.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Accepts connections. Clones share everything.
#[derive(Clone)]
pub struct Acceptor {
    tls: Tls,
    allowed: Arc<Allowed>,
    patience: Duration,
}

impl Acceptor {
    /// An acceptor that lets in whoever has one of these names.
    pub fn new(tls: Tls, allowed: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, TlsError> {
        let allowed = Arc::new(Allowed::new(allowed.into_iter().map(Into::into))?);
        Ok(Self { tls, allowed, patience: HANDSHAKE_TIMEOUT })
    }

    /// Gives clients this long for the handshake.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The handshake with whoever is at the other end. Dropping the future closes the connection.
    pub async fn accept<S>(&self, stream: S) -> Result<(ServerStream<S>, Client), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = {
            let material = self.tls.current();
            let certificates = material.verifier.clone();
            let verifier = NamedClients { certificates, allowed: self.allowed.clone() };
            material.server(Arc::new(verifier)).map_err(HandshakeError::Tls)?
        };
        let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream);
        let stream = tokio::time::timeout(self.patience, handshake)
            .await
            .map_err(|_| HandshakeError::Timeout(self.patience))??;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let names = shown.map(|certificate| self.allowed.found_in(certificate)).unwrap_or_default();
        Ok((stream, Client::new(names)))
    }
}
