//! Connections to the mesh port, from the moment they are accepted.
//!
//! Whoever connects has one handshake timeout to say hello; whoever sends something else is closed by HTTP/2. Neither
//! passes unseen: a connection that ends without a hello is counted and logged with its address.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::stats::MeshStats;

/// The connections that a listener accepts.
pub(super) struct Guests {
    listener: TcpListener,
    stats: Arc<MeshStats>,
    patience: Duration,
}

impl Guests {
    pub(super) fn new(listener: TcpListener, stats: Arc<MeshStats>, patience: Duration) -> Self {
        Self { listener, stats, patience }
    }
}

impl Stream for Guests {
    type Item = io::Result<Guest>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.listener.poll_accept(cx));
        Poll::Ready(Some(accepted.and_then(|(stream, address)| {
            stream.set_nodelay(true)?;
            let visit = Visit { address, said_hello: AtomicBool::new(false) };
            Ok(Guest {
                stream,
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

/// One connection.
pub(super) struct Guest {
    stream: TcpStream,
    visit: Arc<Visit>,
    patience: Pin<Box<Sleep>>,
    stats: Arc<MeshStats>,
}

impl Connected for Guest {
    type ConnectInfo = Arc<Visit>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.visit.clone()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.visit.is_stranger() {
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
        if self.visit.is_stranger() && self.patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no hello came in time")));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
