//! Three nodes: calls find their actors wherever they are asked for, and what was acknowledged survives.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use greenroom::CallId;
use support::{Cluster, REPLICAS, Tally};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gateway_reaches_every_actor_and_the_state_survives_a_restart_of_everything() {
    let cluster = Cluster::start().await;
    let served: BTreeSet<_> = cluster.nodes.iter().map(|node| node.status().shards_serving).collect();
    assert_eq!(served, BTreeSet::from([341, 342]), "1,024 shards over {REPLICAS} nodes");
    for node in &cluster.nodes {
        let client = greenroom::Client::connect([node.peer().gateway_address.clone()]).unwrap();
        let calls = (0..50).map(|key| client.actor::<Tally>(format!("tally-{key}")).add(1));
        try_join_all(calls).await.unwrap();
    }
    let activations: u64 = cluster.nodes.iter().map(|node| node.status().activations).sum();
    assert_eq!(activations, 50, "an actor was active on more than one node");

    let cluster = Cluster::start_in(cluster.stop().await).await;
    let client = cluster.client();
    let totals = (0..50).map(|key| client.actor::<Tally>(format!("tally-{key}")).total());
    assert!(join_all(totals).await.into_iter().all(|total| total == Ok(i64::from(REPLICAS))));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_calls_an_actor_on_another_node() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let calls =
        (0..100).map(|key| client.actor::<Tally>(format!("from-{key}")).pass_on(format!("to-{key}"), key));
    assert_eq!(try_join_all(calls).await.unwrap(), (0..100).collect::<Vec<_>>());
    let links: u64 = cluster.nodes.iter().map(|node| node.status().calls_total).sum();
    assert_eq!(links, 200);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_turn_are_taken_in_their_order_on_other_nodes_too() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let add = |times| {
        let add = |key| client.actor::<Tally>(format!("from-{key}")).add_often_to(format!("to-{key}"), times);
        try_join_all((0..30).map(add))
    };
    // From here on nobody waits for a link to another node.
    add(1).await.unwrap();
    for totals in add(200).await.unwrap() {
        assert!(totals.iter().copied().eq(2..=201), "{totals:?}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_for_a_node_that_restarts_and_are_applied_once() {
    let mut cluster = Cluster::start().await;
    let survivor = greenroom::Client::connect([cluster.nodes[0].peer().gateway_address.clone()]).unwrap();
    let add = |key: i64| {
        let id = CallId(u128::try_from(key).unwrap());
        survivor.actor::<Tally>(format!("tally-{key}")).add(1).call_id(id).timeout(Duration::from_secs(30))
    };
    try_join_all((0..60).map(add)).await.unwrap();

    let restarting = cluster.nodes.remove(1);
    let incarnation = restarting.status().incarnation;
    restarting.shutdown().await;
    let repeated = try_join_all((0..60).map(add));
    let (repeated, back) = tokio::join!(repeated, cluster.node(1));
    assert_eq!(repeated.unwrap(), vec![1; 60], "a repeated call was applied again");
    assert_eq!(back.status().incarnation, incarnation + 1);
    cluster.nodes.push(back);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_store_is_refused() {
    let cluster = Cluster::start().await;
    let error = cluster.refusal(0).await;
    assert!(error.contains("is in use by process"), "{error}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_volume_is_refused_by_name() {
    let directory = Cluster::start().await.stop().await;
    std::fs::remove_dir_all(directory.path().join("test-2")).unwrap();
    let cluster = Cluster::without_nodes(directory).await;
    let error = cluster.refusal(2).await;
    assert!(error.contains("test-2") && error.contains("lost, emptied or exchanged"), "{error}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_was_set_back_is_refused_however_often_its_node_starts() {
    let directory = Cluster::start().await.stop().await;
    let (volume, copy) = (directory.path().join("test-1"), directory.path().join("copy"));
    let copied = std::process::Command::new("cp").arg("-r").args([&volume, &copy]).status().unwrap();
    assert!(copied.success());
    let directory = Cluster::start_in(directory).await.stop().await;
    std::fs::remove_dir_all(&volume).unwrap();
    std::fs::rename(&copy, &volume).unwrap();

    let cluster = Cluster::without_nodes(directory).await;
    let error = cluster.refusal(1).await;
    assert!(error.contains("was set back to an older copy"), "{error}");
    // Without the mark this start would be incarnation 3, which exceeds the 2 that the map has.
    let error = cluster.refusal(1).await;
    assert!(error.contains("stays refused") && error.contains("was set back to an older copy"), "{error}");
    cluster.stop().await;
}
