//! The ring in a simulated cluster: twenty actors over three nodes, a thousand hops.

use greenroom::testing::Simulation;
use greenroom_ping_ring::{Peer, Ping, Ring};

#[test]
fn a_thousand_hops_of_twenty_actors_come_to_each_fifty_times() {
    Simulation::new().actor::<Peer>().nodes(3).run(async |cluster| {
        let ring = Ring::new(20, |place| cluster.actor::<Peer>(format!("r/{place}")));
        let mut rounds = Vec::new();
        ring.ping(1_000, |ping| rounds.push(ping.made)).await?;
        assert_eq!(rounds, (1..=50).map(|round| round * 20).collect::<Vec<_>>());
        assert_eq!(ring.hops().await?, [50; 20]);

        let nodes = |place| cluster.active_on::<Peer>(format!("r/{place}"));
        let nodes: std::collections::BTreeSet<_> = (0..20).filter_map(nodes).collect();
        assert!(nodes.len() > 1, "all on {nodes:?}: nothing went from node to node");
        Ok(())
    });
}

#[test]
fn an_actor_without_a_place_in_a_ring_says_so() {
    Simulation::new().actor::<Peer>().run(async |cluster| {
        let error = cluster.actor::<Peer>("nowhere").ping(Ping { made: 0, hops: 1, places: 1 }).await;
        let message = error.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("RING/PLACE"), "{message}");
        Ok(())
    });
}
