//! Where actors live, in a simulated cluster: local ones on every node, pinned ones on those of their group.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::stream;
use greenroom::testing::{Cluster, Simulation};
use greenroom::{Actor, ActorId, CallError, CallOptions, Cx, Items, Result, actor_methods};
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

    /// Who asked, one after the other.
    fn names(&self, cx: &Cx) -> Result<Items<String>> {
        Ok(cx.items(stream::iter(self.asked_by.clone()))?)
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
fn a_stream_of_a_local_actor_is_read_on_its_node_and_elsewhere_the_error_says_so() {
    simulation().run(async |cluster| {
        let (here, there) = (cluster.client_of("node-0"), cluster.client_of("node-1"));
        here.actor::<Notes>("wall").ask("anna".into()).await?;
        there.actor::<Notes>("wall").ask("bert".into()).await?;
        let mut names = here.actor::<Notes>("wall").names().await?;
        assert_eq!(names.next().await, Some(Ok("anna".into())));
        assert_eq!(names.next().await, None);

        // By hand, as a script does: the stream of one node asked for at another.
        let wall: ActorId = "Notes/wall".parse().unwrap();
        let options = CallOptions::default;
        let handle = here.call_json(&wall, "names", "{}", options()).await.unwrap();
        let elsewhere = there.call_json(&wall, "@next", &handle, options()).await.unwrap();
        assert!(elsewhere.contains("unavailable") && elsewhere.contains("local actor"), "{elsewhere}");
        let at_home = here.call_json(&wall, "@next", &handle, options()).await.unwrap();
        assert!(at_home.contains("anna") && !at_home.contains("bert"), "{at_home}");
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

/// Lives on the nodes of the group `gpu`.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(pinned("gpu"))]
struct Renderer {
    #[index]
    scene: Option<String>,
    frames: u32,
}

#[actor_methods]
impl Renderer {
    fn render(&mut self, scene: String) -> u32 {
        self.scene = Some(scene);
        self.frames += 1;
        self.frames
    }

    fn frames(&self) -> u32 {
        self.frames
    }

    /// An actor of the group calls one outside.
    async fn sign(&self, cx: &Cx, artist: String) -> Result<String> {
        Ok(cx.actor::<Artist>(artist).signature().await?)
    }
}

/// Lives among the general nodes and has things rendered.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Artist {}

#[actor_methods]
impl Artist {
    async fn render(&self, cx: &Cx, renderer: String, scene: String) -> Result<u32> {
        Ok(cx.actor::<Renderer>(renderer).render(scene).await?)
    }

    /// Lets it render without waiting for it.
    async fn commission(&self, cx: &Cx, renderer: String, scene: String) -> Result<()> {
        Ok(cx.tell(cx.actor::<Renderer>(renderer).render(scene))?)
    }

    /// Whoever has rendered this last.
    async fn renderers_of(&self, cx: &Cx, scene: String) -> Result<Vec<String>> {
        let found = cx.query::<Renderer>().eq("scene", scene).all().await?;
        Ok(found.into_iter().map(|renderer| renderer.key.to_string()).collect())
    }

    /// All that are in memory render the same.
    async fn render_everywhere(&self, cx: &Cx, scene: String) -> Result<()> {
        Ok(cx.broadcast(|renderer: RendererRef| renderer.render(scene))?)
    }

    async fn signature(&self, cx: &Cx) -> String {
        format!("by {}", cx.key())
    }
}

fn of_group(node: Option<String>) -> bool {
    node.is_some_and(|node| node.starts_with("gpu-"))
}

/// Where the actors of both types are, who calls them from where, and whether broadcasts and queries reach them.
async fn pinned_actors_are_where_they_belong(cluster: Cluster) -> greenroom::testing::Result {
    let mut lived_on = std::collections::BTreeSet::new();
    for (key, node) in (0..16).map(|key| format!("r{key}")).zip(cluster.nodes().into_iter().cycle()) {
        let through = cluster.client_of(&node);
        assert_eq!(cluster.actor::<Renderer>(&key).render("dawn".into()).await?, 1);
        assert_eq!(through.actor::<Renderer>(&key).render("noon".into()).await?, 2, "through {node}");
        assert_eq!(through.actor::<Artist>(&key).render(key.clone(), "dusk".into()).await?, 3);
        assert_eq!(through.actor::<Renderer>(&key).sign(key.clone()).await?, format!("by {key}"));
        assert!(of_group(cluster.active_on::<Renderer>(&key)), "{key}");
        assert_eq!(cluster.active_on::<Renderer>(&key), Some(cluster.node_of::<Renderer>(&key)));
        assert!(!of_group(cluster.active_on::<Artist>(&key)), "{key}");
        lived_on.insert(cluster.node_of::<Renderer>(&key));
    }
    assert_eq!(lived_on.len(), 2, "both nodes of the group have some");
    let artist = cluster.actor::<Artist>("artist");
    artist.commission("r7".into(), "night".into()).await?;
    cluster.advance(Duration::from_secs(1)).await;
    artist.render_everywhere("dawn".into()).await?;
    cluster.advance(Duration::from_secs(5)).await;
    assert_eq!(cluster.actor::<Renderer>("r7").frames().await?, 5);
    assert_eq!(artist.renderers_of("dawn".into()).await?.len(), 16);
    assert_eq!(artist.renderers_of("dusk".into()).await?, [""; 0]);
    Ok(())
}

#[test]
fn pinned_actors_live_on_the_nodes_of_their_group_and_nowhere_else() {
    let simulation = Simulation::new().actor::<Renderer>().actor::<Artist>().nodes(3).group("gpu", 2);
    simulation.seeds(3).run(pinned_actors_are_where_they_belong);
}

#[test]
fn nodes_that_do_not_serve_a_pinned_type_know_where_it_is() {
    let simulation = Simulation::new().actor::<Artist>().actor_on::<Renderer>("gpu").nodes(2).group("gpu", 2);
    simulation.seeds(3).run(pinned_actors_are_where_they_belong);
}

#[test]
fn while_their_group_is_down_pinned_actors_wait_and_others_do_not() {
    let simulation = Simulation::new().actor::<Renderer>().actor::<Artist>().nodes(2).group("gpu", 1);
    simulation.run(async |cluster| {
        for key in ["a", "b", "c"] {
            cluster.actor::<Renderer>(key).render("dawn".into()).await?;
        }
        cluster.kill("gpu-0");
        let begun = cluster.elapsed();
        let refused = cluster.client_of("node-0").actor::<Renderer>("a").frames().await.unwrap_err();
        assert!(matches!(refused, CallError::Timeout { .. } | CallError::Unavailable(_)), "{refused}");
        assert!(cluster.elapsed() - begun <= Duration::from_secs(11), "a deadline ends the waiting");
        assert_eq!(cluster.client_of("node-1").actor::<Artist>("a").signature().await?, "by a");
        cluster.restart("gpu-0");
        for key in ["a", "b", "c"] {
            assert_eq!(cluster.actor::<Renderer>(key).frames().await?, 1, "{key}");
            assert_eq!(cluster.active_on::<Renderer>(key).as_deref(), Some("gpu-0"));
        }
        Ok(())
    });
}

#[test]
fn without_their_group_pinned_actors_live_among_the_general_nodes() {
    Simulation::new().actor::<Renderer>().actor::<Artist>().nodes(2).run(async |cluster| {
        let artist = cluster.actor::<Artist>("artist");
        for key in ["a", "b", "c", "d"] {
            assert_eq!(artist.render(key.into(), "dawn".into()).await?, 1);
            assert_eq!(cluster.active_on::<Renderer>(key), Some(cluster.node_of::<Renderer>(key)));
        }
        assert_eq!(artist.renderers_of("dawn".into()).await?.len(), 4);
        Ok(())
    });
}
