//! A node, put together: store, engine, cluster, mesh, gateway, admin and health.
//!
//! The order of the start is the order of what depends on what: bind the ports (their addresses are announced), lock
//! and open the store (this run gets its incarnation), serve the ports, then join the cluster. The order of the stop is
//! the reverse: take no new calls, finish the running turns, leave, flush the store, close the ports.

mod facts;
mod kubernetes;
mod security;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_cluster::mesh::{Mesh, MeshConfig, MeshLimits, NodeIdentity};
use greenroom_cluster::registration::Refused;
use greenroom_cluster::{
    ClusterError, Coordination, Driver, DriverConfig, Embedded, MeshHandler, MeshReply, MeshRequest, Peer,
    Phase, Remote, Router, Shards,
};
use greenroom_core::call::{Call, CallResult};
use greenroom_core::engine::{Engine, EngineBuilder};
use greenroom_core::env::{SharedEnv, SystemEnv};
use greenroom_core::error::CallError;
use greenroom_core::map::NodeRun;
use greenroom_core::program::Program;
use greenroom_core::reference::Origin;
use greenroom_core::transport::{SharedTransport, Transport};
use greenroom_gateway::Gateway;
use greenroom_proto::v1;
use greenroom_proto::v1::gateway_server::GatewayServer;
use greenroom_store::{Store, StoreError, StoreOptions};
use greenroom_tls::{Tls, TlsError, directory};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{ConfigError, KUBERNETES, NodeConfig, StorageEngine};
use crate::memory;
use crate::servers::{AdminService, Guard, Port, PortStats, admin_routes, gateway_routes, health_routes};
use crate::telemetry::Metrics;
use security::Security;

/// Why a node cannot start or go on.
#[derive(Debug, Error)]
pub enum NodeError {
    /// A port cannot be bound.
    #[error("cannot listen on {address} for {port}: {source}; choose another address with --{port}-listen")]
    Bind {
        /// Which port.
        port: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A setting has a value that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster does not take this node.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A setting needs what this program was built without.
    #[error(
        "{0} needs Kubernetes support, which this program lacks; build it with the feature `kubernetes` of the crate greenroom"
    )]
    Feature(&'static str),
    /// The API server cannot be used.
    #[error("{0}")]
    Kubernetes(String),
    /// The certificate, key or authorities cannot be used.
    #[error("the TLS files in {} cannot be used: {source}", directory.display())]
    Tls {
        /// Where they lie.
        directory: PathBuf,
        /// Why.
        source: TlsError,
    },
    /// The certificate is somebody else's.
    #[error("the certificate in {} is for {found}, but this node is {expected}; mount the Secret that the operator made for the nodes of this cluster", directory.display())]
    Identity {
        /// Where it lies.
        directory: PathBuf,
        /// The names in it.
        found: String,
        /// The name that the nodes of this cluster have.
        expected: String,
    },
    /// The metrics cannot be set up.
    #[error("cannot set up the metrics: {0}")]
    Metrics(String),
}

/// Registers the actor types of a node with its engine.
pub type Types = Box<dyn FnOnce(EngineBuilder) -> EngineBuilder + Send>;

/// A running node.
pub struct Node {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    servers: Mutex<Vec<JoinHandle<()>>>,
    program: Program,
}

/// What the parts of a node know of each other.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) engine: Arc<Engine>,
    pub(crate) metrics: Metrics,
    driver: Driver,
    router: Arc<Router>,
    store: Arc<Store>,
    mesh: Arc<Mesh>,
    gateway: Gateway,
    tls: Option<Tls>,
    health: tonic_health::server::HealthReporter,
    ports: Vec<(&'static str, Arc<PortStats>)>,
    peer: Peer,
    started: Instant,
}

/// The four ports, bound.
struct Ports {
    gateway: Port,
    mesh: TcpListener,
    admin: Port,
    health: Port,
}

