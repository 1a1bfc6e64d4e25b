//! The port that the API server connects to.
//!
//! Each handshake takes the certificate and the authorities that are current. A client certificate is asked for, not
//! demanded: who shows none may still have a token. One that is shown must lead to an authority of the cluster.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::security::authentication::PeerChain;
use crate::security::certificates::Current;
use crate::security::request_header::RequestHeaders;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 connection is asked whether it still is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Connections at once; more wait.
const CONNECTIONS: usize = 4_096;
/// How long open requests have when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// What handshakes need.
#[derive(Clone)]
pub struct Tls {
    /// Who signs.
    pub provider: Arc<CryptoProvider>,
    /// The certificate.
    pub certificate: Current,
    /// Whose certificates are accepted.
    pub clients: Arc<ArcSwapOption<RequestHeaders>>,
}

impl Tls {
    /// The configuration of one handshake; `None` while there is no certificate.
    fn config(&self) -> Option<Result<Arc<ServerConfig>, String>> {
        let certified = self.certificate.load_full()?.certified.clone();
        Some(self.build(certified).map(Arc::new))
    }

    fn build(&self, certified: Arc<CertifiedKey>) -> Result<ServerConfig, String> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match self.clients.load_full() {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(clients.any.clone(), self.provider.clone())
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| error.to_string())?,
            ),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Always(certified)));
        // A resumed session would outlive the authorities that it was opened with.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Shows one certificate, whatever name was asked for.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// Serves until `stop`, then lets open requests finish for a while.
pub async fn serve(listener: TcpListener, tls: Tls, router: Router, stop: CancellationToken) {
    let (connections, places) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, tls, router, stop).await {
                debug!(error, "a connection ended");
            }
            drop(place);
        });
    }
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        warn!("some requests did not end in time; they are cut");
    }
}

async fn connection(
    stream: TcpStream,
    tls: Tls,
    router: Router,
    stop: CancellationToken,
) -> Result<(), String> {
    let config = tls.config().ok_or("there is no certificate yet")??;
    let _ = stream.set_nodelay(true);
    let stream = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream))
        .await
        .map_err(|_| "the handshake took too long")?
        .map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
    let router = router.layer(Extension(PeerChain(chain.into())));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(KEEP_ALIVE);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return ended.map_err(|error| error.to_string()),
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    serving.await.map_err(|error| error.to_string())
}
