//! The connection to the API server, and how it notices that nobody is at the other end.
//!
//! A network that drops packets without a word closes nothing: a watch over it would wait for as long as it was asked
//! to. So the connection is HTTP/2, where a silent peer is pinged, as Kubernetes' own clients do; all requests share it,
//! and all of them fail when a ping is not answered. Where the API server, or a proxy before it, speaks HTTP/1.1 only,
//! TCP asks for signs of life, and a watch that outlasts what it was asked for is ended.
//!
//! Nothing is repeated here. Kube's default client repeats 429, 503 and 504 up to fifteen times, which takes minutes; a
//! map write is repeated by its writer, who knows whether it is still wanted.

use std::time::Duration;

use hyper_rustls::HttpsConnectorBuilder;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use crate::KubeCoordinationError;

/// How long TCP and TLS may take to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A connection that has been silent for so long is pinged.
const PING_AFTER: Duration = Duration::from_secs(15);
/// A ping that is not answered within this time ends the connection.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Without HTTP/2, a connection that has been silent for so long is ended: a bit more than the longest watch.
const SILENT_AT_MOST: Duration = Duration::from_secs(230);

/// A client for this API server that notices a dead connection within half a minute. Connects when it is first used.
/// Needs a tokio runtime.
pub fn connect(config: Config) -> Result<Client, KubeCoordinationError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(PING_AFTER));
    tcp.set_keepalive_interval(Some(PONG_WITHIN / 2));
    tcp.set_keepalive_retries(Some(2));

    let tls = config.rustls_client_config().map_err(KubeCoordinationError::connection)?;
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
    let mut connector = TimeoutConnector::new(https.wrap_connector(tcp));
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    connector.set_read_timeout(Some(SILENT_AT_MOST));
    connector.set_reset_reader_on_write(true);

    let http = legacy::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PONG_WITHIN)
        .http2_keep_alive_while_idle(true)
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(KubeCoordinationError::connection)?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}
