//! The suite for every back end of `Coordination`, run on those of this crate, and what only some of them have: files, and a connection to lose.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::any::Any;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use futures_util::{FutureExt, StreamExt};
use greenroom_cluster::coordination::conformance::{PROPERTIES, Rig, shards, until, with_member};
use greenroom_cluster::coordination::{WriteError, serve};
use greenroom_cluster::{ClusterError, Coordination, Embedded, Peer, Remote};
use greenroom_core::ShardCount;
use greenroom_core::env::SystemEnv;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A register served on loopback, until it is stopped.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(register: Embedded, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = async move {
            serve(Arc::new(register), listener, stopped.map(|_| ())).await.unwrap();
        };
        Self { address, stop, task: tokio::spawn(serving) }
    }

    fn client(&self) -> Arc<dyn Coordination> {
        Arc::new(Remote::new(Arc::new(SystemEnv), &self.address.to_string()).unwrap())
    }

    /// Ends the server and its connections.
    async fn stop(self) -> String {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.address.to_string()
    }
}

/// A register of this process, or one that is served by it.
struct InProcess {
    register: Arc<dyn Coordination>,
    _kept: Box<dyn Any + Send + Sync>,
}

impl InProcess {
    fn keeping(register: Arc<dyn Coordination>, kept: impl Any + Send + Sync) -> Arc<dyn Rig> {
        Arc::new(Self { register, _kept: Box::new(kept) })
    }
}

impl Rig for InProcess {
    fn register(&self) -> Arc<dyn Coordination> {
        self.register.clone()
    }
}

async fn has_every_property(rig: impl AsyncFn() -> Arc<dyn Rig>) {
    for (name, property) in PROPERTIES {
        println!("{name}");
        property(rig().await).await;
    }
}

#[tokio::test]
async fn the_register_in_memory_conforms() {
    has_every_property(async || InProcess::keeping(Arc::new(Embedded::memory(shards())), ())).await;
}

#[tokio::test]
async fn the_register_in_a_directory_conforms() {
    has_every_property(async || {
        let directory = tempfile::tempdir().unwrap();
        let register = Embedded::directory(directory.path(), shards()).unwrap();
        InProcess::keeping(Arc::new(register), directory)
    })
    .await;
}

#[tokio::test]
async fn the_register_of_another_process_conforms() {
    has_every_property(async || {
        let server = Server::start(Embedded::memory(shards()), "127.0.0.1:0").await;
        InProcess::keeping(server.client(), server)
    })
    .await;
}

#[tokio::test]
async fn a_directory_keeps_pages_and_versions() {
    let directory = tempfile::tempdir().unwrap();
    let register = Embedded::directory(directory.path(), shards()).unwrap();
    let page = register.read(1).await.unwrap();
    let written = register.write(1, page.version, with_member(&page.content, 7)).await.unwrap();
    drop(register);
    let register = Embedded::directory(directory.path(), shards()).unwrap();
    assert_eq!(register.read(1).await.unwrap(), written);
}

#[tokio::test]
async fn a_damaged_page_and_another_number_of_shards_are_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let register = Embedded::directory(directory.path(), shards()).unwrap();
    let page = register.read(0).await.unwrap();
    register.write(0, page.version, page.content).await.unwrap();

    let refusal = |path: &Path, shards| Embedded::directory(path, shards).err().unwrap();
    let other = refusal(directory.path(), ShardCount::DEFAULT);
    assert_eq!(other, ClusterError::OtherShardCount { found: 300, asked: 1024 });

    std::fs::write(directory.path().join("page-0.json"), "{\"version\":").unwrap();
    let damaged = refusal(directory.path(), shards()).to_string();
    assert!(damaged.contains("page-0.json") && damaged.contains("restore"), "{damaged}");
}

#[tokio::test]
async fn a_write_that_cannot_be_kept_has_an_unknown_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let register = Embedded::directory(&directory.path().join("map"), shards()).unwrap();
    std::fs::remove_dir(directory.path().join("map")).unwrap();
    let page = register.read(0).await.unwrap();
    let outcome = register.write(0, page.version, with_member(&page.content, 1)).await;
    assert!(matches!(outcome, Err(WriteError::Unknown(_))), "{outcome:?}");
    assert_eq!(register.read(0).await.unwrap(), page);
}

#[tokio::test]
async fn a_client_goes_on_when_the_server_is_back() {
    let register = Embedded::memory(shards());
    let server = Server::start(register.clone(), "127.0.0.1:0").await;
    let client = server.client();
    let (mut watch, mut present) = (client.watch(0), client.join(peer("a", 1)));
    let first = watch.next().await.unwrap();
    until(&mut present, &[peer("a", 1)]).await;

    let address = server.stop().await;
    until(&mut register.watch_present(), &[]).await;
    let lost = client.write(0, first.version, with_member(&first.content, 1)).await;
    assert!(matches!(lost, Err(WriteError::Unknown(_))), "{lost:?}");
    assert!(client.read(0).await.is_err());
    let written = register.write(0, first.version, with_member(&first.content, 2)).await.unwrap();

    let _server = Server::start(register.clone(), &address).await;
    assert_eq!(watch.next().await.unwrap(), written);
    until(&mut present, &[peer("a", 1)]).await;
    until(&mut register.watch_present(), &[peer("a", 1)]).await;
    assert_eq!(client.read(0).await.unwrap(), written);
}

#[tokio::test]
async fn a_watch_does_not_go_back_with_a_server_that_did() {
    let register = Embedded::memory(shards());
    let server = Server::start(register.clone(), "127.0.0.1:0").await;
    let mut watch = server.client().watch(0);
    let first = watch.next().await.unwrap();
    let second = register.write(0, first.version, with_member(&first.content, 1)).await.unwrap();
    assert_eq!(watch.next().await, Some(second.clone()));

    let address = server.stop().await;
    let set_back = Embedded::memory(shards());
    let _server = Server::start(set_back.clone(), &address).await;
    let writing = async {
        let mut page = set_back.read(0).await.unwrap();
        while page.version <= second.version {
            // Long enough for the watch to reconnect between the writes.
            tokio::time::sleep(Duration::from_millis(600)).await;
            page = set_back.write(0, page.version, with_member(&page.content, 2)).await.unwrap();
        }
        page
    };
    let (next, newest) = join(watch.next(), writing).await;
    assert_eq!(next, Some(newest));
}

fn peer(name: &str, pid: u32) -> Peer {
    Peer { name: name.into(), mesh_address: "127.0.0.1:1".into(), pid, ..Peer::default() }
}