impl Node {
    /// Starts a node. It takes calls at once; [`when_active`](Self::when_active) tells when all its shards are served.
    pub async fn start(config: NodeConfig, types: Types) -> Result<Self, NodeError> {
        let env: SharedEnv = Arc::new(SystemEnv);
        let security = Security::load(&config).await?;
        let ports = Ports::bind(&config, security.as_ref().map(|security| security.admin.clone())).await?;
        let peer = ports.peer(&config.node);
        let layout = config.layout()?;
        let shards = Shards::new(&layout);
        let coordination = coordination(&config, &env).await?;
        let store = Arc::new(open_store(&config, &shards).await?);
        let engine = types(Engine::builder(env.clone(), &layout)).build();
        let driver = Driver::start(DriverConfig {
            env: env.clone(),
            engine: engine.clone(),
            journal: store.clone(),
            coordination,
            shards,
            run: store.run(),
            peer: peer.clone(),
            store_has_data: store.had_data(),
            group: config.group.clone(),
            expected: config.expected(),
        });
        let handler = Arc::new(LateHandler::default());
        let mesh = Mesh::new(mesh_config(&config, store.run(), env, security.as_ref()), handler.clone());
        let router = Router::new(&driver, mesh.clone());
        handler.set(&router);
        let gateway = Gateway::new(Arc::new(OneAttempt(router.clone())));
        let (gateway_routes, health) = gateway_routes(&gateway).await;
        let metrics = Metrics::new().map_err(NodeError::Metrics)?;
        let (stats, started) = (ports.stats(), Instant::now());
        let shared = Arc::new(Shared {
            config,
            engine,
            metrics,
            driver,
            router,
            store,
            mesh,
            gateway,
            tls: security.map(|security| security.tls),
            health,
            ports: stats,
            peer,
            started,
        });
        shared.metrics.read_from(&shared);
        if let Some(limits) = shared.memory_limits() {
            tokio::spawn(memory::watch(Arc::downgrade(&shared.engine), limits));
        }
        let (stop, stopping) = watch::channel(false);
        let servers = vec![
            tokio::spawn(follow_certificates(shared.clone(), stopping.clone())),
            tokio::spawn(ports.gateway.serve(gateway_routes, stopping.clone())),
            tokio::spawn(serve_mesh(shared.mesh.serve(ports.mesh))),
            tokio::spawn(ports.admin.serve(admin_routes(AdminService(shared.clone())), stopping.clone())),
            tokio::spawn(ports.health.serve(health_routes(shared.clone()), stopping)),
        ];
        tracing::info!(
            node = shared.config.node, cluster = shared.config.cluster, run = ?shared.store.run(),
            gateway = shared.peer.gateway_address, admin = shared.peer.admin_address, "the node has started"
        );
        let program = Program::new(shared.router.clone());
        Ok(Self { shared, stop, servers: Mutex::new(servers), program })
    }

    /// Completes when every shard that the map gives this node is served, or says why that will not happen.
    pub async fn when_active(&self) -> Result<(), NodeError> {
        self.shared.driver.when_active().await.map_err(|error| self.shared.keep_refusal(error))?;
        self.shared.health.set_serving::<GatewayServer<Gateway>>().await;
        tracing::info!(shards = self.shared.shards().1, "the node is active");
        Ok(())
    }

    /// Completes only if the node cannot go on; the process is to end with this error.
    pub async fn failed(&self) -> NodeError {
        self.shared.keep_refusal(self.shared.driver.failed().await)
    }

    /// What calls of this process go through: they are repeated until their deadline while nobody can serve them.
    pub fn transport(&self) -> SharedTransport {
        self.shared.router.clone()
    }

    /// Where the calls of the references come from that this process makes.
    pub fn origin(&self) -> Origin {
        self.program.origin()
    }

    /// The node's name and addresses.
    pub fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    /// What the node is and does, as the admin service tells it.
    pub fn status(&self) -> v1::NodeStatus {
        self.shared.status()
    }

    /// Takes no new calls, finishes the running turns (at most the configured drain time), leaves the cluster, flushes
    /// the store and closes the ports. Returns how many turns had to be cancelled. A second call changes nothing.
    pub async fn shutdown(&self) -> usize {
        let cancelled = self.shared.drain(self.shared.config.drain_timeout()).await;
        // Answers that are on their way to other nodes still leave.
        let _ = tokio::time::timeout(LINKS_CLOSE_WITHIN, self.shared.mesh.shutdown()).await;
        let store = self.shared.store.clone();
        match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the store did not close cleanly"),
            Err(error) => tracing::error!(%error, "the store did not close cleanly"),
        }
        self.stop.send_replace(true);
        let servers = std::mem::take(&mut *self.servers.lock().unwrap_or_else(PoisonError::into_inner));
        // Long-lived links of peers that are not stopping would keep the ports open for ever.
        let closed = futures_util::future::join_all(servers);
        let _ = tokio::time::timeout(PORTS_CLOSE_WITHIN, closed).await;
        tracing::info!(cancelled, "the node has stopped");
        cancelled
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A runtime that was dropped without a shutdown must not keep its ports.
        self.stop.send_replace(true);
    }
}

/// How long the links of the mesh may finish what is in flight.
const LINKS_CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long open connections may finish what they do after everything else has stopped.
const PORTS_CLOSE_WITHIN: Duration = Duration::from_millis(500);

impl Shared {
    /// A volume that was set back stays refused, however often the node is started again.
    fn keep_refusal(&self, error: ClusterError) -> NodeError {
        if let ClusterError::Refused(Refused::OldIncarnation { .. }) = &error
            && let Err(failed) = self.store.refuse(&error.to_string())
        {
            tracing::error!(%failed, "cannot mark the store as refused");
        }
        error.into()
    }

    /// Takes no new calls and finishes the running turns. At once if that was done before: a pod is drained over the
    /// admin port before it is sent SIGTERM, and a turn that was given up then is not waited for again.
    pub(crate) async fn drain(&self, timeout: Duration) -> usize {
        if self.driver.state().phase == Phase::Drained {
            return 0;
        }
        self.health.set_not_serving::<GatewayServer<Gateway>>().await;
        self.driver.drain(timeout).await
    }
}

