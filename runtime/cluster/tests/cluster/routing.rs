//! The way of a call to its owner: redirects, waiting, repeating, and what a timeout says.

use std::time::Duration;

use futures_util::future::{join, join_all};
use greenroom_cluster::{MeshHandler, MeshReply, MeshRequest};
use greenroom_core::map::Page;
use greenroom_core::{CallError, Epoch};

use crate::harness::{Cluster, Node, key_owned_by, shard_of};

const PATIENCE: Duration = Duration::from_secs(10);

/// Gives a shard to another node at the next epoch. Its log stays behind, so only shards without data may go.
pub(crate) async fn give(cluster: &Cluster, key: &str, to: &Node) {
    let shard = shard_of(key);
    let change = |page: &mut Page| {
        let entry = &mut page.entries[usize::from(shard.0) % 256];
        entry.prev = Some(entry.owner.store);
        entry.epoch = entry.epoch.next();
        entry.owner = to.run;
        entry.in_sync = vec![to.run.store];
    };
    cluster.rewrite(shard.page(), change).await;
}

pub(crate) async fn knows_epoch(node: &Node, key: &str, epoch: u64) {
    let known = |view: &std::sync::Arc<greenroom_cluster::map::View>| {
        view.entry(shard_of(key)).is_some_and(|entry| entry.epoch == Epoch(epoch))
    };
    node.driver.map().watch().wait_for(known).await;
}

pub(crate) fn take_requests(cluster: &Cluster) -> Vec<String> {
    std::mem::take(&mut cluster.network.requests.lock())
}

