//! What the engine counts about calls: by method, and which actors are busy.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use greenroom_core::call::{Call, CallContext, Chain, Delivery};
use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::engine;
use greenroom_core::identity::{CallId, Epoch};
use greenroom_core::{AppError, CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::time::{Instant, sleep};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Page {
    hits: u64,
}

#[actor_methods(crate = "greenroom_core")]
impl Page {
    #[on_activate]
    fn arrive(&mut self) {}

    async fn hit(&mut self) -> u64 {
        self.hits += 1;
        self.hits
    }

    async fn refuse(&self) -> Result<()> {
        Err(AppError::new("no"))
    }
}

#[tokio::test]
async fn calls_are_counted_by_method() {
    let node = Arc::new(Node::new::<Page>());
    let page = node.actor::<Page>("counted");
    for _ in 0..3 {
        page.hit().await.unwrap();
    }
    page.refuse().await.unwrap_err();
    let types = node.engine.types();
    let counts: Vec<_> = types[0].methods.iter().map(|m| (m.name, m.calls, m.failed)).collect();
    assert_eq!(counts, [("hit", 3, 0), ("refuse", 1, 1)]);
    assert_eq!((types[0].calls, node.engine.stats().failed), (4, 1));
}

#[tokio::test]
async fn busy_actors_are_found_among_many_although_calls_come_in_turn() {
    let node = Arc::new(Node::new::<Page>());
    let pages: Vec<_> = (0..512).map(|i| node.actor::<Page>(&format!("p{i}"))).collect();
    // Every second call is for one of two busy pages, always in the same order.
    for round in 0..100_000 {
        pages[round % 2].hit().await.unwrap();
        pages[2 + round % 510].hit().await.unwrap();
    }
    let hot = node.engine.hot_actors(3);
    let names: Vec<_> = hot.iter().map(|hot| hot.actor.key.to_string()).collect();
    assert!(names[..2].contains(&"p0".into()) && names[..2].contains(&"p1".into()), "{hot:?}");
    assert!(hot[2].calls_per_second < hot[1].calls_per_second / 4.0, "{hot:?}");
}

/// One may wait here, and no more.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile, mailbox = 1)]
struct Desk {}

#[actor_methods(crate = "greenroom_core")]
impl Desk {
    async fn set_alarm(&mut self, cx: &Cx) -> Result<()> {
        cx.timer(Duration::from_millis(10), cx.actor::<Self>(cx.key()).ring())?;
        Ok(())
    }

    async fn call_itself(&mut self, cx: &Cx) -> Result<()> {
        Ok(cx.actor::<Self>(cx.key()).call_itself().await?)
    }

    async fn knock_at_itself(&mut self, cx: &Cx) -> Result<()> {
        Ok(cx.actor::<Self>(cx.key()).knock().await?)
    }

    async fn tick_slowly(&mut self, cx: &Cx) -> Result<()> {
        cx.ticks(1.0, cx.actor::<Self>(cx.key()).work())?;
        Ok(())
    }

    async fn work(&mut self) {
        sleep(Duration::from_secs(30)).await;
    }

    async fn ring(&mut self) {}

    async fn knock(&mut self) {}

    async fn put_down(&mut self) {}
}

/// Its turns commit.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Drawer {}

#[actor_methods(crate = "greenroom_core")]
impl Drawer {
    async fn call_itself(&mut self, cx: &Cx) -> Result<()> {
        Ok(cx.actor::<Self>(cx.key()).call_itself().await?)
    }
}

impl Node {
    /// What this method has answered, and how much of that is a failure.
    fn counted(&self, method: &str) -> (u64, u64) {
        let types = self.engine.types();
        let found = types[0].methods.iter().find(|found| found.name == method).unwrap();
        (found.calls, found.failed)
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_comes_to_its_turn_is_counted_whatever_way_it_was_asked_for() {
    let node = Arc::new(Node::new::<Desk>());
    let desk = node.actor::<Desk>("front");
    desk.set_alarm().await.unwrap();
    let mut working = Box::pin(desk.work().timeout(Duration::from_secs(60)));
    assert!(poll!(&mut working).is_pending());
    desk.knock().tell().unwrap();
    assert_eq!(node.counted("knock"), (0, 0), "it waits");
    let context = CallContext {
        id: CallId(1),
        deadline: Instant::now() + Duration::from_secs(1),
        chain: Chain::default(),
        request: Default::default(),
    };
    let from = "Desk/back".parse().unwrap();
    let reliable = Call {
        target: "Desk/front".parse().unwrap(),
        method: "put_down".into(),
        arguments: Payload { content_type: ContentType::Json, data: "{}".into() },
        context,
        delivery: Some(Arc::new(Delivery { from, lane: 0, epoch: Epoch(1), number: 1, again: false })),
    };
    let engine::Delivery::Here(answer) = node.engine.deliver(reliable) else { panic!("it is served here") };
    let answer = answer.await;
    assert!(matches!(answer, Err(CallError::Overloaded(_))), "{answer:?}");
    assert_eq!(node.counted("put_down"), (1, 1));
    sleep(Duration::from_millis(20)).await;
    assert_eq!(node.counted("ring"), (1, 1), "there is no room for a timer's turn either");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(node.counted("knock"), (1, 1), "its deadline has passed");
}

/// The inner call is refused, so the outer one fails: on the short way of each kind of method, and on the long one.
#[tokio::test]
async fn a_call_that_closes_a_cycle_is_counted() {
    let node = Node::new::<Desk>();
    let desk = node.actor::<Desk>("front");
    desk.call_itself().await.unwrap_err();
    desk.knock_at_itself().await.unwrap_err();
    let counted = ["call_itself", "knock_at_itself", "knock"].map(|method| node.counted(method));
    assert_eq!(counted, [(2, 2), (1, 1), (1, 1)]);
    let node = Node::new::<Drawer>();
    node.actor::<Drawer>("upper").call_itself().await.unwrap_err();
    assert_eq!(node.counted("call_itself"), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_takes_too_long_is_counted() {
    let node = Arc::new(Node::new::<Desk>());
    node.actor::<Desk>("front").tick_slowly().await.unwrap();
    sleep(Duration::from_secs(13)).await;
    assert_eq!(node.counted("work"), (1, 1));
}
