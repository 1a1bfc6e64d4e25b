//! Calls of methods that cannot wait, in the mailbox of an actor that is busy: in order, once, and never lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use greenroom_core::call::DEFAULT_DEADLINE;
use greenroom_core::{AppError, CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize, Serializer};
use support::Node;
use tokio::time::Instant;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile, mailbox = 20_000)]
struct Desk {
    served: u64,
}

#[actor_methods(crate = "greenroom_core")]
impl Desk {
    async fn busy(&mut self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn serve(&mut self) -> u64 {
        self.served += 1;
        self.served
    }

    async fn served(&self) -> u64 {
        self.served
    }

    /// How many milliseconds the caller still waits.
    fn patience(&mut self, cx: &Cx) -> u64 {
        (cx.deadline() - Instant::now()).as_millis() as u64
    }

    fn spoil(&mut self, panics: bool) -> Result<()> {
        self.served = 1_000_000;
        assert!(!panics, "on purpose");
        Err(AppError::new("no"))
    }
}

/// A stored state, which does not say how it is.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Ledger {
    entries: u64,
}

#[actor_methods(crate = "greenroom_core")]
impl Ledger {
    async fn enter_slowly(&mut self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.entries += 1;
    }

    fn entries(&self) -> u64 {
        self.entries
    }
}

/// A state that cannot be written while it is 13.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Brittle {
    #[serde(serialize_with = "unless_thirteen")]
    number: u64,
}

fn unless_thirteen<S: Serializer>(number: &u64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    assert_ne!(*number, 13, "on purpose");
    serializer.serialize_u64(*number)
}