#[tokio::test]
async fn a_caller_with_an_old_map_is_redirected_once() {
    let (cluster, nodes) = Cluster::started(3).await;
    let key = key_owned_by(&nodes[1]);
    nodes[0].map_frozen.send_replace(true);
    give(&cluster, &key, &nodes[2]).await;
    knows_epoch(&nodes[1], &key, 2).await;
    take_requests(&cluster);
    let reply = nodes[0].router.call_once(nodes[0].encoded(&key, "add", r#"{"by":2}"#, PATIENCE)).await;
    assert_eq!(reply.unwrap().decode::<i64>("the reply"), Ok(2));
    assert_eq!(take_requests(&cluster), ["n-1", "n-2"]);
}

#[tokio::test]
async fn a_second_redirect_is_not_followed_but_repeated_later() {
    let (cluster, nodes) = Cluster::started(4).await;
    let key = key_owned_by(&nodes[1]);
    nodes[0].map_frozen.send_replace(true);
    give(&cluster, &key, &nodes[2]).await;
    knows_epoch(&nodes[1], &key, 2).await;
    nodes[1].map_frozen.send_replace(true);
    give(&cluster, &key, &nodes[3]).await;
    knows_epoch(&nodes[2], &key, 3).await;
    take_requests(&cluster);
    let once = nodes[0].router.call_once(nodes[0].encoded(&key, "add", r#"{"by":2}"#, PATIENCE)).await;
    assert!(matches!(once, Err(CallError::Unavailable(_))), "{once:?}");
    assert_eq!(take_requests(&cluster), ["n-1", "n-2"]);

    let repeating = tokio::spawn(nodes[0].counter(&key).add(2).into_future());
    nodes[0].map_frozen.send_replace(false);
    assert_eq!(repeating.await.unwrap(), Ok(2));
}

#[tokio::test]
async fn r7_a_redirect_to_a_lower_epoch_is_not_followed() {
    let (cluster, nodes) = Cluster::started(3).await;
    let key = key_owned_by(&nodes[1]);
    nodes[2].map_frozen.send_replace(true);
    give(&cluster, &key, &nodes[2]).await;
    knows_epoch(&nodes[0], &key, 2).await;
    take_requests(&cluster);
    // The new owner does not know yet that it is one; by its map the old one is.
    let once = nodes[0].router.call_once(nodes[0].encoded(&key, "add", r#"{"by":2}"#, PATIENCE)).await;
    assert!(matches!(once, Err(CallError::Unavailable(_))), "{once:?}");
    assert_eq!(take_requests(&cluster), ["n-2"]);

    let repeating = tokio::spawn(nodes[0].counter(&key).add(2).into_future());
    nodes[2].map_frozen.send_replace(false);
    assert_eq!(repeating.await.unwrap(), Ok(2));
}

#[tokio::test]
async fn an_owner_whose_map_is_behind_waits_for_it_instead_of_bouncing() {
    let (cluster, nodes) = Cluster::started(3).await;
    let key = key_owned_by(&nodes[1]);
    nodes[2].map_frozen.send_replace(true);
    give(&cluster, &key, &nodes[2]).await;
    knows_epoch(&nodes[0], &key, 2).await;
    take_requests(&cluster);
    let call = nodes[0].encoded(&key, "add", r#"{"by":2}"#, PATIENCE);
    let mut once = Box::pin(nodes[0].router.call_once(call));
    assert!(futures_util::poll!(&mut once).is_pending());
    nodes[2].map_frozen.send_replace(false);
    assert_eq!(once.await.unwrap().decode::<i64>("the reply"), Ok(2));
    assert_eq!(take_requests(&cluster), ["n-2"]);
}

#[tokio::test]
async fn an_owner_that_is_replaced_by_itself_under_load_loses_and_doubles_nothing() {
    let (cluster, nodes) = Cluster::started(2).await;
    let key = key_owned_by(&nodes[1]);
    let adding = async {
        join_all((0..200).map(async |n| {
            tokio::time::sleep(Duration::from_millis(n / 2)).await;
            nodes[n as usize % 2].counter(&key).add(1).await.unwrap()
        }))
        .await
    };
    let replacing = async {
        for epoch in 2..12 {
            give(&cluster, &key, &nodes[1]).await;
            knows_epoch(&nodes[1], &key, epoch).await;
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    };
    let (mut totals, ()) = join(adding, replacing).await;
    totals.sort();
    assert_eq!(
        totals,
        (1..=200).collect::<Vec<_>>(),
        "I2, I4: each add happened once and saw those before it"
    );
}

#[tokio::test]
async fn who_does_not_own_the_shard_says_who_does() {
    let (_cluster, nodes) = Cluster::started(2).await;
    let key = key_owned_by(&nodes[1]);
    let call = nodes[0].encoded(&key, "total", "", PATIENCE);
    let request = MeshRequest { shard: shard_of(&key), epoch: Epoch(1), call, one_way: false };
    let reply = nodes[0].router.handle(&nodes[1].run, request.clone()).await;
    assert_eq!(reply, MeshReply::Moved { owner: Some(nodes[1].run.store), epoch: Epoch(1) });

    let elsewhere = MeshRequest { shard: greenroom_core::Shard(request.shard.0 ^ 1), ..request };
    let reply = nodes[1].router.handle(&nodes[0].run, elsewhere).await;
    assert!(matches!(reply, MeshReply::Reply(Err(CallError::Invalid(_)))), "{reply:?}");
}

#[tokio::test]
async fn turns_call_actors_of_other_nodes() {
    let (_cluster, nodes) = Cluster::started(3).await;
    let (here, there) = (key_owned_by(&nodes[1]), key_owned_by(&nodes[2]));
    assert_eq!(nodes[0].counter(&here).pass_on(there.clone(), 6).await, Ok(6));
    assert_eq!(nodes[0].counter(&there).total().await, Ok(6));
}

#[tokio::test]
async fn a_call_that_never_left_is_known_not_to_have_happened() {
    let (_cluster, mut nodes) = Cluster::started(2).await;
    let key = key_owned_by(&nodes[1]);
    nodes.pop().unwrap().kill();
    let late = nodes[0].counter(&key).add(1).timeout(Duration::from_millis(200)).await;
    assert_eq!(late, Err(CallError::Timeout { committed: Some(false) }));
}

#[tokio::test]
async fn a_call_whose_answers_are_lost_is_applied_once_and_its_timeout_admits_not_to_know() {
    let (cluster, nodes) = Cluster::started(2).await;
    let key = key_owned_by(&nodes[1]);
    cluster.network.deaf.lock().push("n-1".into());
    take_requests(&cluster);
    // Long enough to be repeated also where the machine stands still for a while.
    let late = nodes[0].counter(&key).add(1).timeout(Duration::from_secs(2)).await;
    assert_eq!(late, Err(CallError::Timeout { committed: None }));
    assert!(take_requests(&cluster).len() > 1, "it was repeated");
    cluster.network.deaf.lock().clear();
    assert_eq!(nodes[0].counter(&key).total().await, Ok(1), "I4");
}

#[tokio::test]
async fn dropping_a_call_cancels_its_turn_on_the_other_node() {
    let (_cluster, nodes) = Cluster::started(2).await;
    let key = key_owned_by(&nodes[1]);
    let running = tokio::spawn(nodes[0].counter(&key).add_slowly(4, 60_000).into_future());
    while nodes[1].engine.stats().running == 0 {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert_eq!(nodes[0].counter(&key).total().await, Ok(0));
}
