//! Nodes that consist of a mesh and a handler, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_cluster::mesh::{Mesh, MeshConfig, MeshCounts, MeshLimits, MeshTls, NodeIdentity};
use greenroom_cluster::{MeshHandler, MeshReply, MeshRequest, Network, NetworkError, PeerAddress};
use greenroom_core::call::{Call, CallContext};
use greenroom_core::env::SystemEnv;
use greenroom_core::map::NodeRun;
use greenroom_core::{CallId, Epoch, Incarnation, Payload, Shard, StoreId};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) const CLUSTER: &str = "test";

pub(crate) struct Node {
    pub(crate) mesh: Arc<Mesh>,
    pub(crate) handler: Arc<Handler>,
    pub(crate) address: PeerAddress,
}

/// A node whose store id is its number.
pub(crate) async fn node(number: u128) -> Node {
    node_with(number, 1, MeshLimits::default()).await
}

pub(crate) async fn node_with(number: u128, incarnation: u64, limits: MeshLimits) -> Node {
    node_behind(None, number, incarnation, limits).await
}

/// A node whose links use TLS, if that is given.
pub(crate) async fn node_behind(
    tls: Option<MeshTls>,
    number: u128,
    incarnation: u64,
    limits: MeshLimits,
) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let run = NodeRun { store: StoreId(Uuid::from_u128(number)), incarnation: Incarnation(incarnation) };
    let name = format!("node-{number}");
    let address = listener.local_addr().unwrap().to_string();
    let me = NodeIdentity { name: name.clone(), run };
    let handler = Arc::new(Handler::default());
    let config = MeshConfig { me, cluster: CLUSTER.into(), limits, env: Arc::new(SystemEnv), tls };
    let mesh = Mesh::new(config, handler.clone());
    tokio::spawn(mesh.serve(listener));
    Node { mesh, handler, address: PeerAddress { name, address, run: Some(run) } }
}

impl Node {
    pub(crate) async fn call(
        &self,
        to: &Node,
        method: &str,
        arguments: &[u8],
    ) -> Result<MeshReply, NetworkError> {
        self.mesh.request(&to.address, request(method, arguments)).await
    }

    pub(crate) fn counts(&self) -> MeshCounts {
        self.mesh.stats().counts()
    }
}

pub(crate) fn request(method: &str, arguments: &[u8]) -> MeshRequest {
    let context = CallContext {
        id: CallId(7),
        deadline: Instant::now() + Duration::from_secs(30),
        chain: Default::default(),
        request: Default::default(),
    };
    let arguments = Payload { data: Bytes::copy_from_slice(arguments), ..Default::default() };
    let call = Call {
        target: "Counter/page-1".parse().unwrap(),
        method: method.into(),
        arguments,
        context,
        delivery: None,
    };
    MeshRequest { shard: Shard(3), epoch: Epoch(9), call, one_way: false }
}

pub(crate) fn replied(bytes: &[u8]) -> Result<MeshReply, NetworkError> {
    Ok(MeshReply::Reply(Ok(Payload { data: Bytes::copy_from_slice(bytes), ..Default::default() })))
}

/// Answers by the name of the method.
pub(crate) struct Handler {
    /// A permit for each call of `wait` that has begun.
    pub(crate) begun: Semaphore,
    /// Lets calls of `wait` end.
    pub(crate) go_on: Arc<Semaphore>,
    /// Calls of `wait` whose future was dropped before its end.
    pub(crate) dropped: Arc<AtomicUsize>,
}

impl Default for Handler {
    fn default() -> Self {
        Self { begun: Semaphore::new(0), go_on: Arc::new(Semaphore::new(0)), dropped: Arc::default() }
    }
}

impl Handler {
    /// Waits until `count` calls of `wait` have begun.
    pub(crate) async fn has_begun(&self, count: u32) {
        within(self.begun.acquire_many(count)).await.unwrap().forget();
    }
}

impl MeshHandler for Handler {
    fn handle(&self, _: &NodeRun, request: MeshRequest) -> BoxFuture<'static, MeshReply> {
        let arguments = request.call.arguments;
        let reply = |payload| MeshReply::Reply(Ok(payload));
        match &*request.call.method {
            "echo" => async move { reply(arguments) }.boxed(),
            "moved" => async move { MeshReply::Moved { owner: None, epoch: request.epoch } }.boxed(),
            "large" => {
                let bytes: usize = std::str::from_utf8(&arguments.data).unwrap().parse().unwrap();
                let data = vec![1; bytes].into();
                async move { reply(Payload { data, ..Default::default() }) }.boxed()
            }
            "panic" => async move { panic!("on purpose") }.boxed(),
            "wait" => self.wait(arguments),
            other => panic!("no method {other}"),
        }
    }
}

impl Handler {
    fn wait(&self, arguments: Payload) -> BoxFuture<'static, MeshReply> {
        self.begun.add_permits(1);
        let (go_on, mut dropped) = (self.go_on.clone(), Dropped(Some(self.dropped.clone())));
        async move {
            go_on.acquire().await.unwrap().forget();
            dropped.disarm();
            MeshReply::Reply(Ok(arguments))
        }
        .boxed()
    }
}

/// Counts itself unless it was disarmed.
struct Dropped(Option<Arc<AtomicUsize>>);

impl Dropped {
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// An event that is awaited must come soon.
pub(crate) async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), event).await.expect("it did not happen in 20 s")
}

/// Waits for a count, which has no event of its own.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within 10 s: {what}");
}
