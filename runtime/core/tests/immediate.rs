//! Methods that cannot wait: their whole turn runs on the caller's stack, and is a transaction all the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use futures_util::FutureExt;
use greenroom_core::actor::Actor as _;
use greenroom_core::{AppError, CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, Serializer};
use support::Node;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Till {
    #[serde(serialize_with = "unless_odd")]
    coins: u64,
}

/// One of another node.
static OTHER: Mutex<Option<TillRef>> = Mutex::new(None);

/// A state that cannot always be written.
fn unless_odd<S: Serializer>(coins: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    match coins % 2 {
        0 => serializer.serialize_u64(*coins),
        _ => Err(serde::ser::Error::custom("an odd number of coins")),
    }
}

#[actor_methods(crate = "greenroom_core")]
impl Till {
    fn put(&mut self, coins: u64) -> u64 {
        self.coins += coins;
        self.coins
    }

    async fn spill(&mut self, panics: bool) -> Result<()> {
        self.coins = 0;
        assert!(!panics, "on purpose");
        Err(AppError::new("no"))
    }

    fn coins(&self) -> u64 {
        self.coins
    }

    /// Asks the one in [`OTHER`], as a program would.
    fn coins_of_other(&self) -> Option<u64> {
        let other = OTHER.lock().clone()?;
        other.coins().now_or_never()?.ok()
    }

    /// Tells another one, and fails if it is asked to.
    async fn pass_on(&mut self, cx: &Cx, to: String, fails: bool) -> Result<()> {
        cx.tell(cx.actor::<Till>(to).put(self.coins))?;
        if fails { Err(AppError::new("no")) } else { Ok(()) }
    }
}

/// A state that is copied before a turn.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Purse {
    coins: u64,
    owner: (u32, Option<char>),
}

#[actor_methods(crate = "greenroom_core")]
impl Purse {
    fn put(&mut self, coins: u64) -> u64 {
        self.coins += coins;
        self.coins
    }

    fn spill(&mut self, panics: bool) -> Result<()> {
        *self = Self { coins: 0, owner: (9, None) };
        assert!(!panics, "on purpose");
        Err(AppError::new("no"))
    }

    fn sell(&mut self, owner: u32) -> (u32, Option<char>) {
        self.owner = (owner, Some('x'));
        self.owner
    }

    fn owner(&self) -> (u32, Option<char>) {
        self.owner
    }
}

/// A state that cannot be copied.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Sign {
    text: String,
}

#[actor_methods(crate = "greenroom_core")]
impl Sign {
    fn write(&mut self, text: String, fails: bool) -> Result<()> {
        self.text.push_str(&text);
        if fails { Err(AppError::new("no")) } else { Ok(()) }
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile, no_rollback)]
struct Loose {
    changed: bool,
}

#[actor_methods(crate = "greenroom_core")]
impl Loose {
    fn change_and_fail(&mut self) -> Result<()> {
        self.changed = true;
        Err(AppError::new("no"))
    }

    fn changed(&self) -> bool {
        self.changed
    }
}

#[tokio::test]
async fn a_failed_or_panicked_turn_leaves_nothing_behind() {
    let node = Node::new::<Till>();
    let till = node.actor::<Till>("a");
    assert_eq!(till.put(2).await.unwrap(), 2);
    assert!(matches!(till.spill(false).await, Err(CallError::App(_))));
    assert_eq!(till.coins().await.unwrap(), 2);
    assert!(matches!(till.spill(true).await, Err(CallError::Panicked(_))));
    assert_eq!(till.put(2).await.unwrap(), 4);
}

#[tokio::test]
async fn each_reference_calls_its_own_node() {
    let nodes = [Node::new::<Till>(), Node::new::<Till>()];
    let [here, there] = nodes.each_ref().map(|node| node.actor::<Till>("a"));
    assert_eq!((here.put(2).await.unwrap(), there.put(4).await.unwrap()), (2, 4));
    *OTHER.lock() = Some(there.clone());
    assert_eq!(here.coins_of_other().await.unwrap(), Some(4));
    assert_eq!((here.coins().await.unwrap(), there.coins().await.unwrap()), (2, 4));
}

