//! What only pages in Kubernetes have: metadata of others, rights, rules of the schema, and a life of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use futures_util::StreamExt;
use greenroom_cluster::coordination::conformance::{shards, with_member};
use greenroom_cluster::coordination::{ReadError, WriteError};
use greenroom_core::map::{Entry, NodeRun, Page};
use greenroom_core::{Epoch, Incarnation, ShardCount, StoreId};
use greenroom_crds::names;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use support::{Cluster, NAMESPACE, shared};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_write_keeps_what_others_wrote_and_meets_their_changes_as_conflicts() {
    let cluster = Cluster::new(shared().await, "others", shards()).await;
    let register = cluster.register();
    let before = cluster.pages().get(&names::shard_map("others", 0)).await.unwrap();
    let page = register.read(0).await.unwrap();
    let written = register.write(0, page.version, with_member(&page.content, 1)).await.unwrap();

    let patch = Patch::Merge(json!({"metadata": {"labels": {"team": "red"}}}));
    let labelled = cluster.pages().patch("others-0", &PatchParams::default(), &patch).await.unwrap();
    let next = with_member(&written.content, 2);
    let conflict = register.write(0, written.version, next.clone()).await.unwrap_err();
    let WriteError::Conflict(current) = conflict else { panic!("{conflict:?}") };
    assert_eq!(current.content, written.content);
    // By a node that has never seen the page.
    let stranger = cluster.register();
    stranger.write(0, current.version, next.clone()).await.unwrap();

    let after = cluster.pages().get("others-0").await.unwrap();
    let kept = |map: &greenroom_crds::ShardMap| {
        (map.metadata.annotations.clone(), map.metadata.owner_references.clone())
    };
    assert_eq!(kept(&after), kept(&before));
    assert_eq!(after.metadata.labels, labelled.metadata.labels);
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!((after.spec.cluster.as_str(), after.spec.members.len()), ("others", 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_page_shows_when_it_is_made_and_again_when_it_is_made_anew() {
    let cluster = Cluster::without_pages(shared().await, "later", shards()).await;
    let register = cluster.register();
    assert_eq!(register.read(1).await, Err(ReadError::NoSuchPage { page: 1 }));
    let mut watch = register.watch(1);
    let (shown, _) = tokio::join!(watch.next(), cluster.create_page(1));
    let first = shown.unwrap();
    assert_eq!(first, register.read(1).await.unwrap());

    cluster.pages().delete("later-1", &DeleteParams::default()).await.unwrap();
    assert_eq!(register.read(1).await, Err(ReadError::NoSuchPage { page: 1 }));
    let lost = register.write(1, first.version, first.content.clone()).await;
    assert!(matches!(lost, Err(WriteError::Unknown(_))), "{lost:?}");
    cluster.create_page(1).await;
    let again = tokio::time::timeout(Duration::from_secs(20), watch.next()).await.unwrap().unwrap();
    assert!(again.version > first.version);
    // It looks the same, and is another object all the same.
    let stale = register.write(1, first.version, first.content).await;
    assert_eq!(stale, Err(WriteError::Conflict(Box::new(again))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_refused_write_says_what_to_do() {
    let cluster = Cluster::new(shared().await, "refused", shards()).await;
    let register = cluster.register();
    let page = register.read(0).await.unwrap();
    let full =
        Page { entries: page.content.shard_range().map(|_| entry()).collect(), ..page.content.clone() };
    let full = register.write(0, page.version, full).await.unwrap();
    let emptied = register.write(0, full.version, Page::empty(0, shards())).await.unwrap_err().to_string();
    assert!(
        emptied.contains("422") && emptied.contains("a page of the shard map stays what it is"),
        "{emptied}"
    );

    let other = Cluster::without_pages(shared().await, "unbound", shards()).await;
    let bindings: Api<RoleBinding> = Api::namespaced(other.admin.clone(), NAMESPACE);
    bindings.delete(&names::node_objects("unbound"), &DeleteParams::default()).await.unwrap();
    let forbidden = async {
        loop {
            // The API server's authorizer hears of the deletion a moment later.
            if let Err(ReadError::Unavailable(message)) = other.register().read(0).await {
                return message;
            }
        }
    };
    let forbidden = tokio::time::timeout(Duration::from_secs(20), forbidden).await.unwrap();
    assert!(forbidden.contains("; bind the Role unbound-node to"), "{forbidden}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn the_largest_map_fits() {
    let largest = ShardCount::new(16_384).unwrap();
    let cluster = Cluster::new(shared().await, "largest", largest).await;
    let register = cluster.register();
    let last = largest.pages() - 1;
    let page = register.read(last).await.unwrap();
    let entry = Entry { in_sync: (0..3).map(|id| StoreId(Uuid::from_u128(id))).collect(), ..entry() };
    let full = Page { entries: page.content.shard_range().map(|_| entry.clone()).collect(), ..page.content };
    let written = register.write(last, page.version, full).await.unwrap();
    assert_eq!(register.read(last).await.unwrap(), written);
}

fn entry() -> Entry {
    let owner = NodeRun { store: StoreId(Uuid::from_u128(7)), incarnation: Incarnation(3) };
    Entry {
        epoch: Epoch(u64::from(u32::MAX)),
        owner,
        prev: Some(owner.store),
        in_sync: vec![owner.store],
        evidence: greenroom_core::map::Evidence::Dead,
    }
}
