//! The promises of a message that is told: after the commit or not at all, in order, and never dropped in silence.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use greenroom_core::{AppError, CallError, CallId, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", mailbox = 64)]
struct Person {
    heard: Vec<u64>,
    turns: u64,
}

#[actor_methods(crate = "greenroom_core")]
impl Person {
    async fn hear(&mut self, value: u64) {
        self.heard.push(value);
    }

    async fn heard(&self) -> Vec<u64> {
        self.heard.clone()
    }

    async fn heard_by(&self, cx: &Cx, other: String) -> Result<Vec<u64>> {
        Ok(cx.actor::<Person>(&other).heard().await?)
    }

    async fn refuse(&mut self, value: u64) -> Result<()> {
        self.heard.push(value);
        Err(AppError::new("I do not want to hear that"))
    }

    /// Tells another one these values.
    async fn tell_all(&mut self, cx: &Cx, to: String, values: Vec<u64>) -> Result<()> {
        self.turns += 1;
        for value in values {
            cx.tell(cx.actor::<Person>(&to).hear(value))?;
        }
        Ok(())
    }

    async fn tell_by_the_reference(&mut self, cx: &Cx, to: String, value: u64) -> Result<()> {
        self.turns += 1;
        cx.actor::<Person>(&to).hear(value).tell()?;
        Ok(())
    }

    async fn tell_while_reading(&self, cx: &Cx, to: String, value: u64) -> Result<()> {
        cx.tell(cx.actor::<Person>(&to).hear(value))?;
        Ok(())
    }

    async fn call(&mut self, cx: &Cx, to: String, value: u64) -> Result<()> {
        cx.actor::<Person>(&to).hear(value).await?;
        Ok(())
    }

    async fn tell_then_fail(&mut self, cx: &Cx, to: String, value: u64) -> Result<()> {
        cx.tell(cx.actor::<Person>(&to).hear(value))?;
        Err(AppError::new("no"))
    }

    async fn tell_then_panic(&mut self, cx: &Cx, to: String, value: u64) -> Result<()> {
        cx.tell(cx.actor::<Person>(&to).hear(value))?;
        panic!("on purpose");
    }

    async fn tell_nobody(&mut self, cx: &Cx) -> Result<()> {
        cx.tell(cx.actor::<Person>("").hear(1))?;
        Ok(())
    }

    /// Tells the other one to tell this one, and so on.
    async fn volley(&mut self, cx: &Cx, other: String, left: u64) -> Result<()> {
        self.turns += 1;
        if left > 0 {
            cx.tell(cx.actor::<Person>(&other).volley(cx.key().to_owned(), left - 1))?;
        }
        Ok(())
    }

    async fn turns(&self) -> u64 {
        self.turns
    }

    async fn hold(&mut self) {
        std::future::pending().await
    }
}

fn node() -> Arc<Node> {
    let node = Arc::new(Node::new::<Person>());
    node.sync_always();
    node
}

