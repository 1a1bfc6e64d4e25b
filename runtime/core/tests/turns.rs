//! The promises of a turn: exclusive or concurrent, all or nothing, once, and silent until it is durable.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use greenroom_core::{AppError, CallError, CallId, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::time::Instant;

/// How many turns of `alone` are between their beginning and their end.
static ALONE: AtomicUsize = AtomicUsize::new(0);
/// How many turns of `seen` there were.
static SEEN: AtomicUsize = AtomicUsize::new(0);
/// How many turns of `together` have begun.
static TOGETHER: AtomicUsize = AtomicUsize::new(0);

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", mailbox = 4, idle_timeout = "1s")]
struct Probe {
    values: Vec<u64>,
}

#[actor_methods(crate = "greenroom_core")]
impl Probe {
    async fn push(&mut self, value: u64) -> usize {
        self.values.push(value);
        self.values.len()
    }

    async fn values(&self) -> Vec<u64> {
        self.values.clone()
    }

    /// Yields in the middle and says whether another turn was inside at the same time.
    async fn alone(&mut self) -> bool {
        let before = ALONE.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        ALONE.fetch_sub(1, Ordering::SeqCst) == 1 && before == 0
    }

    async fn together(&self, others: usize) -> bool {
        TOGETHER.fetch_add(1, Ordering::SeqCst);
        while TOGETHER.load(Ordering::SeqCst) < others {
            tokio::task::yield_now().await;
        }
        true
    }

    async fn push_then_fail(&mut self, value: u64) -> Result<()> {
        self.values.push(value);
        tokio::task::yield_now().await;
        Err(AppError::new("no"))
    }

    async fn push_then_panic(&mut self, value: u64) {
        self.values.push(value);
        panic!("on purpose: {value}");
    }

    async fn push_then_hold(&mut self, value: u64) {
        self.values.push(value);
        std::future::pending().await
    }

