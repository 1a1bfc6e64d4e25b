//! The accept loop of a port.
//!
//! Whatever bytes arrive, the worst that can happen is that their connection is closed: that is counted and logged, and
//! every other connection goes on. When the node stops, connections may finish what they are doing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// How many connections a port keeps at most; further ones are closed at once.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take to send the head of an HTTP/1 request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent HTTP/2 peer is asked this often whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Frames of many calls must not wait for a window.
const WINDOW_BYTES: u32 = 4 << 20;

/// What is counted about a port.
#[derive(Debug, Default)]
pub(crate) struct PortStats {
    /// Connections accepted.
    pub(crate) accepted: AtomicU64,
    /// Connections closed because the port had too many.
    pub(crate) refused: AtomicU64,
    /// Connections closed because of what they sent.
    pub(crate) broken: AtomicU64,
}

/// A bound port that is not served yet: its address is known before anything depends on it.
pub(crate) struct Acceptor {
    port: &'static str,
    listener: TcpListener,
    stats: Arc<PortStats>,
}

impl Acceptor {
    /// Binds the address; `port` names it in log lines and metrics.
    pub(crate) async fn bind(port: &'static str, address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { port, listener, stats: Arc::default() })
    }

    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(crate) fn stats(&self) -> Arc<PortStats> {
        self.stats.clone()
    }

    /// Serves until `stop` becomes true, then lets open connections finish.
    pub(crate) async fn serve(self, routes: Router, mut stop: watch::Receiver<bool>) {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(port = self.port, %error, "cannot accept a connection");
                    // Out of file descriptors, most likely: accepting again at once would only spin.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(permit) = connections.clone().try_acquire_owned() else {
                self.stats.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(port = self.port, %peer, limit = MAX_CONNECTIONS, "too many connections; closed");
                continue;
            };
            self.stats.accepted.fetch_add(1, Ordering::Relaxed);
            let (port, stats) = (self.port, self.stats.clone());
            let served = connection(stream, routes.clone(), &graceful);
            tokio::spawn(async move {
                if let Err(error) = served.await {
                    stats.broken.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(port, %peer, error, "closed a connection because of what it sent");
                }
                drop(permit);
            });
        }
        graceful.shutdown().await;
    }
}

/// Serves one connection to its end.
fn connection(
    stream: TcpStream,
    routes: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = Result<(), String>> + Send + 'static {
    // Small frames must not wait for more.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES * 4);
    let service = TowerToHyperService::new(routes);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let watched = graceful.watch(connection);
    async move { watched.await.map_err(|error| explain(&*error)) }
}

/// An error with its causes: hyper's own text leaves out what the peer did.
fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
