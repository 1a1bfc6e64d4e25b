//! Hooks, deactivation and keep-alive: what runs when an actor comes into memory and leaves it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use greenroom_core::identity::ActorId;
use greenroom_core::{AppError, CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::Node;

/// What the hooks of each actor have done. Each test has actors of its own.
static SEEN: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());
/// The actors that cannot be activated now.
static BROKEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn note(key: &str, what: impl Into<String>) {
    SEEN.lock().entry(key.to_owned()).or_default().push(what.into());
}

fn seen(key: &str) -> Vec<String> {
    SEEN.lock().get(key).cloned().unwrap_or_default()
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", idle_timeout = "1s")]
struct Guest {
    visits: u32,
    farewells: u32,
    /// Made when the actor is activated, never stored.
    #[serde(skip)]
    session: Option<u32>,
}

#[actor_methods(crate = "greenroom_core")]
impl Guest {
    #[on_activate]
    async fn arrive(&mut self, cx: &Cx) -> Result<()> {
        tokio::task::yield_now().await;
        if BROKEN.lock().contains(cx.key()) {
            self.visits = 1000;
            return Err(AppError::new("the door is locked"));
        }
        self.session = Some(self.visits);
        note(cx.key(), format!("arrived after {} visits, {} farewells", self.visits, self.farewells));
        Ok(())
    }

    #[on_deactivate]
    async fn leave(&mut self, cx: &Cx) {
        self.farewells += 1;
        note(cx.key(), "left");
    }

    async fn visit(&mut self) -> u32 {
        assert!(self.session.is_some(), "the hook has run");
        self.visits += 1;
        self.visits
    }

    async fn session(&self) -> Option<u32> {
        self.session
    }

    async fn visit_and_fail(&mut self) -> Result<()> {
        self.visits += 1;
        Err(AppError::new("no"))
    }

    async fn visit_and_leave(&mut self, cx: &Cx) -> u32 {
        cx.deactivate();
        tokio::task::yield_now().await;
        self.visits += 1;
        self.visits
    }

    async fn stay(&self, cx: &Cx, seconds: u64) {
        cx.keep_alive(Duration::from_secs(seconds));
    }
}

fn node() -> Arc<Node> {
    let node = Arc::new(Node::new::<Guest>());
    node.sync_always();
    node
}

fn id(key: &str) -> ActorId {
    format!("Guest/{key}").parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_each_stay_in_memory_and_what_they_change_is_kept() {
    let node = node();
    let guest = node.actor::<Guest>("around");
    assert_eq!(guest.session().await.unwrap(), Some(0));
    assert_eq!(guest.visit().await.unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(node.engine.placement(&id("around")).is_none());
    assert_eq!(guest.visit().await.unwrap(), 2);
    assert_eq!(
        seen("around"),
        ["arrived after 0 visits, 0 farewells", "left", "arrived after 1 visits, 1 farewells"]
    );
    // The next run of the node finds the farewell, too.
    let next = Arc::new(Node::over::<Guest>(node.disk.clone()));
    next.sync_always();
    assert_eq!(next.actor::<Guest>("around").session().await.unwrap(), Some(2));
    assert_eq!(seen("around").last().unwrap(), "arrived after 2 visits, 1 farewells");
}

#[tokio::test]
async fn an_actor_that_cannot_be_activated_refuses_who_waits_and_the_next_call_tries_again() {
    let node = node();
    BROKEN.lock().insert("broken".into());
    let guest = node.actor::<Guest>("broken");
    let refused = join_all([guest.visit(), guest.visit(), guest.visit()]).await;
    for outcome in refused {
        let text = "Guest/broken could not be activated: the door is locked";
        assert_eq!(outcome, Err(CallError::Refused(text.into())));
    }
    assert!(node.engine.placement(&id("broken")).is_none());
    BROKEN.lock().clear();
    assert_eq!(guest.visit().await.unwrap(), 1);
    assert_eq!(seen("broken"), ["arrived after 0 visits, 0 farewells"]);
}

#[tokio::test]
async fn a_turn_after_a_failed_one_finds_the_hook_run_again() {
    let node = node();
    let guest = node.actor::<Guest>("failed");
    guest.visit().await.unwrap();
    guest.visit_and_fail().await.unwrap_err();
    assert_eq!(guest.session().await.unwrap(), Some(1));
    assert_eq!(guest.visit().await.unwrap(), 2);
    assert_eq!(
        seen("failed"),
        ["arrived after 0 visits, 0 farewells", "arrived after 1 visits, 0 farewells"]
    );
}

#[tokio::test]
async fn a_cancelled_activation_is_done_again_by_who_waits() {
    let node = node();
    let guest = node.actor::<Guest>("cancelled");
    let (mut first, mut second) = (Box::pin(guest.visit()), Box::pin(guest.visit()));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await.unwrap(), 1);
    assert_eq!(seen("cancelled"), ["arrived after 0 visits, 0 farewells"]);
}

#[tokio::test]
async fn an_actor_that_is_asked_to_leave_does_so_behind_those_who_wait() {
    let node = node();
    let guest = node.actor::<Guest>("asked");
    let calls = [guest.visit(), guest.visit(), guest.visit()];
    let (leaving, visits) = tokio::join!(guest.visit_and_leave(), join_all(calls));
    assert_eq!(leaving.unwrap(), 1);
    assert_eq!(visits.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 3, 4]);
    while node.engine.placement(&id("asked")).is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen("asked"), ["arrived after 0 visits, 0 farewells", "left"]);
    assert_eq!(guest.visit().await.unwrap(), 5);
    assert!(node.engine.deactivate(&id("asked")).await);
    assert!(!node.engine.deactivate(&id("asked")).await);
    assert_eq!(guest.visit().await.unwrap(), 6);
}

