//! What every back end of [`Coordination`] must do, as functions to be called from the tests of each.
//!
//! A back end brings a [`Rig`] per property: a fresh register for [`shards`], and the means to let nodes come and go
//! where joining alone does not do that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use greenroom_core::map::{Member, Page};
use greenroom_core::{Incarnation, ShardCount, StoreId};
use uuid::Uuid;

use super::{Coordination, Peer, ReadError, Version, WriteError};

/// A back end under test.
pub trait Rig: Send + Sync + 'static {
    /// The register: two empty pages at first.
    fn register(&self) -> Arc<dyn Coordination>;

    /// A node as others see it. Different runs of one name have different addresses.
    fn peer(&self, name: &str, run: u8) -> Peer {
        Peer { name: name.into(), mesh_address: format!("127.0.0.{run}:1"), ..Peer::default() }
    }

    /// The platform starts this node, which then joins; or starts it anew, in place of its earlier run.
    fn start(&self, peer: &Peer) -> BoxFuture<'static, ()> {
        let _ = peer;
        std::future::ready(()).boxed()
    }

    /// The platform notices that the node has ended, after it has left.
    fn end(&self, peer: &Peer) -> BoxFuture<'static, ()> {
        let _ = peer;
        std::future::ready(()).boxed()
    }
}

/// A name and what it says.
pub type Property = (&'static str, fn(Arc<dyn Rig>) -> BoxFuture<'static, ()>);

macro_rules! properties {
    ($($property:ident),* $(,)?) => {
        /// Every property. Each panics if the back end does not have it.
        pub const PROPERTIES: &[Property] =
            &[$((stringify!($property), |rig| $property(rig).boxed())),*];
    };
}

properties!(
    every_page_is_there_and_empty_at_first,
    a_write_on_the_current_version_lands_and_on_an_older_one_conflicts,
    concurrent_writers_lose_nothing,
    pages_have_versions_of_their_own,
    a_watch_shows_the_page_then_newer_versions_and_never_goes_back,
    presence_lasts_as_long_as_the_node,
    a_node_that_is_back_before_its_old_stream_ended_stays_present,
);

/// How many shards the register under test is for.
pub fn shards() -> ShardCount {
    ShardCount::new(300).expect("it is within the limits")
}

async fn every_page_is_there_and_empty_at_first(rig: Arc<dyn Rig>) {
    let register = rig.register();
    for page in 0..2 {
        assert_eq!(
            register.read(page).await.expect("the register answers").content,
            Page::empty(page, shards())
        );
    }
    assert_eq!(register.read(2).await, Err(ReadError::NoSuchPage { page: 2 }));
}

async fn a_write_on_the_current_version_lands_and_on_an_older_one_conflicts(rig: Arc<dyn Rig>) {
    let register = rig.register();
    let first = register.read(0).await.expect("the register answers");
    let mine = with_member(&first.content, 1);
    let written = register.write(0, first.version, mine.clone()).await.expect("the register answers");
    assert!(written.version > first.version);
    assert_eq!(written.content, mine);
    assert_eq!(register.read(0).await.expect("the register answers"), written);

    let other = with_member(&first.content, 2);
    let conflict = register.write(0, first.version, other).await.expect_err("another version stands there");
    assert_eq!(conflict, WriteError::Conflict(Box::new(written.clone())));
    assert_eq!(register.read(0).await.expect("the register answers"), written);
}

async fn concurrent_writers_lose_nothing(rig: Arc<dyn Rig>) {
    let register = rig.register();
    let add = |id| {
        let register = register.clone();
        async move {
            let mut page = register.read(0).await.expect("the register answers");
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
    let mut members: Vec<_> = register
        .read(0)
        .await
        .expect("the register answers")
        .content
        .members
        .into_iter()
        .map(|m| m.store)
        .collect();
    members.sort();
    assert_eq!(members, (0..20).map(store).collect::<Vec<_>>());
}

async fn pages_have_versions_of_their_own(rig: Arc<dyn Rig>) {
    let register = rig.register();
    let (zero, one) = (
        register.read(0).await.expect("the register answers"),
        register.read(1).await.expect("the register answers"),
    );
    register.write(0, zero.version, with_member(&zero.content, 1)).await.expect("the register answers");
    assert_eq!(register.read(1).await.expect("the register answers"), one);
    register.write(1, one.version, one.content.clone()).await.expect("the register answers");
}

async fn a_watch_shows_the_page_then_newer_versions_and_never_goes_back(rig: Arc<dyn Rig>) {
    let register = rig.register();
    let mut page = register.read(0).await.expect("the register answers");
    let mut watch = register.watch(0);
    assert_eq!(watch.next().await.expect("a watch does not end"), page);
    for id in 0..50 {
        page = register
            .write(0, page.version, with_member(&page.content, id))
            .await
            .expect("the register answers");
    }
    let mut seen = Version(0);
    while seen < page.version {
        let next = watch.next().await.expect("a watch does not end");
        assert!(next.version > seen);
        seen = next.version;
        assert!(seen < page.version || next == page);
    }
    assert_eq!(register.watch(0).next().await.expect("a watch does not end"), page);
}

async fn presence_lasts_as_long_as_the_node(rig: Arc<dyn Rig>) {
    let register = rig.register();
    let (a, b) = (rig.peer("a", 1), rig.peer("b", 2));
    rig.start(&b).await;
    let mut seen_by_b = register.join(b.clone());
    until(&mut seen_by_b, std::slice::from_ref(&b)).await;
    rig.start(&a).await;
    let mut seen_by_a = register.join(a.clone());
    until(&mut seen_by_a, &[a.clone(), b.clone()]).await;
    until(&mut seen_by_b, &[a.clone(), b.clone()]).await;
    drop(seen_by_a);
    rig.end(&a).await;
    until(&mut seen_by_b, &[b]).await;
}

async fn a_node_that_is_back_before_its_old_stream_ended_stays_present(rig: Arc<dyn Rig>) {
    let register = rig.register();
    let (first, second, b) = (rig.peer("a", 1), rig.peer("a", 2), rig.peer("b", 3));
    rig.start(&first).await;
    let mut before = register.join(first.clone());
    until(&mut before, &[first]).await;
    rig.start(&second).await;
    let mut after = register.join(second.clone());
    until(&mut after, std::slice::from_ref(&second)).await;
    drop(before);
    // Another node's coming shows that the end of the old stream has been dealt with.
    rig.start(&b).await;
    let mut seen_by_b = register.join(b.clone());
    until(&mut seen_by_b, &[second.clone(), b.clone()]).await;
    until(&mut after, &[second, b]).await;
}

/// Reads on until this is what the stream shows.
pub async fn until(present: &mut BoxStream<'static, Vec<Peer>>, expected: &[Peer]) {
    let shown = async { while present.next().await.expect("presence does not end") != expected {} };
    tokio::time::timeout(Duration::from_secs(20), shown).await.expect("the expected nodes are shown");
}

/// The page with one more member, whose store has this number.
pub fn with_member(page: &Page, id: u128) -> Page {
    let mut page = page.clone();
    page.members.push(Member {
        store: store(id),
        node: format!("n-{id}"),
        incarnation: Incarnation(1),
        group: None,
    });
    page
}

fn store(id: u128) -> StoreId {
    StoreId(Uuid::from_u128(id))
}
