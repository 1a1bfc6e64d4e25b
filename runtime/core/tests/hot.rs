//! What the engine counts about calls: by method, and which actors are busy.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use greenroom_core::{AppError, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;

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