#[tokio::test]
async fn calls_that_come_while_an_actor_leaves_keep_their_order() {
    let node = Arc::new(Node::new::<Guest>());
    let guest = node.actor::<Guest>("order");
    let mut first = Box::pin(guest.visit());
    while node.disk.commits() == 0 {
        assert!(poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
    }
    // The farewell waits for the disk; these calls come behind it.
    let engine = node.engine.clone();
    let leaving = tokio::spawn(async move { engine.deactivate(&id("order")).await });
    while seen("order").last().is_none_or(|last| last != "left") {
        tokio::task::yield_now().await;
    }
    let mut calls: Vec<_> = (0..5).map(|_| Box::pin(guest.visit())).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    node.sync_always();
    assert!(leaving.await.unwrap());
    let visits = join_all(calls).await;
    assert_eq!(visits.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert_eq!(seen("order").last().unwrap(), "arrived after 1 visits, 1 farewells");
}

#[tokio::test]
async fn an_actor_leaves_only_when_what_it_committed_is_durable() {
    let node = Arc::new(Node::new::<Guest>());
    let guest = node.actor::<Guest>("durable");
    let mut visit = Box::pin(guest.visit());
    while node.disk.commits() == 0 {
        assert!(poll!(&mut visit).is_pending());
        tokio::task::yield_now().await;
    }
    let actor = id("durable");
    let mut leaving = Box::pin(node.engine.deactivate(&actor));
    for _ in 0..10 {
        assert!(poll!(&mut leaving).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(node.engine.placement(&actor).is_some());
    node.sync();
    assert!(leaving.await);
    assert_eq!(visit.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_is_kept_alive_does_not_leave_for_being_idle() {
    let node = node();
    node.actor::<Guest>("kept").stay(10).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(node.engine.placement(&id("kept")).is_some());
    assert_eq!(node.engine.shed(usize::MAX), 0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(node.engine.placement(&id("kept")).is_none());
    assert_eq!(seen("kept"), ["arrived after 0 visits, 0 farewells", "left"]);
}

#[tokio::test]
async fn a_node_that_drains_lets_its_actors_say_farewell() {
    let node = node();
    let keys: Vec<_> = (0..100).map(|i| format!("drained-{i}")).collect();
    for key in &keys {
        node.actor::<Guest>(key).visit().await.unwrap();
    }
    assert_eq!(node.engine.drain(Duration::from_secs(10)).await, 0);
    for key in &keys {
        assert_eq!(seen(key), ["arrived after 0 visits, 0 farewells", "left"]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_idle_for_longest_is_shed_first() {
    let node = node();
    for key in ["shed-a", "shed-b", "shed-c", "shed-d"] {
        node.actor::<Guest>(key).visit().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(node.engine.shed(2), 2);
    let there = |key| node.engine.placement(&id(key)).is_some();
    while there("shed-a") || there("shed-b") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(["shed-a", "shed-b", "shed-c", "shed-d"].map(there), [false, false, true, true]);
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Cache {
    values: Vec<u32>,
    #[serde(skip)]
    warm: bool,
}

#[actor_methods(crate = "greenroom_core")]
impl Cache {
    #[on_activate]
    fn warm(&mut self) {
        self.warm = true;
    }

    async fn put(&mut self, value: u32) -> Result<Vec<u32>> {
        self.values.push(value);
        if value == 0 { Err(AppError::new("zero")) } else { Ok(self.values.clone()) }
    }

    async fn is_warm(&self) -> bool {
        self.warm
    }
}

#[tokio::test]
async fn a_volatile_actor_keeps_its_state_when_the_hook_runs_again() {
    let node = Arc::new(Node::new::<Cache>());
    let cache = node.actor::<Cache>("c");
    cache.put(1).await.unwrap();
    cache.put(0).await.unwrap_err();
    assert!(cache.is_warm().await.unwrap());
    assert_eq!(cache.put(2).await.unwrap(), [1, 2]);
}

/// How many lodgers are in memory: each has a body.
static BODIES: AtomicIsize = AtomicIsize::new(0);

struct Body;

impl Default for Body {
    fn default() -> Self {
        BODIES.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        BODIES.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile, no_rollback)]
struct Lodger {
    #[serde(skip)]
    _body: Body,
}

#[actor_methods(crate = "greenroom_core")]
impl Lodger {
    fn look(&self) {}
}

#[tokio::test]
async fn an_engine_that_ends_leaves_no_actor_in_memory() {
    let node = Node::with::<Guest>(|engine| engine.register::<Lodger>());
    for key in 0..20 {
        node.actor::<Lodger>(&key.to_string()).look().await.unwrap();
    }
    for key in 0..5 {
        assert!(node.engine.deactivate(&format!("Lodger/{key}").parse().unwrap()).await);
    }
    assert!(BODIES.load(Ordering::Relaxed) >= 15);
    drop(node);
    assert_eq!(BODIES.load(Ordering::Relaxed), 0);
}