#[tokio::test]
async fn a_reference_that_outlives_its_node_keeps_nothing_and_is_told_so() {
    let node = Node::new::<Till>();
    let till = node.actor::<Till>("a");
    assert_eq!(till.put(2).await.unwrap(), 2);
    let engine = Arc::downgrade(&node.engine);
    drop(node);
    assert!(engine.upgrade().is_none());
    assert!(matches!(till.put(2).await, Err(CallError::Unavailable(_))));
    assert!(matches!(till.coins().await, Err(CallError::Unavailable(_))));
}

#[tokio::test]
async fn a_state_that_cannot_be_written_is_said_and_kept() {
    let node = Node::new::<Till>();
    let till = node.actor::<Till>("odd");
    assert_eq!(till.put(3).await.unwrap(), 3);
    // Nothing could be put back, so nothing may be changed.
    assert!(matches!(till.put(1).await, Err(CallError::Invalid(_))));
    assert_eq!(till.coins().await.unwrap(), 3);
}

#[tokio::test]
async fn without_rollback_a_failed_turn_keeps_its_changes() {
    let node = Node::new::<Loose>();
    let loose = node.actor::<Loose>("a");
    assert!(loose.change_and_fail().await.is_err());
    assert!(loose.changed().await.unwrap());
}

#[tokio::test]
async fn what_it_tells_leaves_at_its_end_unless_it_fails() {
    let node = Node::new::<Till>();
    let (from, to) = (node.actor::<Till>("from"), node.actor::<Till>("to"));
    from.put(2).await.unwrap();
    assert!(from.pass_on("to".into(), true).await.is_err());
    assert_eq!(to.coins().await.unwrap(), 0);
    from.pass_on("to".into(), false).await.unwrap();
    assert_eq!(to.coins().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_turn_is_lost_between_threads() {
    let node = Arc::new(Node::new::<Till>());
    let callers = (0..8).map(|_| {
        let node = node.clone();
        tokio::spawn(async move {
            for _ in 0..2_000 {
                node.actor::<Till>("busy").put(2).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert_eq!(node.actor::<Till>("busy").coins().await.unwrap(), 2 * 8 * 2_000);
}

#[tokio::test]
async fn a_state_that_is_copied_goes_back_as_one_that_is_encoded() {
    assert!(Purse::default().copied().is_some());
    assert!(Till::default().copied().is_none(), "what serde is told about a field counts");
    assert!(Sign::default().copied().is_none());

    let node = Node::new::<Purse>();
    let purse = node.actor::<Purse>("a");
    purse.put(2).await.unwrap();
    purse.sell(7).await.unwrap();
    assert!(matches!(purse.spill(false).await, Err(CallError::App(_))));
    assert!(matches!(purse.spill(true).await, Err(CallError::Panicked(_))));
    assert_eq!(purse.owner().await.unwrap(), (7, Some('x')));
    assert_eq!(purse.put(0).await.unwrap(), 2);

    let node = Node::new::<Sign>();
    let sign = node.actor::<Sign>("a");
    sign.write("open".into(), false).await.unwrap();
    assert!(matches!(sign.write("ing".into(), true).await, Err(CallError::App(_))));
    assert_eq!(sign.text().await.unwrap(), "open");
}

/// Turns that take the state as it rests, turns that read, and turns that wait in the mailbox, all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_of_many_threads_are_applied_once_each_and_in_some_order() {
    const EACH: u64 = 3000;
    let node = Arc::new(Node::new::<Purse>());
    let callers: Vec<_> = (0..4_u64)
        .map(|number| {
            let node = node.clone();
            tokio::spawn(async move {
                let purse = node.actor::<Purse>("a");
                let mut totals = Vec::new();
                for i in 0..EACH {
                    totals.push(purse.put(1).await.unwrap());
                    match i % 7 == number {
                        true => drop(purse.owner().await.unwrap()),
                        false => assert!(i % 11 != number || purse.spill(false).await.is_err()),
                    }
                }
                assert!(totals.is_sorted());
                totals
            })
        })
        .collect();
    let mut all = Vec::new();
    for caller in callers {
        all.extend(caller.await.unwrap());
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=4 * EACH));
}
