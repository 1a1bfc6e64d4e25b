//! The way of a message that nobody waits for: to the owner, also when the map of its sender is old.

use std::time::Duration;

use crate::harness::{Cluster, Node, key_owned_by};
use crate::routing::{give, knows_epoch, take_requests};

/// Waits until the counter has come to this.
async fn reaches(node: &Node, key: &str, expected: i64) {
    for _ in 0..500 {
        let total = node.counter(key).total().await.unwrap();
        assert!(total <= expected, "{total} instead of {expected}");
        if total == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the counter {key} never came to {expected}");
}

#[tokio::test]
async fn what_is_told_goes_to_the_owner() {
    let (_cluster, nodes) = Cluster::started(3).await;
    let key = key_owned_by(&nodes[1]);
    for _ in 0..10 {
        nodes[0].counter(&key).add(1).tell().unwrap();
    }
    reaches(&nodes[2], &key, 10).await;
}

#[tokio::test]
async fn a_node_that_is_not_the_owner_passes_a_message_on() {
    let (cluster, nodes) = Cluster::started(3).await;
    let key = key_owned_by(&nodes[1]);
    nodes[0].map_frozen.send_replace(true);
    give(&cluster, &key, &nodes[2]).await;
    knows_epoch(&nodes[1], &key, 2).await;
    nodes[0].counter(&key).add(3).tell().unwrap();
    reaches(&nodes[1], &key, 3).await;
}

#[tokio::test]
async fn a_message_waits_for_the_map_instead_of_going_in_circles() {
    let (cluster, nodes) = Cluster::started(3).await;
    let key = key_owned_by(&nodes[1]);
    nodes[2].map_frozen.send_replace(true);
    give(&cluster, &key, &nodes[2]).await;
    knows_epoch(&nodes[0], &key, 2).await;
    take_requests(&cluster);
    // The new owner does not know that it is one; by its map the old one is.
    nodes[0].counter(&key).add(4).tell().unwrap();
    // Time for some circles, if it went in any.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(take_requests(&cluster), ["n-2"]);
    nodes[2].map_frozen.send_replace(false);
    reaches(&nodes[0], &key, 4).await;
}
