//! What the tests run their nodes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use greenroom_cluster::coordination::{ReadError, Version, Versioned, WriteError};
use greenroom_cluster::{
    Coordination, Driver, DriverConfig, Embedded, MeshHandler, MeshReply, MeshRequest, Network, NetworkError,
    Peer, PeerAddress, Router, Shards,
};
use greenroom_core::call::{Call, CallContext, Chain};
use greenroom_core::engine::Engine;
use greenroom_core::env::{Env, SystemEnv};
use greenroom_core::map::{NodeRun, Page};
use greenroom_core::reference::Origin;
use greenroom_core::{Actor, ActorId, CallId, ContentType, Cx, Payload, Result, Shard, ShardCount};
use greenroom_macros::{Actor, actor_methods};
use greenroom_store::{Store, StoreOptions};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::queries::Player;

/// Small enough to look at, on two pages.
pub(crate) const SHARDS: u16 = 300;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
pub(crate) struct Counter {
    total: i64,
}

#[actor_methods(crate = "greenroom_core")]
impl Counter {
    pub(crate) async fn add(&mut self, by: i64) -> i64 {
        self.total += by;
        self.total
    }

    pub(crate) async fn total(&self) -> i64 {
        self.total
    }

    /// Adds to another counter in the middle of its own turn.
    pub(crate) async fn pass_on(&mut self, cx: &Cx, to: String, by: i64) -> Result<i64> {
        self.total += by;
        Ok(cx.actor::<Counter>(to).add(by).await?)
    }

    pub(crate) async fn add_slowly(&mut self, by: i64, ms: u64) -> i64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.total += by;
        self.total
    }
}

/// A cluster whose nodes are started and killed one by one.
pub(crate) struct Cluster {
    pub(crate) register: Embedded,
    pub(crate) network: Arc<Wires>,
    pub(crate) writes: Arc<AtomicUsize>,
    pub(crate) faults: Arc<Mutex<Vec<Fault>>>,
    /// What nodes that start from now on see of page 0, however old it is.
    pub(crate) stale_page0: Option<Versioned<Page>>,
    volumes: Vec<TempDir>,
}

/// A node that runs.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) run: NodeRun,
    pub(crate) driver: Driver,
    pub(crate) router: Arc<Router>,
    pub(crate) engine: Arc<Engine>,
    /// Sent `true`, the node sees no change of the map any more.
    pub(crate) map_frozen: watch::Sender<bool>,
    store: Arc<Store>,
    network: Arc<Wires>,
}

impl Cluster {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            register: Embedded::memory(ShardCount::new(SHARDS).unwrap()),
            network: Arc::default(),
            writes: Arc::default(),
            faults: Arc::default(),
            stale_page0: None,
            volumes: (0..nodes).map(|_| tempfile::tempdir().unwrap()).collect(),
        }
    }

    /// A cluster with all its nodes active.
    pub(crate) async fn started(nodes: usize) -> (Self, Vec<Node>) {
        let cluster = Self::new(nodes);
        let mut started = Vec::new();
        for node in 0..nodes {
            started.push(cluster.start(node));
        }
        for node in &started {
            node.driver.when_active().await.unwrap();
        }
        (cluster, started)
    }

    /// Starts a node on its volume.
    pub(crate) fn start(&self, node: usize) -> Node {
        let shards = Shards::new(ShardCount::new(SHARDS).unwrap());
        let store = Store::open(self.volumes[node].path(), StoreOptions::new("test"), shards.sink()).unwrap();
        let store = Arc::new(store);
        let env: Arc<dyn Env> = Arc::new(SystemEnv);
        let engine = Engine::builder(env.clone(), shards.layout());
        let engine = engine.register::<Counter>().register::<Player>().build();
        let name = format!("n-{node}");
        let map_frozen = watch::Sender::new(false);
        let coordination = TestCoordination {
            register: self.register.clone(),
            writes: self.writes.clone(),
            faults: self.faults.clone(),
            stale_page0: self.stale_page0.clone(),
            frozen: map_frozen.subscribe(),
        };
        let driver = Driver::start(DriverConfig {
            env,
            engine: engine.clone(),
            journal: store.clone(),
            coordination: Arc::new(coordination),
            shards,
            run: store.run(),
            peer: Peer { name: name.clone(), mesh_address: format!("{name}:mesh"), ..Peer::default() },
            store_has_data: store.had_data(),
            group: None,
            expected: self.volumes.len().into(),
        });
        let from = Wire { network: self.network.clone(), from: store.run() };
        let router = Router::new(&driver, Arc::new(from));
        self.network.plug_in(&name, store.run(), router.clone());
        Node {
            name,
            run: store.run(),
            driver,
            router,
            engine,
            map_frozen,
            store,
            network: self.network.clone(),
        }
    }

    /// Gives a node an empty volume in place of its own.
    pub(crate) fn empty_volume(&mut self, node: usize) {
        self.volumes[node] = tempfile::tempdir().unwrap();
    }

    /// Changes a page of the map by hand, as no coordinator of this version would.
    pub(crate) async fn rewrite(&self, page: u16, change: impl FnOnce(&mut Page)) {
        let Versioned { version, mut content } = self.register.read(page).await.unwrap();
        change(&mut content);
        self.register.write(page, version, content).await.unwrap();
    }
}

