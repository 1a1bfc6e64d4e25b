//! What a turn may count on when it calls: side by side, with the same ids if it runs again, not beyond its own deadline;
//! what a caller is told whose patience ends; and the limits that a call meets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use futures_util::poll;
use greenroom_core::engine::MAX_STATE_BYTES;
use greenroom_core::journal::REPLIES_MAX_BYTES;
use greenroom_core::{CallError, CallId, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::sync::Barrier;
use tokio::time::Instant;

/// How many turns of `work_until` are inside.
static WORKING: AtomicUsize = AtomicUsize::new(0);

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Shop {
    sold: u64,
    notes: String,
}

#[actor_methods(crate = "greenroom_core")]
impl Shop {
    fn sell(&mut self, count: u64) -> u64 {
        self.sold += count;
        self.sold
    }

    /// Sells one, and tells it at length.
    fn sell_and_tell(&mut self, bytes: usize) -> (u64, String) {
        self.sold += 1;
        (self.sold, ".".repeat(bytes))
    }

    async fn sell_with_a_break(&mut self, count: u64) -> u64 {
        tokio::task::yield_now().await;
        self.sell(count)
    }

    fn sold(&self) -> u64 {
        self.sold
    }

    /// Sells one thing in one shop and two in another, in this order or the other way round, and three itself.
    async fn sell_in_both(&mut self, cx: &Cx, second_first: bool) -> Result<[u64; 2]> {
        let (one, two) = (cx.actor::<Shop>("one").sell(1), cx.actor::<Shop>("two").sell(2));
        self.sold += 3;
        if second_first {
            let two = two.await?;
            return Ok([one.await?, two]);
        }
        Ok([one.await?, two.await?])
    }

    /// Waits until three shops do this.
    async fn meet(&mut self) {
        static DOOR: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(3));
        DOOR.wait().await;
    }

    async fn let_three_meet(&self, cx: &Cx) -> Result<()> {
        try_join_all(["a", "b", "c"].map(|key| cx.actor::<Shop>(key).meet())).await?;
        Ok(())
    }

    /// Works without suspending until so many turns do, no longer than this. Whether they did, and the task it was.
    async fn work_until(&self, workers: usize, patience: Duration) -> (bool, String) {
        let begun = Instant::now();
        WORKING.fetch_add(1, Ordering::SeqCst);
        while WORKING.load(Ordering::SeqCst) < workers && begun.elapsed() < patience {}
        std::future::ready(()).await;
        (WORKING.load(Ordering::SeqCst) >= workers, tokio::task::id().to_string())
    }

    /// A turn that is too long to be run on its caller's task.
    async fn sell_after_work(&mut self, work: Duration) -> u64 {
        let begun = Instant::now();
        while begun.elapsed() < work {}
        std::future::ready(()).await;
        self.sell(1)
    }

    fn time_left(&self, cx: &Cx) -> Duration {
        cx.deadline() - Instant::now()
    }

    async fn time_left_of_another(&self, cx: &Cx, patience: Option<Duration>) -> Result<Duration> {
        let other = cx.actor::<Shop>("other").time_left();
        Ok(match patience {
            Some(patience) => other.timeout(patience).await?,
            None => other.await?,
        })
    }

    fn note(&mut self, bytes: usize) {
        self.notes = "x".repeat(bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_turn_makes_together_run_together() {
    let node = Node::new::<Shop>();
    assert_eq!(node.actor::<Shop>("host").let_three_meet().await, Ok(()));
}

/// Alone in place, one would work until its patience ends, and the next only then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_made_together_use_all_threads_once_their_turns_have_been_long() {
    let node = Arc::new(Node::new::<Shop>());
    let calls = tokio::spawn(async move {
        let (own, long) = (tokio::task::id().to_string(), Duration::from_millis(1));
        while node.actor::<Shop>("a").work_until(usize::MAX, long).await.unwrap().1 == own {}
        let both = WORKING.load(Ordering::SeqCst) + 2;
        let work = |key| node.actor::<Shop>(key).work_until(both, Duration::from_secs(5));
        join_all([work("a"), work("b")]).await
    });
    assert!(calls.await.unwrap().into_iter().all(|worked| worked.unwrap().0));
}

/// Long turns have tasks of their own, and threads take those in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_caller_are_taken_in_their_order_also_when_their_turns_are_long() {
    let node = Arc::new(Node::new::<Shop>());
    node.sync_always();
    let calls = tokio::spawn(async move {
        let work = || node.actor::<Shop>("in order").sell_after_work(Duration::from_micros(100));
        join_all((0..400).map(|_| work())).await
    });
    assert!(calls.await.unwrap().into_iter().map(|sold| sold.unwrap()).eq(1..=400));
}

/// The crash takes the record of the turn, and none of those that it has called.
#[tokio::test]
async fn i4_a_turn_that_runs_again_makes_its_calls_with_the_same_ids_whatever_is_polled_first() {
    let before = Arc::new(Node::new::<Shop>());
    before.sync_always();
    let id = CallId(7);
    let sold = before.actor::<Shop>("both").sell_in_both(false).call_id(id).await;
    assert_eq!(sold, Ok([1, 2]));
    let after = Arc::new(Node::over::<Shop>(before.disk.after_crash(before.disk.len() - 1)));
    after.sync_always();
    let both = after.actor::<Shop>("both");
    assert_eq!(both.sold().await, Ok(0), "the crash has not taken the turn");
    assert_eq!(both.sell_in_both(true).call_id(id).await, Ok([1, 2]));
    let sold = join_all(["one", "two", "both"].map(|key| after.actor::<Shop>(key).sold())).await;
    assert_eq!(sold, [Ok(1), Ok(2), Ok(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_in_a_turn_ends_with_the_turn_at_the_latest() {
    let node = Node::new::<Shop>();
    let seconds = Duration::from_secs;
    for (patience, left) in [(None, 4), (Some(seconds(3)), 3), (Some(seconds(60)), 4)] {
        let call = node.actor::<Shop>("asking").time_left_of_another(patience).timeout(seconds(4));
        assert_eq!(call.await, Ok(seconds(left)), "{patience:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_behind_the_turn_admits_not_to_know_and_the_repeated_call_learns_it() {
    let node = Arc::new(Node::new::<Shop>());
    let (shop, soon) = (node.actor::<Shop>("slow disk"), Duration::from_secs(1));
    let at_once = shop.sell(1).call_id(CallId(1)).timeout(soon).await;
    let with_a_break = shop.sell_with_a_break(2).call_id(CallId(2)).timeout(soon).await;
    assert_eq!([at_once, with_a_break], [const { Err(CallError::Timeout { committed: None }) }; 2]);
    node.sync();
    assert_eq!(shop.sell(1).call_id(CallId(1)).await, Ok(1));
    assert_eq!(shop.sell_with_a_break(2).call_id(CallId(2)).await, Ok(3));
    assert_eq!(shop.sold().await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn i4_a_call_whose_stored_reply_had_to_make_room_is_not_applied_again() {
    let node = Arc::new(Node::new::<Shop>());
    node.sync_always();
    let shop = node.actor::<Shop>("large");
    let sell = |id| shop.sell_and_tell(REPLIES_MAX_BYTES * 2 / 3).call_id(CallId(id));
    assert_eq!(sell(1).await.unwrap().0, 1);
    assert_eq!(sell(1).await.unwrap().0, 1, "the stored reply");
    assert_eq!(sell(2).await.unwrap().0, 2);
    assert_eq!(sell(1).await.unwrap_err(), CallError::Timeout { committed: Some(true) });
    assert_eq!((sell(2).await.unwrap().0, sell(3).await.unwrap().0), (2, 3));
}

#[tokio::test]
async fn a_turn_that_the_full_log_does_not_take_is_overloaded_and_leaves_nothing() {
    let node = Arc::new(Node::new::<Shop>());
    node.sync_always();
    let shop = node.actor::<Shop>("full");
    assert_eq!(shop.sell(1).await, Ok(1));
    node.disk.set_full(true);
    assert_eq!(shop.sell(1).await.unwrap_err().kind(), "overloaded");
    assert_eq!(shop.sell_with_a_break(1).await.unwrap_err().kind(), "overloaded");
    node.disk.set_full(false);
    assert_eq!((shop.sold().await, shop.sell(1).await), (Ok(1), Ok(2)));
}

#[tokio::test]
async fn a_state_above_the_limit_is_a_named_error_and_the_one_before_it_stays() {
    let node = Arc::new(Node::new::<Shop>());
    node.sync_always();
    let shop = node.actor::<Shop>("large");
    assert_eq!(shop.sell(1).await, Ok(1));
    let error = shop.note(MAX_STATE_BYTES).await.unwrap_err();
    assert_eq!(error.kind(), "invalid");
    assert!(error.to_string().contains("at most 16777216 are allowed"), "{error}");
    let mut more = Box::pin(shop.sell(1));
    assert!(poll!(&mut more).is_pending() && node.disk.last_state().len() < 100);
    assert_eq!(more.await, Ok(2));
}
