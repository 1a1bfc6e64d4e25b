//! Connections to the mesh port, from the moment they are accepted.
//!
//! Whoever connects has one handshake timeout to say hello, the TLS handshake included; whoever sends something else is
//! closed by TLS or HTTP/2. Neither passes unseen: a connection that ends without a hello is counted and logged with its
//! address.
//!
//! The TLS handshake is part of the first read or write, not of the accepting: so a slow one holds up nobody else.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use greenroom_tls::{Acceptor, HandshakeError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use super::stats::MeshStats;

/// The connections that a listener accepts.
pub(super) struct Guests {
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    stats: Arc<MeshStats>,
    patience: Duration,
}

impl Guests {
    pub(super) fn new(
        listener: TcpListener,
        acceptor: Option<Acceptor>,
        stats: Arc<MeshStats>,
        patience: Duration,
    ) -> Self {
        Self { listener, acceptor, stats, patience }
    }
}

impl tokio_stream::Stream for Guests {
    type Item = io::Result<Guest>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.listener.poll_accept(cx));
        Poll::Ready(Some(accepted.and_then(|(stream, address)| {
            stream.set_nodelay(true)?;
            let visit = Visit { address, said_hello: AtomicBool::new(false) };
            Ok(Guest {
                wire: Wire::of(stream, self.acceptor.clone()),
                visit: Arc::new(visit),
                patience: Box::pin(tokio::time::sleep(self.patience)),
                stats: self.stats.clone(),
            })
        })))
    }
}

/// What the service and the connection tell each other.
#[derive(Debug)]
pub(super) struct Visit {
    /// Who has connected.
    pub(super) address: SocketAddr,
    said_hello: AtomicBool,
}

impl Visit {
    /// A hello came; whether it is accepted is another matter.
    pub(super) fn said_hello(&self) {
        self.said_hello.store(true, Ordering::Relaxed);
    }

    fn is_stranger(&self) -> bool {
        !self.said_hello.load(Ordering::Relaxed)
    }
}

/// What bytes go over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

enum Wire {
    Handshake(BoxFuture<'static, Result<Box<dyn Stream>, HandshakeError>>),
    Open(Box<dyn Stream>),
    Refused,
}

impl Wire {
    fn of(stream: TcpStream, acceptor: Option<Acceptor>) -> Self {
        match acceptor {
            None => Self::Open(Box::new(stream)),
            Some(acceptor) => Self::Handshake(Box::pin(async move {
                let (stream, _) = acceptor.accept(stream).await?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            })),
        }
    }
}

/// One connection.
pub(super) struct Guest {
    wire: Wire,
    visit: Arc<Visit>,
    patience: Pin<Box<Sleep>>,
    stats: Arc<MeshStats>,
}

impl Guest {
    /// The stream, once the other end has shown who it is; an error if it takes too long to come to its hello.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Stream>>> {
        if self.visit.is_stranger() && self.patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no hello came in time")));
        }
        if let Wire::Handshake(handshake) = &mut self.wire {
            match ready!(handshake.as_mut().poll(cx)) {
                Ok(stream) => self.wire = Wire::Open(stream),
                Err(error) => {
                    self.wire = Wire::Refused;
                    self.stats.refused_handshakes.increment();
                    let (address, reason) = (self.visit.address, error.reason());
                    tracing::warn!(%address, reason, %error, "connection to the mesh port refused");
                }
            }
        }
        Poll::Ready(match &mut self.wire {
            Wire::Open(stream) => Ok(Pin::new(&mut **stream)),
            _ => Err(io::Error::new(io::ErrorKind::PermissionDenied, "no TLS handshake")),
        })
    }
}

impl Connected for Guest {
    type ConnectInfo = Arc<Visit>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.visit.clone()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Who was refused by TLS has been counted.
        if self.visit.is_stranger() && !matches!(self.wire, Wire::Refused) {
            self.stats.strangers.increment();
            tracing::warn!(address = %self.visit.address, "connection to the mesh port closed: it never said hello");
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_read(cx, into)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(&self.wire, Wire::Open(stream) if stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Open(stream) => Pin::new(stream).poll_shutdown(cx),
            // Nothing was said that would have to arrive.
            _ => Poll::Ready(Ok(())),
        }
    }
}