/// Reads until it is so: nobody says when a message has been taken.
async fn heard(node: &Node, key: &str, expected: impl IntoIterator<Item = u64>) {
    let expected: Vec<_> = expected.into_iter().collect();
    for _ in 0..2_000 {
        let now = node.actor::<Person>(key).heard().await.unwrap();
        if now == expected {
            return;
        }
        assert!(now.len() < expected.len(), "{now:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(node.actor::<Person>(key).heard().await.unwrap(), expected);
}

fn dead(node: &Node, kind: &str) -> u64 {
    let counts = node.engine.dead_letters().counts();
    counts.into_iter().find(|(name, _)| *name == kind).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn i3_a_message_leaves_when_its_turn_is_durable_and_not_before() {
    let node = Arc::new(Node::new::<Person>());
    let sender = node.actor::<Person>("sender");
    let mut turn = Box::pin(sender.tell_all("hearer".into(), vec![1]));
    assert!(poll!(&mut turn).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.engine.placement(&"Person/hearer".parse().unwrap()), None);
    node.sync_always();
    turn.await.unwrap();
    heard(&node, "hearer", [1]).await;
}

#[tokio::test(start_paused = true)]
async fn i3_what_a_reading_turn_tells_waits_for_the_commits_that_it_saw() {
    let node = Arc::new(Node::new::<Person>());
    let sender = node.actor::<Person>("sender");
    let mut changed = Box::pin(sender.hear(7));
    assert!(poll!(&mut changed).is_pending());
    let mut reading = Box::pin(sender.tell_while_reading("hearer".into(), 1));
    assert!(poll!(&mut reading).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.engine.placement(&"Person/hearer".parse().unwrap()), None);
    node.sync_always();
    reading.await.unwrap();
    heard(&node, "hearer", [1]).await;
}

#[tokio::test]
async fn what_a_failed_turn_has_told_does_not_leave() {
    let node = node();
    let sender = node.actor::<Person>("sender");
    assert!(sender.tell_then_fail("hearer".into(), 1).await.is_err());
    assert!(matches!(sender.tell_then_panic("hearer".into(), 2).await, Err(CallError::Panicked(_))));
    sender.tell_by_the_reference("hearer".into(), 3).await.unwrap();
    heard(&node, "hearer", [3]).await;
}

#[tokio::test]
async fn a_repeated_call_does_not_tell_again() {
    let node = node();
    let sender = node.actor::<Person>("sender");
    for _ in 0..3 {
        sender.tell_all("hearer".into(), vec![1, 2]).call_id(CallId(77)).await.unwrap();
    }
    sender.tell_all("hearer".into(), vec![3]).await.unwrap();
    heard(&node, "hearer", [1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_calls_of_one_actor_to_another_keep_their_order() {
    let node = node();
    let sender = node.actor::<Person>("sender");
    let turns: Vec<_> = (0..48u64)
        .map(|n| match n % 4 {
            3 => tokio::spawn(sender.call("hearer".into(), n * 2).into_future()),
            _ => tokio::spawn(sender.tell_all("hearer".into(), vec![n * 2, n * 2 + 1]).into_future()),
        })
        .collect();
    // The turns come in any order; what one of them says stays together and in the order of the turns.
    for turn in turns {
        turn.await.unwrap().unwrap();
    }
    let mut last = Vec::new();
    for _ in 0..2_000 {
        last = node.actor::<Person>("hearer").heard().await.unwrap();
        if last.len() == 84 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(last.len(), 84);
    for told in 0..48 {
        if told % 4 != 3 {
            let at = last.iter().position(|value| *value == told * 2).unwrap();
            assert_eq!(last[at + 1], told * 2 + 1, "{last:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_turn_does_not_overtake_what_an_earlier_one_told() {
    let node = node();
    let sender = node.actor::<Person>("sender");
    for n in 0..200 {
        sender.tell_all("hearer".into(), vec![3 * n, 3 * n + 1]).await.unwrap();
        sender.call("hearer".into(), 3 * n + 2).await.unwrap();
    }
    heard(&node, "hearer", 0..600).await;
}

/// The call could run at once when the commit is durable; the message has not left yet at that moment.
#[tokio::test(start_paused = true)]
async fn a_call_that_could_run_in_place_does_not_overtake_what_an_earlier_turn_told() {
    let node = Arc::new(Node::new::<Person>());
    let sender = node.actor::<Person>("sender");
    assert_eq!(node.actor::<Person>("hearer").heard().await, Ok(vec![]));
    let mut telling = Box::pin(sender.tell_all("hearer".into(), vec![1]));
    assert!(poll!(&mut telling).is_pending());
    node.sync();
    let mut asking = Box::pin(sender.heard_by("hearer".into()));
    assert!(poll!(&mut asking).is_pending());
    node.sync_always();
    assert_eq!(asking.await, Ok(vec![1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_tells_comes_in_order_and_before_what_it_then_calls() {
    let node = node();
    let hearer = node.actor::<Person>("hearer");
    for n in 0..50 {
        hearer.hear(n).tell().unwrap();
    }
    assert_eq!(hearer.heard().await.unwrap(), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_actors_that_tell_each_other_without_end_hold_up_nobody() {
    let node = node();
    node.actor::<Person>("one").volley("two".into(), 1_000).await.unwrap();
    for _ in 0..5_000 {
        let (one, two) = (node.actor::<Person>("one").turns(), node.actor::<Person>("two").turns());
        if one.await.unwrap() + two.await.unwrap() == 1_001 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the volley was lost");
}

#[tokio::test]
async fn an_actor_can_tell_itself() {
    let node = node();
    node.actor::<Person>("echo").tell_all("echo".into(), vec![1, 2]).await.unwrap();
    heard(&node, "echo", [1, 2]).await;
}

#[tokio::test]
async fn a_message_that_nobody_takes_is_counted_and_listed() {
    let node = node();
    let hearer = node.actor::<Person>("hearer");
    hearer.refuse(1).tell().unwrap();
    heard(&node, "hearer", []).await;
    assert_eq!(dead(&node, "app"), 1);
    let letters = node.engine.dead_letters().in_memory();
    assert_eq!((letters.len(), letters[0].target.to_string()), (1, "Person/hearer".into()));
    assert_eq!((&*letters[0].method, &*letters[0].kind), ("refuse", "app"));
    assert!(letters[0].error.contains("I do not want to hear that"), "{}", letters[0].error);
    let nobody = node.actor::<Person>("sender").tell_nobody().await.unwrap_err();
    assert!(nobody.to_string().contains("is empty"), "{nobody}");
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_makes_dead_letters_and_so_does_a_deadline() {
    let node = node();
    let hearer = node.actor::<Person>("hearer");
    let mut holding = Box::pin(hearer.hold().timeout(Duration::from_secs(60)));
    assert!(poll!(&mut holding).is_pending());
    for n in 0..65 {
        hearer.hear(n).tell().unwrap();
    }
    assert_eq!((dead(&node, "overloaded"), dead(&node, "timeout")), (1, 0));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!((dead(&node, "overloaded"), dead(&node, "timeout")), (1, 64));
}
