//! What stays possible when something is away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use greenroom_e2e_cluster::Options;
use support::{NAMESPACE, World, mute};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn nodes_that_do_not_answer_are_named_and_the_others_are_shown() {
    let world = World::start().await;
    let shop = world.cluster("shop", 2).await;
    shop.count(["a", "b", "c"]).await;
    let (ip, _listener) = mute().await;
    world.pod(NAMESPACE, "shop", "shop-7", ip).await;
    world.until("the pod is known", async || {
        let started = Instant::now();
        let (list, warnings) = world.kubectl(&["get", "ap", "-n", NAMESPACE, "-o", "name"]).await;
        assert_eq!(list.unwrap().lines().count(), 3);
        assert!(started.elapsed() < Duration::from_secs(10));
        warnings.contains("Warning: node shop-7 of the cluster shop did not answer, its actors are not shown: no answer")
    })
    .await;
    // Nobody waits for it a second time, for a while.
    let started = Instant::now();
    let (_, warnings) = world
        .kubectl(&[
            "get",
            "--raw",
            &format!("/apis/placement.greenroom.dev/v1alpha1/namespaces/{NAMESPACE}/actorplacements"),
        ])
        .await;
    assert!(started.elapsed() < Duration::from_secs(2), "{warnings}");
    // Whether the silent node has an actor is not known.
    let missing =
        world.kubectl(&["get", "ap", "counter-aaaaaaaaaaaaaaaaaaaaaaaaaa.shop", "-n", NAMESPACE]).await.0;
    let missing = missing.unwrap_err();
    assert!(missing.contains("the actor may be there: try again"), "{missing}");
    // A watch shows the others, too.
    let mut watch = world.watch(&["get", "ap", "-n", NAMESPACE, "-w", "-o", "name"]).await;
    for _ in 0..3 {
        watch.line().await;
    }
    shop.count(["d"]).await;
    while !watch.line().await.contains("counter-") {}
    drop(shop);
    world.api.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn namespaces_can_be_deleted_while_the_api_is_there_and_not_while_it_is_away() {
    let options = Options { controller_manager: true, ..Options::default() };
    let world = World::start_with(options).await;
    let shop = world.cluster("shop", 1).await;
    shop.count(["a"]).await;
    world.ok(&["create", "namespace", "other"]).await;
    world.ok(&["delete", "namespace", "other", "--timeout=60s"]).await;
    // The namespace of a cluster, whose placements nobody can delete.
    world.delete_pod("shop-0").await;
    world.ok(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).await;
    // The consequence that the page documents: once the API server has noticed, a deletion waits, and says for what. It
    // goes on when the API is back.
    world.ok(&["create", "namespace", "later"]).await;
    let condition = |resource, condition| {
        let path = format!("jsonpath={{.status.conditions[?(@.type=='{condition}')].status}}");
        ["get", resource, "-o", path.leak()]
    };
    let world = world
        .without_api(async |world: &World| {
            let available = condition("apiservice/v1alpha1.placement.greenroom.dev", "Available");
            world.until("it is noticed", async || world.ok(&available).await == "False").await;
            world.ok(&["delete", "namespace", "later", "--wait=false"]).await;
            let waits = condition("namespace/later", "NamespaceDeletionDiscoveryFailure");
            world.until("the deletion waits", async || world.ok(&waits).await == "True").await;
        })
        .await;
    world
        .until("the namespace is gone", async || {
            world.kubectl(&["get", "namespace", "later"]).await.0.is_err()
        })
        .await;
    drop(shop);
    world.api.stop().await;
}
