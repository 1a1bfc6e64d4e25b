//! The accept loop of a port.
//!
//! Whatever bytes arrive, the worst that can happen is that their connection is closed: that is counted and logged, and
//! every other connection goes on. So it is with those who may not connect. When the node stops, connections may finish
//! what they are doing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::access::Guard;

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
    /// Connections closed because their other end did not show that it may connect.
    pub(crate) untrusted: AtomicU64,
}

impl PortStats {
    /// The counts, by the outcome that metrics name.
    pub(crate) fn outcomes(&self) -> [(&'static str, u64); 4] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("accepted", read(&self.accepted)),
            ("refused", read(&self.refused)),
            ("broken", read(&self.broken)),
            ("untrusted", read(&self.untrusted)),
        ]
    }
}

/// A bound port that is not served yet: its address is known before anything depends on it.
pub(crate) struct Port {
    name: &'static str,
    listener: TcpListener,
    guard: Option<Guard>,
    stats: Arc<PortStats>,
}

impl Port {
    /// Binds the address; `name` stands for it in log lines and metrics.
    pub(crate) async fn bind(name: &'static str, address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { name, listener, guard: None, stats: Arc::default() })
    }

    /// Lets in only whom the guard lets in.
    pub(crate) fn guarded(self, guard: Option<Guard>) -> Self {
        Self { guard, ..self }
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
                    tracing::warn!(port = self.name, %error, "cannot accept a connection");
                    // Out of file descriptors, most likely: accepting again at once would only spin.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(permit) = connections.clone().try_acquire_owned() else {
                self.stats.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(port = self.name, %peer, limit = MAX_CONNECTIONS, "too many connections; closed");
                continue;
            };
            self.stats.accepted.fetch_add(1, Ordering::Relaxed);
            let connection = Connection {
                port: self.name,
                peer,
                guard: self.guard.clone(),
                routes: routes.clone(),
                watcher: graceful.watcher(),
                stats: self.stats.clone(),
            };
            tokio::spawn(async move {
                connection.serve(stream).await;
                drop(permit);
            });
        }
        graceful.shutdown().await;
    }
}

/// One connection, from accepting to its end.
struct Connection {
    port: &'static str,
    peer: SocketAddr,
    guard: Option<Guard>,
    routes: Router,
    watcher: Watcher,
    stats: Arc<PortStats>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // Small frames must not wait for more.
        let _ = stream.set_nodelay(true);
        let (port, peer, stats) = (self.port, self.peer, self.stats);
        let served = match self.guard {
            None => serve_http(stream, self.routes, self.watcher).await,
            Some(Guard { acceptor, access }) => match acceptor.accept(stream).await {
                Ok((stream, client)) => {
                    serve_http(stream, access.routes_for(client, self.routes), self.watcher).await
                }
                Err(error) => {
                    stats.untrusted.fetch_add(1, Ordering::Relaxed);
                    let reason = error.reason();
                    tracing::warn!(port, %peer, reason, %error, "connection refused");
                    return;
                }
            },
        };
        if let Err(error) = served {
            stats.broken.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(port, %peer, error, "closed a connection because of what it sent");
        }
    }
}

/// Serves HTTP on a stream to its end.
async fn serve_http<S>(stream: S, routes: Router, watcher: Watcher) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES * 4);
    let service = TowerToHyperService::new(routes);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    watcher.watch(connection).await.map_err(|error| explain(&*error))
}

/// An error with its causes: hyper's own text leaves out what the peer did.
fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
