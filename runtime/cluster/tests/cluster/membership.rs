//! Starting, restarting, refusing, leaving.

use std::sync::atomic::Ordering;
use std::time::Duration;

use greenroom_cluster::registration::Refused;
use greenroom_cluster::{ClusterError, Coordination, Phase};
use greenroom_core::{CallError, Epoch, Incarnation};

use crate::harness::{Cluster, Fault, key_owned_by};

#[tokio::test]
async fn three_nodes_share_the_shards_and_every_call_reaches_its_actor() {
    let (_cluster, nodes) = Cluster::started(3).await;
    for node in &nodes {
        let state = node.driver.state();
        assert_eq!(state.phase, Phase::Active);
        assert_eq!((state.shards_owned, state.shards_serving), (100, 100));
    }
    for key in (0..60).map(|n| n.to_string()) {
        for (nth, node) in nodes.iter().enumerate() {
            assert_eq!(node.counter(&key).add(1).await, Ok(nth as i64 + 1), "{key}");
        }
        assert_eq!(nodes[0].counter(&key).total().await, Ok(3));
    }
}

#[tokio::test]
async fn nothing_is_assigned_before_all_expected_members_have_come() {
    let cluster = Cluster::new(2);
    let first = cluster.start(0);
    first.driver.watch_phase().wait_for(|phase| *phase == Phase::Joining).await;
    assert!(cluster.register.read(0).await.unwrap().content.entries.is_empty());
    // A call that is made now waits for the assignment.
    let early = tokio::spawn(first.counter("early").add(1).into_future());
    let second = cluster.start(1);
    first.driver.when_active().await.unwrap();
    second.driver.when_active().await.unwrap();
    assert_eq!(early.await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_restarted_member_is_a_new_incarnation_at_the_next_epoch_and_its_state_is_there() {
    let (cluster, mut nodes) = Cluster::started(3).await;
    let (mine, other) = (key_owned_by(&nodes[1]), key_owned_by(&nodes[2]));
    nodes[0].counter(&mine).add(7).await.unwrap();
    nodes[0].counter(&other).add(9).await.unwrap();
    let before = nodes[0].driver.map().view();

    let killed = nodes.remove(1);
    let run = killed.run;
    killed.kill();
    // Made while nobody serves the actor; its caller waits, no longer than its deadline.
    let meanwhile = tokio::spawn(nodes[0].counter(&mine).add(1).into_future());
    assert_eq!(nodes[0].counter(&other).total().await, Ok(9), "I5: the others go on");

    let restarted = cluster.start(1);
    assert_eq!(restarted.run.store, run.store);
    assert_eq!(restarted.run.incarnation, Incarnation(run.incarnation.0 + 1));
    restarted.driver.when_active().await.unwrap();
    assert_eq!(meanwhile.await.unwrap(), Ok(8));
    assert_eq!(restarted.counter(&mine).total().await, Ok(8));
    for ((_, before), (shard, after)) in before.entries().zip(restarted.driver.map().view().entries()) {
        let expected = if before.owner == run { (Epoch(2), restarted.run) } else { (Epoch(1), before.owner) };
        assert_eq!((after.epoch, after.owner), expected, "shard {shard}");
    }
}

#[tokio::test]
async fn everything_may_be_restarted_at_once() {
    let (cluster, nodes) = Cluster::started(3).await;
    for key in (0..30).map(|n| n.to_string()) {
        nodes[0].counter(&key).add(5).await.unwrap();
    }
    nodes.into_iter().for_each(|node| node.kill());
    let nodes: Vec<_> = (0..3).map(|node| cluster.start(node)).collect();
    for key in (0..30).map(|n| n.to_string()) {
        assert_eq!(nodes[2].counter(&key).total().await, Ok(5));
    }
}

#[tokio::test]
async fn lost_requests_and_answers_of_map_writes_change_nothing_in_the_outcome() {
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let cluster = Cluster::new(3);
        // Every write of the start meets the fault once, the registrations too.
        cluster.faults.lock().extend([fault; 5]);
        let nodes: Vec<_> = (0..3).map(|node| cluster.start(node)).collect();
        for node in &nodes {
            node.driver.when_active().await.unwrap();
        }
        assert!(cluster.faults.lock().is_empty(), "the faults have happened");
        for page in 0..2 {
            let page = cluster.register.read(page).await.unwrap().content;
            assert!(
                page.entries.iter().all(|entry| entry.epoch == Epoch(1)),
                "{fault:?}: nothing happened twice"
            );
        }
    }
}

#[tokio::test]
async fn i6_an_idle_cluster_writes_nothing() {
    let (cluster, nodes) = Cluster::started(3).await;
    // Three registrations and two pages of first entries; conflicts of the registrations come on top.
    let writes = cluster.writes.load(Ordering::Relaxed);
    assert!((5..=8).contains(&writes), "{writes} writes to start");
    tokio::time::pause();
    for _minute in 0..60 {
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    tokio::time::resume();
    assert_eq!(nodes[1].counter("awake").add(1).await, Ok(1));
    assert_eq!(cluster.writes.load(Ordering::Relaxed), writes);
}

#[tokio::test]
async fn a_node_with_an_emptied_volume_is_refused_by_name() {
    let (mut cluster, mut nodes) = Cluster::started(2).await;
    let lost = nodes.pop().unwrap();
    let expected = lost.run.store;
    lost.kill();
    cluster.empty_volume(1);
    let emptied = cluster.start(1);
    let error = emptied.driver.when_active().await.unwrap_err();
    let refused = Refused::OtherStore { node: "n-1".into(), mine: emptied.run.store, expected };
    assert_eq!(error, ClusterError::Refused(refused));
    assert_eq!(emptied.driver.failed().await, error);
}

#[tokio::test]
async fn a_node_with_data_is_refused_by_a_cluster_that_does_not_know_it() {
    let (mut cluster, nodes) = Cluster::started(1).await;
    nodes.into_iter().for_each(|node| node.kill());
    cluster.register = Cluster::new(1).register;
    let error = cluster.start(0).driver.when_active().await.unwrap_err();
    assert!(matches!(error, ClusterError::Refused(Refused::UnknownStoreWithData { .. })), "{error}");
}

#[tokio::test]
async fn no_start_is_refused_because_a_watch_shows_an_old_page() {
    let mut cluster = Cluster::new(1);
    let before = cluster.register.read(0).await.unwrap();
    let first = cluster.start(0);
    first.driver.when_active().await.unwrap();
    first.kill();
    // By that page nobody knows the store, which has data by now.
    cluster.stale_page0 = Some(before);
    let node = cluster.start(0);
    let mut joined = node.driver.watch_phase();
    tokio::select! {
        biased;
        error = node.driver.failed() => panic!("{error}"),
        // Active, if it was too quick to be seen on its way.
        _ = joined.wait_for(|phase| matches!(phase, Phase::Joining | Phase::Active)) => {}
    }
}

#[tokio::test]
async fn a_map_that_was_set_back_is_refused() {
    let (cluster, nodes) = Cluster::started(1).await;
    let old = [cluster.register.read(0).await.unwrap(), cluster.register.read(1).await.unwrap()];
    nodes.into_iter().for_each(|node| node.kill());
    let second = cluster.start(0);
    second.driver.when_active().await.unwrap();
    second.kill();
    for page in old {
        cluster.rewrite(page.content.page, |content| *content = page.content).await;
    }
    // The third run is the second that this map sees: its epoch 2 stands in the log already.
    let error = cluster.start(0).driver.when_active().await.unwrap_err();
    assert!(matches!(error, ClusterError::MapSetBack { log: Epoch(2), map: Epoch(2), .. }), "{error}");
}

#[tokio::test]
async fn a_drained_node_has_finished_its_turns_serves_nothing_and_is_gone() {
    let (_cluster, nodes) = Cluster::started(2).await;
    let key = key_owned_by(&nodes[1]);
    let running = tokio::spawn(nodes[0].counter(&key).add_slowly(4, 300).into_future());
    while nodes[1].engine.stats().running == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(nodes[1].driver.drain(Duration::from_secs(10)).await, 0);
    assert_eq!(running.await.unwrap(), Ok(4), "I7: a running turn ends");
    let state = nodes[1].driver.state();
    assert_eq!((state.phase, state.shards_owned, state.shards_serving), (Phase::Drained, 0, 0));
    nodes[0].driver.watch_peers().wait_for(|peers| !peers.contains_key("n-1")).await;
    let refused =
        nodes[1].router.call_once(nodes[1].encoded(&key, "total", "", Duration::from_secs(5))).await;
    assert!(matches!(refused, Err(CallError::Unavailable(_))), "{refused:?}");
}
