//! One suite for every back end of `Coordination`, and what only some of them have: files, and a connection to lose.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use greenroom_cluster::coordination::{ReadError, Version, WriteError, serve};
use greenroom_cluster::{ClusterError, Coordination, Embedded, Peer, Remote};
use greenroom_core::env::SystemEnv;
use greenroom_core::map::{Member, Page};
use greenroom_core::{Incarnation, ShardCount, StoreId};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

fn shards() -> ShardCount {
    ShardCount::new(300).unwrap()
}

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

macro_rules! for_every_back_end {
    ($($property:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $property() {
                super::$property(super::Arc::new(super::Embedded::memory(super::shards()))).await;
            })*
        }
        mod directory {
            $(#[tokio::test]
            async fn $property() {
                let directory = tempfile::tempdir().unwrap();
                let register = super::Embedded::directory(directory.path(), super::shards()).unwrap();
                super::$property(super::Arc::new(register)).await;
            })*
        }
        mod remote {
            $(#[tokio::test]
            async fn $property() {
                let server = super::Server::start(super::Embedded::memory(super::shards()), "127.0.0.1:0").await;
                super::$property(server.client()).await;
            })*
        }
    };
}

for_every_back_end!(
    every_page_is_there_and_empty_at_first,
    a_write_on_the_current_version_lands_and_on_an_older_one_conflicts,
    concurrent_writers_lose_nothing,
    pages_have_versions_of_their_own,
    a_watch_shows_the_page_then_newer_versions_and_never_goes_back,
    presence_lasts_as_long_as_the_stream,
    a_node_that_is_back_before_its_old_stream_ended_stays_present,
);

async fn every_page_is_there_and_empty_at_first(register: Arc<dyn Coordination>) {
    for page in 0..2 {
        assert_eq!(register.read(page).await.unwrap().content, Page::empty(page, shards()));
    }
    assert_eq!(register.read(2).await, Err(ReadError::NoSuchPage { page: 2 }));
}

async fn a_write_on_the_current_version_lands_and_on_an_older_one_conflicts(register: Arc<dyn Coordination>) {
    let first = register.read(0).await.unwrap();
    let mine = with_member(&first.content, 1);
    let written = register.write(0, first.version, mine.clone()).await.unwrap();
    assert!(written.version > first.version);
    assert_eq!(written.content, mine);
    assert_eq!(register.read(0).await.unwrap(), written);

    let other = with_member(&first.content, 2);
    let conflict = register.write(0, first.version, other).await.unwrap_err();
    assert_eq!(conflict, WriteError::Conflict(Box::new(written.clone())));
    assert_eq!(register.read(0).await.unwrap(), written);
}

async fn concurrent_writers_lose_nothing(register: Arc<dyn Coordination>) {
    let add = |id| {
        let register = register.clone();
        async move {
            let mut page = register.read(0).await.unwrap();
            loop {
                match register.write(0, page.version, with_member(&page.content, id)).await {
                    Ok(_) => return,
                    Err(WriteError::Conflict(current)) => page = *current,
                    Err(unknown) => panic!("{unknown}"),
                }
            }
        }
    };
    join_all((0..20).map(add).map(tokio::spawn)).await;
    let mut members: Vec<_> =
        register.read(0).await.unwrap().content.members.into_iter().map(|m| m.store).collect();
    members.sort();
    assert_eq!(members, (0..20).map(store).collect::<Vec<_>>());
}

async fn pages_have_versions_of_their_own(register: Arc<dyn Coordination>) {
    let (zero, one) = (register.read(0).await.unwrap(), register.read(1).await.unwrap());
    register.write(0, zero.version, with_member(&zero.content, 1)).await.unwrap();
    assert_eq!(register.read(1).await.unwrap(), one);
    register.write(1, one.version, one.content.clone()).await.unwrap();
}

async fn a_watch_shows_the_page_then_newer_versions_and_never_goes_back(register: Arc<dyn Coordination>) {
    let mut page = register.read(0).await.unwrap();
    let mut watch = register.watch(0);
    assert_eq!(watch.next().await.unwrap(), page);
    for id in 0..50 {
        page = register.write(0, page.version, with_member(&page.content, id)).await.unwrap();
    }
    let mut seen = Version(0);
    while seen < page.version {
        let next = watch.next().await.unwrap();
        assert!(next.version > seen);
        seen = next.version;
        assert!(seen < page.version || next == page);
    }
    assert_eq!(register.watch(0).next().await.unwrap(), page);
}

async fn presence_lasts_as_long_as_the_stream(register: Arc<dyn Coordination>) {
    let mut b = register.join(peer("b", 2));
    until(&mut b, &[peer("b", 2)]).await;
    let mut a = register.join(peer("a", 1));
    until(&mut a, &[peer("a", 1), peer("b", 2)]).await;
    until(&mut b, &[peer("a", 1), peer("b", 2)]).await;
    drop(a);
    until(&mut b, &[peer("b", 2)]).await;
}

async fn a_node_that_is_back_before_its_old_stream_ended_stays_present(register: Arc<dyn Coordination>) {
    let mut before = register.join(peer("a", 1));
    until(&mut before, &[peer("a", 1)]).await;
    let mut after = register.join(peer("a", 2));
    until(&mut after, &[peer("a", 2)]).await;
    drop(before);
    // Another node's coming shows that the end of the old stream has been dealt with.
    let mut b = register.join(peer("b", 3));
    until(&mut b, &[peer("a", 2), peer("b", 3)]).await;
    until(&mut after, &[peer("a", 2), peer("b", 3)]).await;
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

/// Reads on until this is what the stream shows.
async fn until(present: &mut BoxStream<'static, Vec<Peer>>, expected: &[Peer]) {
    let shown = async { while present.next().await.expect("presence does not end") != expected {} };
    tokio::time::timeout(Duration::from_secs(20), shown).await.expect("the expected nodes are shown");
}

fn peer(name: &str, pid: u32) -> Peer {
    Peer { name: name.into(), mesh_address: "127.0.0.1:1".into(), pid, ..Peer::default() }
}

fn store(id: u128) -> StoreId {
    StoreId(Uuid::from_u128(id))
}

fn with_member(page: &Page, id: u128) -> Page {
    let mut page = page.clone();
    page.members.push(Member { store: store(id), node: format!("n-{id}"), incarnation: Incarnation(1) });
    page
}