impl Ports {
    async fn bind(config: &NodeConfig, admin: Option<Guard>) -> Result<Self, NodeError> {
        let bind = async |port, address| {
            Port::bind(port, address).await.map_err(|source| NodeError::Bind { port, address, source })
        };
        let mesh = config.mesh_listen;
        let no_mesh = |source| NodeError::Bind { port: "mesh", address: mesh, source };
        Ok(Self {
            gateway: bind("gateway", config.gateway_listen).await?,
            // The mesh has an accept loop of its own: its connections are links, which live as long as both nodes.
            mesh: TcpListener::bind(mesh).await.map_err(no_mesh)?,
            admin: bind("admin", config.admin_listen).await?.guarded(admin),
            health: bind("health", config.health_listen).await?,
        })
    }

    /// Where this node can be reached.
    fn peer(&self, name: &str) -> Peer {
        let text = |address: io::Result<SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
        let address = |port: &Port| text(port.address());
        Peer {
            name: name.to_owned(),
            mesh_address: text(self.mesh.local_addr()),
            gateway_address: address(&self.gateway),
            admin_address: address(&self.admin),
            health_address: address(&self.health),
            pid: std::process::id(),
        }
    }

    fn stats(&self) -> Vec<(&'static str, Arc<PortStats>)> {
        let stats = |name: &'static str, port: &Port| (name, port.stats());
        vec![stats("gateway", &self.gateway), stats("admin", &self.admin), stats("health", &self.health)]
    }
}

async fn coordination(config: &NodeConfig, env: &SharedEnv) -> Result<Arc<dyn Coordination>, NodeError> {
    match config.coordination.as_deref() {
        Some(KUBERNETES) => kubernetes::coordination(config, env).await,
        Some(address) => Ok(Arc::new(Remote::new(env.clone(), address)?)),
        None if config.storage_engine == StorageEngine::Memory => {
            Ok(Arc::new(Embedded::memory(config.layout()?)))
        }
        // The map of a cluster of one lives and dies with its only store.
        None => Ok(Arc::new(Embedded::directory(&config.data_dir.join("coordination"), config.layout()?)?)),
    }
}

async fn open_store(config: &NodeConfig, shards: &Arc<Shards>) -> Result<Store, NodeError> {
    let (options, sink) = (StoreOptions::new(&config.cluster), shards.sink());
    if config.storage_engine == StorageEngine::Memory {
        return Ok(Store::memory(options, sink)?);
    }
    let directory = config.data_dir.join("store");
    let open = tokio::task::spawn_blocking(move || Store::open(&directory, options, sink));
    Ok(open.await.expect("opening a store does not panic")?)
}

async fn serve_mesh(serving: impl Future<Output = Result<(), tonic::transport::Error>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "the mesh port has failed; other nodes cannot reach this one");
    }
}

fn mesh_config(config: &NodeConfig, run: NodeRun, env: SharedEnv, security: Option<&Security>) -> MeshConfig {
    let me = NodeIdentity { name: config.node.clone(), run };
    let tls = security.map(|security| security.mesh.clone());
    MeshConfig { me, cluster: config.cluster.clone(), limits: MeshLimits::default(), env, tls }
}

/// Keeps the certificate up with its files until the node stops.
async fn follow_certificates(node: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    let (Some(tls), Some(files)) = (&node.tls, &node.config.tls_dir) else { return };
    tokio::select! {
        _ = stopping.wait_for(|stop| *stop) => {}
        () = directory::follow(tls.clone(), files.clone(), directory::POLL) => {}
    }
}

/// The router answers what comes over the mesh, and calls over the mesh: one of the two must come first.
#[derive(Default)]
struct LateHandler(OnceLock<Weak<Router>>);

impl LateHandler {
    fn set(&self, router: &Arc<Router>) {
        let _ = self.0.set(Arc::downgrade(router));
    }
}

impl MeshHandler for LateHandler {
    fn handle(&self, from: &NodeRun, request: MeshRequest) -> BoxFuture<'static, MeshReply> {
        match self.0.get().and_then(Weak::upgrade) {
            Some(router) => router.handle(from, request),
            None => {
                let stopping =
                    CallError::Unavailable("the node is stopping; repeat the call with the same id".into());
                std::future::ready(MeshReply::Reply(Err(stopping))).boxed()
            }
        }
    }
}

/// The gateway's way to the router: one attempt per call, because the client repeats.
struct OneAttempt(Arc<Router>);

impl Transport for OneAttempt {
    fn call(&self, call: Call) -> BoxFuture<'static, CallResult> {
        let router = self.0.clone();
        async move { router.call_once(call).await }.boxed()
    }

    fn engine(&self) -> Option<&Arc<Engine>> {
        self.0.engine()
    }

    fn env(&self) -> &SharedEnv {
        self.0.env()
    }
}
