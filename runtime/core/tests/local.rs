//! Local types: an actor of each key on the node, whoever owns its shard, and otherwise an actor like any other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use greenroom_core::call::{Call, CallContext, Chain, Frame};
use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::engine::{Delivery, Leaving, Stamp};
use greenroom_core::{ActorId, AppError, CallError, CallId, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::time::{Instant, sleep};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", local, volatile, idle_timeout = "1s")]
struct Cache {
    hits: u32,
    ticks: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Cache {
    #[on_activate]
    async fn begin(&mut self, cx: &Cx) -> Result<()> {
        self.hits = 100;
        cx.timer(Duration::from_millis(300), cx.actor::<Self>(cx.key()).tick())?;
        Ok(())
    }

    fn tick(&mut self) {
        self.ticks += 1;
    }

    fn ticked(&self) -> u32 {
        self.ticks
    }

    fn hit(&mut self) -> u32 {
        self.hits += 1;
        self.hits
    }

    fn hits(&self) -> u32 {
        self.hits
    }

    /// A reading turn that takes a while.
    async fn look(&self) -> u32 {
        sleep(Duration::from_millis(100)).await;
        self.hits
    }

    /// An exclusive turn that takes a while.
    async fn renew(&mut self) -> u32 {
        let before = self.hits;
        sleep(Duration::from_millis(100)).await;
        self.hits = before + 1;
        self.hits
    }

    fn fail(&mut self) -> Result<()> {
        self.hits = 0;
        Err(AppError::new("no"))
    }

    async fn ask(&mut self, cx: &Cx, page: String) -> Result<u32> {
        Ok(cx.actor::<Page>(page).show(cx.key().to_owned()).await?)
    }
}

/// An actor with a shard, which asks the cache of its node.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Page {}

#[actor_methods(crate = "greenroom_core")]
impl Page {
    async fn show(&self, cx: &Cx, cache: String) -> Result<u32> {
        Ok(cx.actor::<Cache>(cache).hit().await?)
    }
}

fn node() -> Arc<Node> {
    let node = Arc::new(Node::with::<Cache>(|engine| engine.register::<Page>()));
    node.sync_always();
    node
}

#[tokio::test(start_paused = true)]
async fn it_is_one_actor_per_key_that_keeps_its_state_whoever_owns_its_shard() {
    let node = node();
    let cache = node.actor::<Cache>("a");
    assert_eq!(cache.hit().await.unwrap(), 101);
    for shard in node.engine.shards().shards() {
        node.engine.step_down(shard);
    }
    assert_eq!(cache.hit().await.unwrap(), 102);
    assert_eq!(node.call_json("Cache/a", "hit", "{}").await.unwrap(), "103");
    assert_eq!(node.actor::<Cache>("b").hit().await.unwrap(), 101);
    assert_eq!(node.disk.commits(), 0);
}

#[tokio::test(start_paused = true)]
async fn turns_of_it_are_turns_of_an_actor() {
    let node = node();
    let cache = node.actor::<Cache>("a");
    let begun = Instant::now();
    let (one, other) = tokio::join!(cache.renew(), cache.renew());
    assert_eq!((one.unwrap(), other.unwrap()), (101, 102), "exclusive turns do not overlap");
    assert_eq!(begun.elapsed(), Duration::from_millis(200));
    let (one, other) = tokio::join!(cache.look(), cache.look());
    assert_eq!((one.unwrap(), other.unwrap()), (102, 102));
    assert_eq!(begun.elapsed(), Duration::from_millis(300), "reading turns run together");
    cache.fail().await.unwrap_err();
    // A turn that was rolled back is followed by `#[on_activate]` again.
    assert_eq!(cache.hits().await.unwrap(), 100);
}

#[tokio::test(start_paused = true)]
async fn it_has_hooks_and_timers_and_leaves_memory_when_it_is_idle() {
    let node = node();
    let cache = node.actor::<Cache>("a");
    assert_eq!(cache.hit().await.unwrap(), 101);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(cache.ticked().await.unwrap(), 1);
    let left = |why: Leaving| node.engine.departures().into_iter().find(|of| of.0 == why).unwrap().1;
    assert_eq!(left(Leaving::Idle), 0);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(left(Leaving::Idle), 1);
    assert_eq!(cache.hits().await.unwrap(), 100);
    assert!(node.engine.deactivate(&"Cache/a".parse().unwrap()).await);
    assert_eq!(left(Leaving::Asked), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_in_no_listing_of_placements() {
    let node = node();
    let engine = &node.engine;
    let before = engine.stamp(Stamp::default()).unwrap();
    node.actor::<Cache>("a").hit().await.unwrap();
    node.actor::<Page>("p").show("a".into()).await.unwrap();
    let listed = engine.placements(None, None, None, 10).placements;
    assert_eq!(listed.iter().map(|p| p.actor.to_string()).collect::<Vec<_>>(), ["Page/p"]);
    let id: ActorId = "Cache/a".parse().unwrap();
    assert!(engine.placement(&id).is_none() && engine.placement_named(&id.placement_name()).is_none());
    let changes = engine.changes(before, 100).unwrap().changes;
    assert_eq!(changes.iter().map(|c| c.placement.actor.to_string()).collect::<Vec<_>>(), ["Page/p"]);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_within_the_node_fails_at_once() {
    let node = node();
    let begun = Instant::now();
    let error = node.actor::<Cache>("a").ask("p".into()).await.unwrap_err();
    assert!(error.to_string().contains("Cache/a"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_actor_of_another_node_with_the_same_name_is_in_no_cycle_with_this_one() {
    let node = node();
    let frame = |actor: &str, id| Frame {
        actor: actor.parse().unwrap(),
        call_id: CallId(id),
        exclusive: true,
        window: None,
    };
    let call = |chain: Vec<Frame>, target: &str, arguments: &'static str| {
        let context = CallContext {
            id: CallId(3),
            deadline: Instant::now() + Duration::from_secs(10),
            chain: Chain::from_outermost(chain),
            request: Default::default(),
        };
        let data = Bytes::from_static(arguments.as_bytes());
        let arguments = Payload { content_type: ContentType::Json, data };
        let method = if target.starts_with("Page") { "show" } else { "hit" };
        let target = target.parse().unwrap();
        match node.engine.deliver(Call { target, method: method.into(), arguments, context, delivery: None })
        {
            Delivery::Here(outcome) => outcome,
            Delivery::NotServed(_) => panic!("every shard is served here"),
        }
    };
    // Cache/a of another node asks Page/p here, which asks Cache/a here.
    let there = vec![frame("Cache/a", 1)];
    assert_eq!(&call(there, "Page/p", r#"{"cache":"a"}"#).await.unwrap().data[..], b"101");
    // Frames of other types stay: Page/p waits for this call.
    let cycle = vec![frame("Page/p", 1), frame("Cache/a", 2)];
    let error = call(cycle, "Page/p", r#"{"cache":"a"}"#).await.unwrap_err();
    assert!(matches!(error, CallError::Deadlock { .. }), "{error}");
}