    async fn push_then_sleep(&mut self, value: u64, seconds: u64) {
        self.values.push(value);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Calls the next actor of the ring; the last one calls the first.
    async fn ring(&mut self, cx: &Cx, next: Vec<String>) -> Result<()> {
        if let Some((key, rest)) = next.split_first() {
            cx.actor::<Probe>(key).ring(rest.to_vec()).await?;
        }
        Ok(())
    }

    async fn read_of(&self, cx: &Cx, key: String, back: String) -> Result<usize> {
        if key.is_empty() {
            return Ok(cx.actor::<Probe>(&back).values().await?.len());
        }
        Ok(cx.actor::<Probe>(&key).read_of(String::new(), back).await?)
    }

    async fn seen(&self) -> usize {
        SEEN.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// A chain of so many calls more, each to another actor.
    async fn descend(&self, cx: &Cx, calls: u64) -> Result<u64> {
        match calls {
            0 => Ok(0),
            _ => Ok(cx.actor::<Probe>(format!("step-{calls}")).descend(calls - 1).await? + 1),
        }
    }

    /// Takes so long without suspending. The task that it runs on.
    async fn spin(&self, time: Duration) -> String {
        let begun = Instant::now();
        while begun.elapsed() < time {}
        std::future::ready(()).await;
        tokio::task::id().to_string()
    }

    async fn look_at(&self, cx: &Cx, key: String) -> Result<usize> {
        Ok(cx.actor::<Probe>(&key).seen().await?)
    }

    async fn push_to(&mut self, cx: &Cx, key: String, value: u64) -> Result<usize> {
        Ok(cx.actor::<Probe>(&key).push(value).await?)
    }
}

fn node() -> Arc<Node> {
    let node = Arc::new(Node::new::<Probe>());
    node.sync_always();
    node
}

#[tokio::test]
async fn exclusive_turns_of_an_actor_never_overlap() {
    let node = node();
    let calls = (0..4).map(|_| node.actor::<Probe>("one").alone());
    assert!(join_all(calls).await.into_iter().all(|alone| alone.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_turns_of_an_actor_run_together() {
    let node = node();
    let calls = (0..4).map(|_| node.actor::<Probe>("many").together(4));
    assert!(join_all(calls).await.into_iter().all(|reached| reached.unwrap()));
}

#[tokio::test]
async fn a_failed_turn_leaves_nothing_behind() {
    let node = node();
    let probe = node.actor::<Probe>("failing");
    probe.push(1).await.unwrap();
    assert_eq!(probe.push_then_fail(2).await, Err(CallError::App(AppError::new("no"))));
    let panicked = probe.push_then_panic(3).await.unwrap_err();
    assert!(panicked.to_string().contains("Probe/failing.push_then_panic: on purpose: 3"), "{panicked}");
    assert_eq!(probe.values().await.unwrap(), [1]);
    assert_eq!(probe.push(4).await.unwrap(), 2);
    assert_eq!(node.disk.commits(), 2);
}

#[tokio::test]
async fn a_cancelled_turn_is_rolled_back_and_the_next_one_runs() {
    let node = node();
    let probe = node.actor::<Probe>("cancelled");
    let mut call = Box::pin(probe.push_then_hold(7));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    assert!(probe.values().await.unwrap().is_empty());
    assert_eq!(node.disk.commits(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_past_its_deadline_did_not_happen() {
    let node = Arc::new(Node::new::<Probe>());
    let probe = node.actor::<Probe>("slow");
    let outcome = probe.push_then_sleep(1, 60).timeout(Duration::from_secs(2)).await;
    assert_eq!(outcome, Err(CallError::Timeout { committed: Some(false) }));
    assert!(probe.values().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn i3_a_reply_waits_until_its_commit_is_durable() {
    let node = Arc::new(Node::new::<Probe>());
    let probe = node.actor::<Probe>("gated");
    let mut first = Box::pin(probe.push(1));
    assert!(poll!(&mut first).is_pending());
    // The next turn runs on the state that is not durable yet, and a reading one does too; both wait with it.
    let mut second = Box::pin(probe.push(2));
    let mut reading = Box::pin(probe.values());
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut reading).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.disk.commits(), 2);
    assert!(
        poll!(&mut first).is_pending() && poll!(&mut second).is_pending() && poll!(&mut reading).is_pending()
    );
    node.sync();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 2));
    assert_eq!(reading.await.unwrap(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn i3_errors_and_calls_in_the_middle_of_a_turn_wait_for_what_the_turn_saw() {
    let node = Arc::new(Node::new::<Probe>());
    let probe = node.actor::<Probe>("gated");
    let mut first = Box::pin(probe.push(1));
    let mut failing = Box::pin(probe.push_then_fail(2));
    let mut calling = Box::pin(probe.push_to("other".into(), 9));
    assert!(
        poll!(&mut first).is_pending()
            && poll!(&mut failing).is_pending()
            && poll!(&mut calling).is_pending()
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(poll!(&mut failing).is_pending());
    assert_eq!(node.disk.commits(), 1, "the call in the middle of the turn has left too early");
    node.sync_always();
    assert!(failing.await.is_err());
    assert_eq!(calling.await.unwrap(), 1);
}

/// The call goes to an actor that is in memory and idle: nothing but the gate keeps it from running at once.
#[tokio::test(start_paused = true)]
async fn i3_a_call_that_could_run_in_place_waits_for_what_its_turn_saw() {
    let node = Arc::new(Node::new::<Probe>());
    let (probe, other) = (node.actor::<Probe>("gated"), node.actor::<Probe>("other"));
    assert_eq!(other.seen().await, Ok(1));
    let mut first = Box::pin(probe.push(1));
    let mut looking = Box::pin(probe.look_at("other".into()));
    assert!(poll!(&mut first).is_pending() && poll!(&mut looking).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(SEEN.load(Ordering::SeqCst), 1, "the call has left before the commit that its turn saw");
    node.sync();
    assert_eq!(looking.await, Ok(2));
}

#[tokio::test]
async fn i4_a_repeated_call_gets_the_stored_reply_and_is_applied_once() {
    let node = node();
    let probe = node.actor::<Probe>("repeated");
    let id = CallId(42);
    assert_eq!(probe.push(5).call_id(id).await.unwrap(), 1);
    probe.push(6).await.unwrap();
    assert_eq!(probe.push(5).call_id(id).await.unwrap(), 1);
    assert_eq!(probe.values().await.unwrap(), [5, 6]);
    let other = probe.push(7).call_id(id).await.unwrap_err();
    assert!(matches!(&other, CallError::Invalid(why) if why.contains("was used before")), "{other}");
}

#[tokio::test]
async fn i4_call_ids_survive_a_restart_with_the_state() {
    let before = node();
    let id = CallId(43);
    before.actor::<Probe>("kept").push(5).call_id(id).await.unwrap();
    let after = Arc::new(Node::over::<Probe>(before.disk.clone()));
    after.sync_always();
    let probe = after.actor::<Probe>("kept");
    assert_eq!(probe.push(5).call_id(id).await.unwrap(), 1);
    assert_eq!(probe.values().await.unwrap(), [5]);
}

/// Its encoding cannot be decoded once `broken` is set.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Fragile {
    #[serde(with = "only_false")]
    broken: bool,
}

mod only_false {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        match bool::deserialize(deserializer)? {
            false => Ok(false),
            true => Err(D::Error::custom("broken")),
        }
    }
}

#[actor_methods(crate = "greenroom_core")]
impl Fragile {
    async fn break_it(&mut self) {
        self.broken = true;
    }

    async fn fail(&mut self) -> Result<()> {
        Err(AppError::new("no"))
    }

    async fn broken(&self) -> bool {
        self.broken
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_cannot_be_rolled_back_is_not_loaded_before_its_commits_are_durable() {
    let node = Arc::new(Node::new::<Fragile>());
    let fragile = node.actor::<Fragile>("x");
    let mut change = Box::pin(fragile.break_it());
    let mut failing = Box::pin(fragile.fail());
    let mut reading = Box::pin(fragile.broken());
    assert!(poll!(&mut change).is_pending() && poll!(&mut failing).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(poll!(&mut reading).is_pending(), "it was loaded without the commit that is under way");
    node.sync();
    assert_eq!((change.await, failing.await.unwrap_err().kind()), (Ok(()), "app"));
    let error = reading.await.unwrap_err().to_string();
    assert!(error.contains("does not fit its type"), "{error}");
}

#[tokio::test]
async fn a_turn_that_changes_nothing_writes_nothing() {
    let node = node();
    let probe = node.actor::<Probe>("unchanged");
    probe.ring(Vec::new()).await.unwrap();
    probe.values().await.unwrap();
    assert_eq!(node.disk.commits(), 0);
}

#[tokio::test]
async fn a_cycle_of_calls_fails_at_once_with_its_path() {
    let node = node();
    let error = node.actor::<Probe>("a").ring(vec!["b".into(), "c".into(), "a".into()]).await.unwrap_err();
    let CallError::App(error) = error else { panic!("{error}") };
    assert!(error.message.contains("Probe/a → Probe/b → Probe/c → Probe/a"), "{error}");
}

#[tokio::test]
async fn a_reading_turn_may_be_entered_again_by_its_own_chain_past_waiting_writers() {
    let node = node();
    let probe = node.actor::<Probe>("reader");
    probe.push(1).await.unwrap();
    let reading = probe.read_of("between".into(), "reader".into());
    let writing = probe.push(2);
    let (read, written) = tokio::join!(reading, writing);
    assert_eq!((read.unwrap(), written.unwrap()), (1, 2));
}

/// Each call that runs on its caller's stack makes it deeper, so only some may; a thousand would overflow it.
#[tokio::test]
async fn a_long_chain_of_calls_does_not_run_on_one_stack() {
    assert_eq!(node().actor::<Probe>("top").descend(1_000).await.unwrap(), 1_000);
}

#[tokio::test]
async fn turns_run_on_the_task_of_their_caller_until_they_have_been_long() {
    let node = node();
    let calls = async move {
        let (own, spinning) = (tokio::task::id().to_string(), node.actor::<Probe>("spinning"));
        spinning.values().await.unwrap();
        assert_eq!(spinning.spin(Duration::ZERO).await.unwrap(), own, "a short turn runs in place");
        let mut in_place = 0;
        while spinning.spin(Duration::from_millis(1)).await.unwrap() == own {
            in_place += 1;
            assert!(in_place < 100, "long turns keep their caller busy");
        }
    };
    tokio::spawn(calls).await.unwrap();
}

#[tokio::test]
async fn a_full_mailbox_is_a_named_error() {
    let node = node();
    let probe = node.actor::<Probe>("busy");
    let mut calls: Vec<_> = (0..6).map(|value| Box::pin(probe.push_then_hold(value))).collect();
    for call in &mut calls[..5] {
        assert!(poll!(call).is_pending());
    }
    tokio::task::yield_now().await;
    let error = calls.pop().unwrap().await.unwrap_err();
    assert_eq!(error, CallError::Overloaded(error_text()));
    drop(calls);
    // The tasks of the cancelled turns are dropped when they are next scheduled.
    while node.engine.stats().running > 0 {
        tokio::task::yield_now().await;
    }
    assert!(probe.values().await.unwrap().is_empty());
}

fn error_text() -> String {
    "4 calls are waiting for Probe/busy; call again later, or raise #[actor(mailbox = …)]".into()
}

#[tokio::test(start_paused = true)]
async fn an_idle_actor_leaves_memory_and_comes_back_with_its_state() {
    let node = Arc::new(Node::new::<Probe>());
    let probe = node.actor::<Probe>("idle");
    let mut push = Box::pin(probe.push(1));
    assert!(poll!(&mut push).is_pending());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(node.engine.stats().activations, 1, "its commit is not durable yet");
    node.sync();
    push.await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(node.engine.placement(&"Probe/idle".parse().unwrap()).is_none());
    assert_eq!(probe.values().await.unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_has_moved_away_says_nothing_more() {
    let node = Arc::new(Node::new::<Probe>());
    let probe = node.actor::<Probe>("moved");
    let mut push = Box::pin(probe.push(1));
    assert!(poll!(&mut push).is_pending());
    for shard in node.engine.shards().shards() {
        node.engine.step_down(shard);
    }
    assert_eq!(push.await.unwrap_err().kind(), "unavailable");
    assert_eq!(probe.values().await.unwrap_err().kind(), "unavailable");
    assert!(node.engine.placements(None, None, None, 10).placements.is_empty());
}

#[tokio::test(start_paused = true)]
async fn i5_a_shard_that_waits_or_moves_delays_no_call_to_another() {
    let node = Arc::new(Node::new::<Probe>());
    let shard = |key: &str| {
        let actor: greenroom_core::ActorId = format!("Probe/{key}").parse().unwrap();
        actor.shard(node.engine.shards())
    };
    let other = (0..).map(|i| format!("other-{i}")).find(|key| shard(key) != shard("stuck")).unwrap();
    let (stuck, moving) = (node.actor::<Probe>("stuck"), node.actor::<Probe>(&other));
    let mut waiting = Box::pin(stuck.push(1));
    let mut first = Box::pin(moving.push(1));
    assert!(poll!(&mut waiting).is_pending() && poll!(&mut first).is_pending());
    // The commit of one shard is in, the other one's is not: only the other one's output waits.
    node.sync_shard(shard(&other));
    assert_eq!(first.await.unwrap(), 1);
    assert!(poll!(&mut waiting).is_pending());
    // And while a shard moves away, the other one goes on.
    let mut second = Box::pin(moving.push(2));
    assert!(poll!(&mut second).is_pending());
    node.engine.step_down(shard("stuck"));
    assert_eq!(waiting.await.unwrap_err().kind(), "unavailable");
    node.sync_shard(shard(&other));
    assert_eq!(second.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_draining_engine_finishes_what_runs_and_takes_nothing_new() {
    let node = node();
    let (probe, idle) = (node.actor::<Probe>("draining"), node.actor::<Probe>("idle"));
    assert!(idle.values().await.unwrap().is_empty());
    let mut running = Box::pin(probe.push_then_sleep(1, 5));
    assert!(poll!(&mut running).is_pending());
    let engine = node.engine.clone();
    let drain = tokio::spawn(async move { engine.drain(Duration::from_secs(30)).await });
    tokio::task::yield_now().await;
    // One of them could run in place, the other one waits for its turn first.
    assert_eq!(idle.values().await.unwrap_err().kind(), "unavailable");
    assert_eq!(probe.values().await.unwrap_err().kind(), "unavailable");
    running.await.unwrap();
    assert_eq!(drain.await.unwrap(), 0);
}

#[tokio::test]
async fn every_method_can_be_called_with_json_by_name() {
    let node = node();
    assert_eq!(node.call_json("Probe/json", "push", r#"{"value":3}"#).await.unwrap(), "1");
    assert_eq!(node.call_json("Probe/json", "values", "").await.unwrap(), "[3]");
    for (target, method, arguments, kind, part) in [
        ("Nobody/x", "push", "{}", "not_found", "this node serves Probe"),
        ("Probe/x", "pull", "{}", "not_found", "it has alone"),
        ("Probe/x", "push", r#"{"value":"three"}"#, "invalid", "at `value`"),
        ("Probe/x", "push", "{}", "invalid", "missing field `value`"),
        ("Probe/x", "push", "{", "invalid", "Probe.push takes value"),
        ("Probe/x", "push_then_fail", r#"{"value":1}"#, "app", "no"),
    ] {
        let error = node.call_json(target, method, arguments).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn placements_come_in_pages_in_order() {
    let node = node();
    for key in ["d", "a", "c", "b"] {
        node.actor::<Probe>(key).values().await.unwrap();
    }
    let first = node.engine.placements(Some("Probe"), None, None, 3);
    let keys: Vec<_> = first.placements.iter().map(|placement| placement.actor.key.to_string()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    let second = node.engine.placements(None, Some(&first.placements[2].actor), Some(first.stamp), 3);
    assert_eq!((first.more, second.placements.len(), second.more), (true, 1, false));
    assert!(node.engine.placements(Some("Other"), None, None, 3).placements.is_empty());
}