#[actor_methods(crate = "greenroom_core")]
impl Brittle {
    async fn busy(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    async fn set_later(&mut self, number: u64) -> u64 {
        tokio::task::yield_now().await;
        std::mem::replace(&mut self.number, number)
    }

    fn set(&mut self, number: u64) -> u64 {
        std::mem::replace(&mut self.number, number)
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// A node whose actor is busy for a second.
async fn busy(key: &str) -> (Arc<Node>, tokio::task::JoinHandle<()>) {
    let node = Arc::new(Node::new::<Desk>());
    let mut call = Box::pin(node.actor::<Desk>(key).busy(1));
    assert!(poll!(call.as_mut()).is_pending());
    (node, tokio::spawn(async move { drop(call.await) }))
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_are_answered_in_their_order_however_many() {
    let (node, _busy) = busy("many").await;
    let calls = (0..10_000).map(|_| node.actor::<Desk>("many").serve());
    let answers = join_all(calls).await;
    assert!(answers.into_iter().map(|answer| answer.unwrap()).eq(1..=10_000));
}

#[tokio::test(start_paused = true)]
async fn turns_that_wait_and_turns_that_do_not_keep_one_order() {
    let (node, _busy) = busy("mixed").await;
    let desk = node.actor::<Desk>("mixed");
    let (first, again, second, third) = (desk.serve(), desk.busy(1), desk.serve(), desk.served());
    let (first, _, second, third) = tokio::join!(first, again, second, third);
    assert_eq!((first.unwrap(), second.unwrap(), third.unwrap()), (1, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_late_has_not_happened() {
    let (node, busy) = busy("dropped").await;
    let desk = node.actor::<Desk>("dropped");
    let mut dropped = Box::pin(desk.serve());
    assert!(poll!(dropped.as_mut()).is_pending());
    let mut late = Box::pin(desk.serve().timeout(Duration::from_millis(10)));
    assert!(poll!(late.as_mut()).is_pending());
    let mut last = Box::pin(desk.serve());
    assert!(poll!(last.as_mut()).is_pending());
    drop(dropped);
    assert!(matches!(late.await, Err(CallError::Timeout { committed: Some(false) })));
    assert_eq!(last.await.unwrap(), 1);
    busy.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_call_waits_until_its_own_deadline() {
    let (node, busy) = busy("deadlines").await;
    let desk = node.actor::<Desk>("deadlines");
    let begun = Instant::now();
    let waits = [300, 100, 2_000, 200, 100].map(|patience| {
        let call = desk.serve().timeout(Duration::from_millis(patience));
        async move { (call.await, begun.elapsed().as_millis() / 10 * 10) }
    });
    let late = Err(CallError::Timeout { committed: Some(false) });
    let answers = join_all(waits).await;
    let expected =
        [(late.clone(), 300), (late.clone(), 100), (Ok(1), 1_000), (late.clone(), 200), (late, 100)];
    assert_eq!(answers, expected);
    busy.await.unwrap();
    // Long after the last deadline nobody looks any more; who waits then is seen again.
    tokio::time::sleep(Duration::from_secs(100)).await;
    let mut again = Box::pin(desk.busy(1));
    assert!(poll!(again.as_mut()).is_pending());
    let answer = desk.serve().timeout(Duration::from_millis(100)).await;
    assert_eq!(answer, Err(CallError::Timeout { committed: Some(false) }));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_waits_for_the_disk_is_waited_for_until_the_deadline() {
    let node = Node::new::<Ledger>();
    let ledger = node.actor::<Ledger>("a");
    let mut slow = Box::pin(ledger.enter_slowly());
    assert!(poll!(slow.as_mut()).is_pending());
    let mut patient = Box::pin(ledger.entries());
    let mut late = Box::pin(ledger.entries().timeout(Duration::from_secs(5)));
    assert!(poll!(patient.as_mut()).is_pending() && poll!(late.as_mut()).is_pending());
    assert_eq!(late.await, Err(CallError::Timeout { committed: Some(false) }));
    assert!(poll!(patient.as_mut()).is_pending(), "it has seen what is not durable yet");
    node.sync();
    assert_eq!((slow.await, patient.await), (Ok(()), Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_panics_when_it_is_written_is_its_callers_trouble() {
    let node = Node::new::<Brittle>();
    let brittle = node.actor::<Brittle>("a");
    let busy = brittle.busy();
    let answers = tokio::join!(busy, brittle.set(13), brittle.set(1), brittle.number());
    assert_eq!((answers.0, answers.1, answers.3), (Ok(()), Ok(0), Ok(13)));
    assert!(matches!(answers.2, Err(CallError::Panicked(_))));
    assert!(matches!(brittle.set(1).await, Err(CallError::Panicked(_))), "also where nobody has the actor");
    assert!(matches!(brittle.set_later(1).await, Err(CallError::Panicked(_))), "also on a task of its own");
    assert_eq!(brittle.number().await, Ok(13));
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_is_undone_and_the_next_goes_on() {
    let (node, _busy) = busy("spoilt").await;
    let desk = node.actor::<Desk>("spoilt");
    let calls = tokio::join!(desk.serve(), desk.spoil(true), desk.spoil(false), desk.serve());
    assert_eq!((calls.0.unwrap(), calls.3.unwrap()), (1, 2));
    assert!(matches!(calls.1, Err(CallError::Panicked(_))));
    assert!(matches!(calls.2, Err(CallError::App(_))));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_actor_leaves_keeps_the_deadline_that_it_came_with() {
    let (node, _busy) = busy("leaving").await;
    let begun = Instant::now();
    let mut call = Box::pin(node.actor::<Desk>("leaving").patience());
    assert!(poll!(call.as_mut()).is_pending());
    tokio::time::sleep(Duration::from_millis(600)).await;
    node.move_all();
    let patience = Duration::from_millis(call.await.unwrap());
    assert_eq!(begun.elapsed() + patience, DEFAULT_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn calls_go_where_the_shard_goes() {
    let (node, _busy) = busy("moved").await;
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(node.actor::<Desk>("moved").serve())).collect();
    for call in &mut calls {
        assert!(poll!(call.as_mut()).is_pending());
    }
    node.move_all();
    for (answer, expected) in join_all(calls).await.into_iter().zip(1..) {
        assert_eq!(answer.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_says_so() {
    let (node, _busy) = busy("full").await;
    let mut calls: Vec<_> = (0..20_000).map(|_| Box::pin(node.actor::<Desk>("full").serve())).collect();
    for call in &mut calls {
        assert!(poll!(call.as_mut()).is_pending());
    }
    let answer = node.actor::<Desk>("full").serve().await;
    assert!(matches!(answer, Err(CallError::Overloaded(_))));
}

#[tokio::test(start_paused = true)]
async fn a_draining_node_turns_away_who_waits() {
    let (node, busy) = busy("drained").await;
    let mut call = Box::pin(node.actor::<Desk>("drained").serve());
    assert!(poll!(call.as_mut()).is_pending());
    assert_eq!(node.engine.drain(Duration::from_secs(5)).await, 0);
    busy.await.unwrap();
    assert!(matches!(call.await, Err(CallError::Unavailable(_))));
}

#[tokio::test]
async fn a_hot_actor_is_among_the_busy_ones() {
    let (node, _busy) = busy("hot").await;
    let calls = (0..10_000).map(|_| node.actor::<Desk>("hot").serve());
    join_all(calls).await;
    assert!(node.engine.hot_actors(1).iter().any(|hot| &*hot.actor.key == "hot"));
}
