//! Where actors live, in a simulated cluster: local ones on every node.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use greenroom::testing::{Cluster, Simulation};
use greenroom::{Actor, Cx, Result, actor_methods};
use serde::{Deserialize, Serialize};

/// Remembers who asked it; every node has its own.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(local, volatile)]
struct Notes {
    asked_by: Vec<String>,
}

#[actor_methods]
impl Notes {
    fn ask(&mut self, who: String) -> Vec<String> {
        self.asked_by.push(who);
        self.asked_by.clone()
    }

    /// Asks a guest, who asks the notes of its own node.
    async fn send(&mut self, cx: &Cx, guest: String) -> Result<Vec<String>> {
        Ok(cx.actor::<Guest>(guest).look().await?)
    }

    /// The same through one more guest.
    async fn send_far(&mut self, cx: &Cx, first: String, then: String) -> Result<Vec<String>> {
        Ok(cx.actor::<Guest>(first).pass_on(then).await?)
    }
}

/// An actor that lives where its shard is.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Guest {}

#[actor_methods]
impl Guest {
    async fn pass_on(&self, cx: &Cx, to: String) -> Result<Vec<String>> {
        Ok(cx.actor::<Guest>(to).look().await?)
    }

    async fn look(&self, cx: &Cx) -> Result<Vec<String>> {
        Ok(cx.actor::<Notes>("wall").ask(cx.key().to_owned()).await?)
    }
}

fn simulation() -> Simulation {
    Simulation::new().actor::<Notes>().actor::<Guest>().nodes(3)
}

/// Guests that live on this node.
fn guests_on(cluster: &Cluster, node: &str) -> impl Iterator<Item = String> {
    let on = |key: &String| cluster.node_of::<Guest>(key) == node;
    let guests: Vec<_> = (0..100).map(|number| format!("guest-{number}")).filter(on).take(2).collect();
    assert_eq!(guests.len(), 2);
    guests.into_iter()
}

#[test]
fn every_node_has_a_local_actor_of_its_own() {
    simulation().seeds(5).run(async |cluster| {
        for node in cluster.nodes() {
            let guests: Vec<_> = guests_on(&cluster, &node).collect();
            for (at, guest) in guests.iter().enumerate() {
                assert_eq!(cluster.actor::<Guest>(guest).look().await?, guests[..=at], "{node}");
            }
            // From outside it is the one of the node whose gateway is asked.
            let asked = cluster.client_of(&node).actor::<Notes>("wall").ask("client".into()).await?;
            assert_eq!(asked[..2], guests, "{node}");
            assert_eq!(cluster.active_on::<Guest>(&guests[0]), Some(node));
        }
        cluster.kill("node-1");
        cluster.restart("node-1");
        cluster.when_active().await;
        let guest = guests_on(&cluster, "node-1").next().unwrap();
        assert_eq!(cluster.actor::<Guest>(&guest).look().await?, [guest], "a restart forgets");
        Ok(())
    });
}

#[test]
fn a_local_actor_reaches_the_one_of_another_node_through_an_actor_there() {
    simulation().run(async |cluster| {
        let guest = guests_on(&cluster, "node-1").next().unwrap();
        let notes = cluster.client_of("node-0").actor::<Notes>("wall");
        assert_eq!(notes.send(guest.clone()).await?, [guest]);
        assert_eq!(notes.ask("client".into()).await?, ["client"], "its own was not asked");
        Ok(())
    });
}

#[test]
fn a_cycle_over_a_local_actor_is_found_also_if_it_leaves_the_node() {
    simulation().run(async |cluster| {
        let there = guests_on(&cluster, "node-1").next().unwrap();
        let here = guests_on(&cluster, "node-0").next().unwrap();
        let notes = cluster.client_of("node-0").actor::<Notes>("wall");
        let begun = cluster.elapsed();
        let near = notes.send(here.clone()).await.unwrap_err().to_string();
        let far = notes.send_far(there, here).await.unwrap_err().to_string();
        assert!(near.contains("deadlock") && far.contains("deadlock"), "{near}; {far}");
        assert!(cluster.elapsed() - begun < Duration::from_secs(1), "{:?}", cluster.elapsed() - begun);
        Ok(())
    });
}

#[test]
fn who_asks_for_the_one_node_of_a_local_actor_is_told_better() {
    let ask = || {
        simulation().run(async |cluster| {
            cluster.node_of::<Notes>("wall");
            Ok(())
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(ask)).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("client_of"), "{message}");
}
