//! The side that connects: expects one identity of the server, wherever its address leads.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::Service;

use crate::error::{HandshakeError, TlsError};
use crate::verifier::identity;
use crate::{HANDSHAKE_TIMEOUT, Tls};

/// A connection to a server that has shown who it is.
pub type ClientStream<S> = tokio_rustls::client::TlsStream<S>;

/// Connects to servers of one identity. As a [`Service`] of addresses it is what tonic's `connect_with_connector` takes;
/// the endpoint's address then begins with `http://`, since tonic is not to add TLS of its own.
#[derive(Clone)]
pub struct Connector {
    tls: Tls,
    server: ServerName<'static>,
    patience: Duration,
}

impl Connector {
    /// A connector to servers with this name in their certificate.
    pub fn new(tls: Tls, server: &str) -> Result<Self, TlsError> {
        Ok(Self { tls, server: identity(server)?, patience: HANDSHAKE_TIMEOUT })
    }

    /// Gives servers this long to take the connection, and as long again for the handshake.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The handshake over an open connection. With TLS 1.3 a server that does not accept this side's certificate says so
    /// afterwards: as the error of the first read.
    pub async fn connect<S>(&self, stream: S) -> Result<ClientStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.tls.current().client.clone();
        let handshake = tokio_rustls::TlsConnector::from(config).connect(self.server.clone(), stream);
        let stream = tokio::time::timeout(self.patience, handshake)
            .await
            .map_err(|_| HandshakeError::Timeout(self.patience))??;
        Ok(stream)
    }

    /// Opens a TCP connection to the address of the URI, then does the handshake.
    async fn dial(&self, to: &Uri) -> Result<ClientStream<TcpStream>, HandshakeError> {
        let (Some(host), Some(port)) = (to.host(), to.port_u16()) else {
            let message = format!("{to} is no address; use http://HOST:PORT");
            return Err(HandshakeError::Io(io::Error::new(io::ErrorKind::InvalidInput, message)));
        };
        // An address of IPv6 stands in brackets in a URI only.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = tokio::time::timeout(self.patience, TcpStream::connect((host, port)))
            .await
            .map_err(|_| HandshakeError::Io(io::ErrorKind::TimedOut.into()))?
            .map_err(HandshakeError::Io)?;
        stream.set_nodelay(true).map_err(HandshakeError::Io)?;
        self.connect(stream).await
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<ClientStream<TcpStream>>;
    type Error = HandshakeError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, HandshakeError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.dial(&to).await.map(TokioIo::new) })
    }
}
