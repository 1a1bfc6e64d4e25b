//! Deadlocks of calls that do not come from one another, on one node: found soon, and only if they are some.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use greenroom_core::{CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::time::{Instant, sleep, timeout};

/// What its methods are told to do, they do after a pause, in which others begin.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Hand {
    taken: u32,
}

const PAUSE: Duration = Duration::from_millis(100);

#[actor_methods(crate = "greenroom_core")]
impl Hand {
    async fn take(&mut self) -> u32 {
        self.taken += 1;
        self.taken
    }

    async fn look(&self) -> u32 {
        self.taken
    }

    async fn sleep(&mut self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// Holds this one, and takes the other one.
    async fn take_of(&mut self, cx: &Cx, other: String) -> Result<u32> {
        sleep(PAUSE).await;
        Ok(cx.actor::<Hand>(&other).take().await?)
    }

    /// Reads this one, and takes the other one.
    async fn look_and_take(&self, cx: &Cx, other: String) -> Result<u32> {
        sleep(PAUSE).await;
        Ok(cx.actor::<Hand>(&other).take().await?)
    }

    /// Takes several at once.
    async fn take_all(&mut self, cx: &Cx, others: Vec<String>) -> Result<u32> {
        sleep(PAUSE).await;
        let taken = join_all(others.iter().map(|other| cx.actor::<Hand>(other).take())).await;
        Ok(taken.into_iter().sum::<Result<u32, CallError>>()?)
    }

    /// Waits for the other one only for a while.
    async fn try_to_take(&mut self, cx: &Cx, other: String) -> bool {
        sleep(PAUSE).await;
        timeout(Duration::from_millis(5), cx.actor::<Hand>(&other).take()).await.is_ok()
    }

    /// Leaves a call behind that nobody waits for, and ends.
    async fn leave_behind(&mut self, cx: &Cx, other: String) {
        let cx = cx.clone();
        tokio::spawn(async move {
            sleep(PAUSE).await;
            cx.actor::<Hand>(&other).take().await
        });
    }
}

fn node() -> Arc<Node> {
    Arc::new(Node::new::<Hand>())
}

/// The outcomes of calls of which exactly one is told of a cycle of these actors, in any rotation; soon.
fn one_failed(outcomes: &[Result<u32, CallError>], cycle: &[&str], begun: Instant) {
    assert!(begun.elapsed() < PAUSE + Duration::from_millis(100), "after {:?}", begun.elapsed());
    let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    let [CallError::App(error)] = failed[..] else { panic!("{outcomes:?}") };
    let path = error.message.strip_prefix("deadlock: ").unwrap().split(';').next().unwrap();
    let path: Vec<_> = path.split(" → ").map(|actor| actor.trim_start_matches("Hand/")).collect();
    assert_eq!(path.first(), path.last());
    let mut keys = path[1..].to_vec();
    let begin = keys.iter().position(|key| *key == cycle[0]).unwrap();
    keys.rotate_left(begin);
    assert_eq!(keys, cycle);
}

#[tokio::test(start_paused = true)]
async fn two_actors_that_call_each_other() {
    for _ in 0..20 {
        let (node, begun) = (node(), Instant::now());
        let (a, b) = (node.actor::<Hand>("a"), node.actor::<Hand>("b"));
        let (first, second) = join(a.take_of("b".into()), b.take_of("a".into())).await;
        one_failed(&[first, second], &["a", "b"], begun);
        assert_eq!(a.look().await.unwrap() + b.look().await.unwrap(), 1, "the other one went on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cycle_through_a_reader_and_a_waiting_writer() {
    let (node, begun) = (node(), Instant::now());
    let (a, b) = (node.actor::<Hand>("a"), node.actor::<Hand>("b"));
    let (first, second) = join(a.look_and_take("b".into()), b.take_of("a".into())).await;
    one_failed(&[first, second], &["a", "b"], begun);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_waits_for_several_calls_waits_for_each() {
    let (node, begun) = (node(), Instant::now());
    let (a, b, c) = (node.actor::<Hand>("a"), node.actor::<Hand>("b"), node.actor::<Hand>("c"));
    let first = a.take_all(vec!["free".into(), "b".into(), "c".into()]);
    let second = b.take_of("c".into());
    let third = c.take_of("a".into());
    let (first, (second, third)) = join(first, join(second, third)).await;
    let failed = [&first, &second, &third].into_iter().filter(|outcome| outcome.is_err()).count();
    assert!(failed >= 1 && begun.elapsed() < 3 * PAUSE, "{first:?} {second:?} {third:?}");
    for outcome in [first, second, third] {
        if let Err(error) = outcome {
            assert!(error.to_string().starts_with("deadlock: "), "{error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_long_is_no_deadlock() {
    let node = node();
    let (a, b, c) = (node.actor::<Hand>("a"), node.actor::<Hand>("b"), node.actor::<Hand>("c"));
    // a and b wait for c, and c sleeps: a tree of waits, with a call to a that waits for all of it.
    let waits = [a.take_of("b".into()), b.take_of("c".into())];
    let outcomes = join(c.sleep(8), join_all(waits)).await;
    assert_eq!(outcomes, (Ok(()), vec![Ok(1), Ok(1)]));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_by_itself_in_time_is_in_no_deadlock() {
    let node = node();
    let (a, b) = (node.actor::<Hand>("a"), node.actor::<Hand>("b"));
    let (gave_up, taken) = join(a.try_to_take("b".into()), b.take_of("a".into())).await;
    assert_eq!((gave_up, taken), (Ok(false), Ok(1)));
}

/// a has ended and is held by another turn: the call that it has left behind keeps nobody waiting.
#[tokio::test(start_paused = true)]
async fn a_call_that_a_turn_has_left_behind_is_no_wait_of_its_actor() {
    let node = node();
    let (a, b) = (node.actor::<Hand>("a"), node.actor::<Hand>("b"));
    a.leave_behind("b".into()).await.unwrap();
    let (slept, taken) = join(a.sleep(2), b.take_of("a".into())).await;
    assert_eq!((slept, taken), (Ok(()), Ok(1)));
    sleep(PAUSE).await;
    assert_eq!(b.look().await, Ok(1), "what was left behind has come, too");
}
