//! Stateless types: any worker, so many at a time, and nothing else of an actor.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use greenroom_core::{AppError, CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::sync::Semaphore;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static GO: Semaphore = Semaphore::const_new(0);

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", stateless, workers = 3, mailbox = 2, idle_timeout = "1s")]
struct Resizer {
    calls: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Resizer {
    /// Waits until the test lets it go on.
    async fn work(&mut self, cx: &Cx) -> String {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        GO.acquire().await.unwrap().forget();
        NOW.fetch_sub(1, Ordering::SeqCst);
        cx.actor_id().to_string()
    }

    /// A reading method has a worker for itself, too.
    async fn read(&self) -> u32 {
        self.calls
    }

    async fn count(&mut self) -> u32 {
        self.calls += 1;
        self.calls
    }

    async fn depth(&self, cx: &Cx, left: u32) -> Result<u32> {
        if left == 0 { Ok(0) } else { Ok(1 + cx.actor::<Resizer>(cx.key()).depth(left - 1).await?) }
    }

    async fn fail(&mut self) -> Result<()> {
        self.calls = 100;
        Err(AppError::new("no"))
    }
}

#[tokio::test]
async fn so_many_calls_run_at_a_time_as_there_are_workers() {
    let node = Arc::new(Node::new::<Resizer>());
    let pool = node.actor::<Resizer>("images");
    let mut calls: Vec<_> = (0..9).map(|_| Box::pin(pool.work())).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 3);
    // Three work, two wait for each of them.
    let over = pool.read().await.unwrap_err();
    assert!(matches!(&over, CallError::Overloaded(why) if why.contains("Resizer/images")), "{over}");
    // Another key is another pool.
    assert_eq!(node.actor::<Resizer>("other").count().await.unwrap(), 1);
    GO.add_permits(9);
    for reply in join_all(calls).await {
        assert_eq!(reply.unwrap(), "Resizer/images");
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 3);
    assert_eq!(node.disk.commits(), 0);
    assert!(node.engine.placement(&"Resizer/images".parse().unwrap()).is_none());
}

#[tokio::test]
async fn no_shard_is_needed() {
    let node = Arc::new(Node::new::<Resizer>());
    for shard in node.engine.shards().shards() {
        node.engine.step_down(shard);
    }
    assert_eq!(node.actor::<Resizer>("anywhere").count().await.unwrap(), 1);
    assert_eq!(node.call_json("Resizer/anywhere", "count", "{}").await.unwrap(), "2");
}

#[tokio::test]
async fn a_worker_may_call_its_own_pool() {
    let node = Arc::new(Node::new::<Resizer>());
    assert_eq!(node.actor::<Resizer>("deep").depth(2).await.unwrap(), 2);
}

#[tokio::test]
async fn a_failed_call_leaves_its_worker_as_it_was() {
    let node = Arc::new(Node::new::<Resizer>());
    let pool = node.actor::<Resizer>("failed");
    pool.count().await.unwrap();
    pool.fail().await.unwrap_err();
    assert_eq!(pool.read().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn workers_that_nobody_needs_are_dropped() {
    let node = Arc::new(Node::new::<Resizer>());
    let pool = node.actor::<Resizer>("idle");
    pool.count().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pool.count().await.unwrap(), 2);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(pool.count().await.unwrap(), 1);
}