impl Node {
    /// Ends the node in the middle of everything, as far as a process can do that to a part of itself.
    pub(crate) fn kill(self) {
        self.network.pull_out(&self.name);
        drop(self.driver);
        self.store.close().unwrap();
    }

    pub(crate) fn counter(&self, key: &str) -> <Counter as Actor>::Ref {
        let origin = Origin::program(self.router.clone());
        greenroom_core::reference::ActorRef::<Counter>::new(origin, key).into()
    }

    /// The encoded form of a call of a counter, for the entry points of the gateway and the mesh.
    pub(crate) fn encoded(&self, key: &str, method: &str, arguments: &str, patience: Duration) -> Call {
        let env = SystemEnv;
        Call {
            target: format!("Counter/{key}").parse::<ActorId>().unwrap(),
            method: method.into(),
            arguments: Payload { content_type: ContentType::Json, data: arguments.to_owned().into() },
            context: CallContext {
                id: CallId(env.random()),
                deadline: env.now() + patience,
                chain: Chain::default(),
                request: Default::default(),
            },
            delivery: None,
        }
    }

    /// The node that this node's map shows as owner of a counter.
    pub(crate) fn owner_of(&self, key: &str) -> String {
        let view = self.driver.map().view();
        view.node_of(view.entry(shard_of(key)).unwrap().owner.store).unwrap().to_owned()
    }
}

pub(crate) fn shard_of(key: &str) -> Shard {
    let actor: ActorId = format!("Counter/{key}").parse().unwrap();
    actor.shard(ShardCount::new(SHARDS).unwrap())
}

/// A key whose counter this node owns.
pub(crate) fn key_owned_by(node: &Node) -> String {
    (0..).map(|n| format!("key-{n}")).find(|key| node.owner_of(key) == node.name).unwrap()
}

/// What goes wrong with the next write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It lands, and nobody is told.
    AnswerLost,
    /// It never lands, and nobody is told.
    RequestLost,
}

/// The register as one node sees it.
struct TestCoordination {
    register: Embedded,
    writes: Arc<AtomicUsize>,
    faults: Arc<Mutex<Vec<Fault>>>,
    stale_page0: Option<Versioned<Page>>,
    frozen: watch::Receiver<bool>,
}

impl Coordination for TestCoordination {
    fn read(&self, page: u16) -> BoxFuture<'static, Result<Versioned<Page>, ReadError>> {
        self.register.read(page)
    }

    fn write(
        &self,
        page: u16,
        base: Version,
        content: Page,
    ) -> BoxFuture<'static, Result<Versioned<Page>, WriteError>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let fault = self.faults.lock().pop();
        let write = self.register.write(page, base, content);
        async move {
            match fault {
                None => write.await,
                Some(Fault::RequestLost) => Err(WriteError::Unknown("the request was lost".into())),
                Some(Fault::AnswerLost) => {
                    let _ = write.await;
                    Err(WriteError::Unknown("the answer was lost".into()))
                }
            }
        }
        .boxed()
    }

    fn watch(&self, page: u16) -> BoxStream<'static, Versioned<Page>> {
        if let (0, Some(stale)) = (page, self.stale_page0.clone()) {
            return stream::once(ready(stale)).chain(stream::pending()).boxed();
        }
        let frozen = self.frozen.clone();
        let when_not_frozen = move |page| {
            let mut frozen = frozen.clone();
            async move {
                let _ = frozen.wait_for(|frozen| !frozen).await;
                page
            }
        };
        self.register.watch(page).then(when_not_frozen).boxed()
    }

    fn join(&self, me: Peer) -> BoxStream<'static, Vec<Peer>> {
        self.register.join(me)
    }
}

/// All mesh connections: a request becomes a call of the other node's handler.
#[derive(Default)]
pub(crate) struct Wires {
    nodes: Mutex<BTreeMap<String, (NodeRun, Arc<Router>)>>,
    /// Who was asked, in order.
    pub(crate) requests: Mutex<Vec<String>>,
    /// The answers of these nodes are lost.
    pub(crate) deaf: Mutex<Vec<String>>,
}

impl Wires {
    fn plug_in(&self, name: &str, run: NodeRun, router: Arc<Router>) {
        self.nodes.lock().insert(name.into(), (run, router));
    }

    fn pull_out(&self, name: &str) {
        self.nodes.lock().remove(name);
    }
}

/// The wires, seen from one node.
struct Wire {
    network: Arc<Wires>,
    from: NodeRun,
}

impl Network for Wire {
    fn request(
        &self,
        to: &PeerAddress,
        request: MeshRequest,
    ) -> BoxFuture<'static, std::result::Result<MeshReply, NetworkError>> {
        let node = self.network.nodes.lock().get(&to.name).cloned();
        let (name, from, meant) = (to.name.clone(), self.from, to.run);
        self.network.requests.lock().push(name.clone());
        let deaf = self.network.deaf.lock().contains(&name);
        async move {
            match node {
                None => Err(NetworkError::NotSent(format!("{name} refused the connection"))),
                Some((run, _)) if meant.is_some_and(|meant| meant != run) => {
                    Err(NetworkError::NotSent(format!("{name} is another run now")))
                }
                Some((_, router)) => {
                    let reply = router.handle(&from, request).await;
                    if deaf { Err(NetworkError::Lost("the connection broke".into())) } else { Ok(reply) }
                }
            }
        }
        .boxed()
    }
}
