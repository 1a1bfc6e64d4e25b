//! Puts the parts together and runs them until told to stop.

use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use greenroom_crds::names::ADMIN_PORT;
use kube::Client;
use rustls::crypto::CryptoProvider;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::Args;
use crate::framework::Description;
use crate::framework::handlers::{Api, Server};
use crate::health::Health;
use crate::listener::{self, Tls};
use crate::metrics::Metrics;
use crate::nodes::clock::Clock;
use crate::nodes::directory::Directory;
use crate::nodes::following::Following;
use crate::nodes::pool::{self, Pool, Security};
use crate::nodes::read_ahead::ReadAhead;
use crate::resources::actor_placements::{ActorPlacement, ActorPlacements};
use crate::security::authentication::Authenticator;
use crate::security::authorization::Authorizer;
use crate::security::certificates::{Current, Keeper, Names};
use crate::security::request_header;

/// Serves until `stop`.
pub async fn run(args: Args, client: Client, stop: CancellationToken) -> anyhow::Result<()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (tls_sender, tls) = watch::channel(None);
    let parts = Parts::new(&client, Security::Tls(tls))?;
    let listener = bind(args.listen).await?;
    let http = bind(args.http_listen).await?;
    info!(listen = %args.listen, http = %args.http_listen, "the placement API runs");

    let mut tasks = JoinSet::new();
    tasks.spawn(request_header::follow(client.clone(), provider.clone(), parts.headers.clone()));
    tasks.spawn(parts.keeper(&args, client.clone(), provider.clone()).run());
    tasks.spawn(pool::follow_certificate(args.client_tls_dir.clone(), tls_sender));
    let directory = parts.resource.directory.clone();
    let namespaces = args.namespaces();
    tasks.spawn(async move { directory.follow(client, &namespaces, ADMIN_PORT.1).await });
    tasks.spawn(parts.clone().close_unused_connections());
    let health = parts.health.router();
    tasks.spawn(async move {
        if let Err(error) = axum::serve(http, health).await {
            tracing::error!(%error, "health checks and metrics are not served any more");
        }
    });
    let tls = Tls { provider, certificate: parts.certificate.clone(), clients: parts.headers.clone() };
    listener::serve(listener, tls, parts.router(), stop).await;
    info!("the placement API stops");
    Ok(())
}

async fn bind(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address, or stop what uses it"))
}

/// What the server is made of.
#[derive(Clone)]
pub struct Parts {
    /// The resource.
    pub resource: Arc<ActorPlacements>,
    server: Arc<Server>,
    health: Health,
    certificate: Current,
    headers: Arc<ArcSwapOption<request_header::RequestHeaders>>,
}

impl Parts {
    /// All parts, none of which does anything yet.
    pub fn new(client: &Client, security: Security) -> anyhow::Result<Self> {
        let clock = Arc::new(Clock::default());
        let directory = Directory::new(clock.clone());
        let pool = Arc::new(Pool::new(security, clock.clone()));
        let following = Arc::new(Following::new(pool.clone(), directory.clone(), clock.clone()));
        let headers = Arc::new(ArcSwapOption::empty());
        let certificate = Current::default();
        let metrics = Arc::new(Metrics::new()?);
        let server = Arc::new(Server {
            authenticator: Authenticator::new(client.clone(), headers.clone()),
            authorizer: Authorizer::new(client.clone()),
            continue_key: ArcSwapOption::empty(),
            metrics: metrics.clone(),
        });
        let health = Health {
            certificate: certificate.clone(),
            headers: headers.clone(),
            directory: directory.clone(),
            following: following.clone(),
            metrics,
        };
        let resource =
            Arc::new(ActorPlacements { directory, pool, following, clock, read_ahead: ReadAhead::default() });
        Ok(Self { resource, server, health, certificate, headers })
    }

    /// The paths of the server.
    pub fn router(&self) -> axum::Router {
        Api::new(self.server.clone()).serve(self.resource.clone()).router().merge(self.health.probes())
    }

    fn keeper(&self, args: &Args, client: Client, provider: Arc<CryptoProvider>) -> Keeper {
        let description = Description::of::<ActorPlacement>();
        let host = format!("{}.{}.svc", args.service_name, args.namespace);
        let names = Names {
            namespace: args.namespace.clone(),
            secret: args.tls_secret.clone(),
            dns: vec![host],
            api_service: format!("{}.{}", description.version, description.group),
        };
        Keeper { client, names, provider, current: self.certificate.clone(), server: self.server.clone() }
    }

    /// Pods go; connections to them are no use.
    async fn close_unused_connections(self) {
        let mut changes = self.resource.directory.changes();
        while changes.changed().await.is_ok() {
            if let Some(nodes) = self.resource.directory.nodes() {
                self.resource.pool.retain(&nodes);
            }
        }
    }
}
