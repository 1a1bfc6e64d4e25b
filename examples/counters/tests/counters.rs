//! Counters keep every acknowledged addition, whatever happens to their nodes. docs/testing.md explains these tests.

use std::time::Duration;

use futures_util::future::join_all;
use greenroom::Counter;
use greenroom::testing::Simulation;

#[test]
fn a_counter_survives_the_loss_of_its_node() {
    Simulation::new().actor::<Counter>().run(async |cluster| {
        let counter = cluster.actor::<Counter>("page-1");
        assert_eq!(counter.add(3).await?, 3);

        let node = cluster.node_of::<Counter>("page-1");
        cluster.kill(&node);
        cluster.advance(Duration::from_hours(1)).await;
        cluster.restart(&node);
        assert_eq!(counter.total().await?, 3);
        Ok(())
    });
}

#[test]
fn additions_are_applied_once_over_a_bad_network() {
    Simulation::new().actor::<Counter>().seeds(20).run(async |cluster| {
        cluster.drop_messages(0.2);
        cluster.duplicate_messages(0.2);
        let counter = cluster.actor::<Counter>("page-1");
        let patience = Duration::from_secs(60);
        let added = join_all((0..10).map(|_| counter.add(1).timeout(patience))).await;
        assert!(added.iter().all(Result::is_ok), "{added:?}");

        cluster.heal();
        assert_eq!(counter.total().await?, 10);
        Ok(())
    });
}

#[test]
fn an_idle_counter_leaves_memory_and_comes_back() {
    Simulation::new().actor::<Counter>().nodes(1).run(async |cluster| {
        let counter = cluster.actor::<Counter>("page-1");
        counter.add(3).await?;
        assert!(cluster.active_on::<Counter>("page-1").is_some());

        cluster.advance(Duration::from_mins(10)).await;
        assert!(cluster.active_on::<Counter>("page-1").is_none());
        assert_eq!(counter.total().await?, 3);
        Ok(())
    });
}
