//! What follows from panics: going on, backing off, parking.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use greenroom_core::{CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", on_panic = "park", park_after = 2)]
struct Fuse {
    value: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Fuse {
    async fn add(&mut self) -> u32 {
        self.value += 1;
        self.value
    }

    async fn blow(&mut self) {
        self.value += 100;
        panic!("blown at {}", self.value);
    }

    async fn reach(&mut self, cx: &Cx, other: String) -> Result<()> {
        let other = cx.actor::<Fuse>(&other);
        cx.tell(other.add())?;
        cx.reliable(other.add())?;
        Ok(())
    }

    async fn value(&self) -> u32 {
        self.value
    }
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile, on_panic = "backoff")]
struct Flaky {
    value: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Flaky {
    async fn add(&mut self) -> u32 {
        self.value += 1;
        self.value
    }

    async fn blow(&mut self) {
        self.value += 100;
        panic!("blown");
    }
}

#[tokio::test]
async fn an_actor_is_parked_after_its_panics_until_it_is_deactivated() {
    let node = Arc::new(Node::new::<Fuse>());
    node.sync_always();
    let fuse = node.actor::<Fuse>("parked");
    assert_eq!(fuse.add().await.unwrap(), 1);
    assert_eq!(fuse.blow().await.unwrap_err().kind(), "panicked");
    // A turn that ends well ends the row.
    assert_eq!(fuse.add().await.unwrap(), 2);
    assert_eq!(fuse.blow().await.unwrap_err().kind(), "panicked");
    assert_eq!(fuse.blow().await.unwrap_err().kind(), "panicked");
    let refused = fuse.value().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "refused: Fuse/parked is parked after 2 panics in a row, the last: blown at 102; \
         `greenroom deactivate Fuse/parked` lets it take calls again"
    );
    // Others of its type are not.
    assert_eq!(node.actor::<Fuse>("other").add().await.unwrap(), 1);
    let actor = "Fuse/parked".parse().unwrap();
    assert!(node.engine.deactivate(&actor).await);
    assert_eq!(fuse.add().await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn messages_that_a_parked_actor_refuses_become_dead_letters() {
    let node = Arc::new(Node::new::<Fuse>());
    let disk = node.clone();
    tokio::spawn(async move {
        loop {
            disk.sync();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let fuse = node.actor::<Fuse>("parked");
    for _ in 0..2 {
        assert_eq!(fuse.blow().await.unwrap_err().kind(), "panicked");
    }
    node.actor::<Fuse>("sender").reach("parked".into()).await.unwrap();
    // The reliable one is tried again some times first.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (letters, _) = node.engine.list_dead_letters(9).await;
    let mut kinds: Vec<_> = letters.iter().map(|letter| (&*letter.kind, letter.durable)).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [("refused", false), ("refused", true)]);
    assert!(
        letters.iter().all(|letter| letter.error.contains("is parked after 2 panics in a row")),
        "{letters:?}"
    );
    // The one that is kept can be sent again once the actor takes calls.
    assert!(node.engine.deactivate(&"Fuse/parked".parse().unwrap()).await);
    let kept = letters.iter().find(|letter| letter.durable).unwrap();
    node.engine.resend_dead_letter(&kept.id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fuse.value().await, Ok(1));
}

#[tokio::test]
async fn who_waits_behind_the_last_panic_is_refused_too() {
    let node = Arc::new(Node::new::<Fuse>());
    node.sync_always();
    let fuse = node.actor::<Fuse>("waiting");
    let blows = join_all([fuse.blow(), fuse.blow(), fuse.blow(), fuse.blow()]).await;
    let kinds: Vec<_> = blows.iter().map(|blow| blow.as_ref().unwrap_err().kind()).collect();
    assert_eq!(kinds, ["panicked", "panicked", "refused", "refused"]);
}

#[tokio::test(start_paused = true)]
async fn an_actor_backs_off_for_longer_after_each_panic_in_a_row() {
    let node = Arc::new(Node::new::<Flaky>());
    node.sync_always();
    let flaky = node.actor::<Flaky>("f");
    assert_eq!(flaky.add().await.unwrap(), 1);
    for pause in [100, 200, 400] {
        flaky.blow().await.unwrap_err();
        let unavailable = flaky.add().await.unwrap_err();
        assert!(
            matches!(&unavailable, CallError::Unavailable(why) if why.contains("blown")),
            "{unavailable}"
        );
        tokio::time::sleep(Duration::from_millis(pause - 1)).await;
        assert_eq!(flaky.blow().await.unwrap_err().kind(), "unavailable");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(flaky.add().await.unwrap(), 2);
    // The row has ended.
    flaky.blow().await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(flaky.add().await.unwrap(), 3);
}
