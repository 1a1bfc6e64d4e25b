//! The sky in a simulated cluster: virtual time, so a minute of ticks is no minute, and nothing is ever late by itself.

use std::time::Duration;

use greenroom::testing::{Cluster, Simulation};
use greenroom_ticking::{Cell, CellRef, Sky};

const SIDE: u32 = 5;
const CELLS: u64 = 25;
const BIRDS: u64 = 3 * CELLS;

fn sky(cluster: &Cluster) -> Sky<impl Fn(&str) -> CellRef> {
    let client = cluster.client();
    Sky::new(SIDE, move |key| client.actor::<Cell>(key))
}

#[test]
fn cells_tick_at_their_rate_and_hand_birds_over_without_losing_one() {
    Simulation::new().actor::<Cell>().nodes(3).run(async |cluster| {
        let sky = sky(&cluster);
        sky.populate(3).await?;
        let before = sky.report().await?;
        cluster.advance(Duration::from_secs(10)).await;
        let did = sky.report().await?.since(&before);

        let expected = CELLS * 300;
        assert!(did.ticks.abs_diff(expected) <= CELLS * 2, "{} of {expected} ticks", did.ticks);
        assert_eq!(did.skipped, 0);
        assert!(did.jitter.quantile(1.0) < Duration::from_millis(3), "{:?}", did.jitter);
        assert!(did.crossings > BIRDS, "{} crossings", did.crossings);

        sky.freeze().await?;
        // Birds that were told on are with their new cells.
        cluster.advance(Duration::from_secs(1)).await;
        let frozen = sky.report().await?;
        assert_eq!(frozen.birds, BIRDS);
        cluster.advance(Duration::from_secs(1)).await;
        assert_eq!(sky.report().await?, frozen, "frozen cells do nothing");
        Ok(())
    });
}

#[test]
fn cells_of_a_node_that_was_lost_tick_again_when_they_are_called() {
    Simulation::new().actor::<Cell>().nodes(3).run(async |cluster| {
        let sky = sky(&cluster);
        sky.populate(3).await?;
        cluster.kill("node-1");
        cluster.restart("node-1");
        let before = sky.report().await?;
        assert!(before.cells == CELLS && (1..BIRDS).contains(&before.birds), "{before:?}");
        cluster.advance(Duration::from_secs(2)).await;
        let did = sky.report().await?.since(&before);
        assert!(did.ticks.abs_diff(CELLS * 60) <= CELLS * 2, "{} ticks", did.ticks);
        Ok(())
    });
}
