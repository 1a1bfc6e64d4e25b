//! Followers against the directory: after any history they know what is in memory.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use proptest::prelude::*;
use tokio::task::AbortHandle;

use super::super::Engine;
use super::super::tests::{Thing, owned_at};
use super::*;
use crate::env::{Env, SystemEnv};
use crate::identity::{ActorId, Epoch, Shard, ShardCount};
use crate::shard::OwnedShard;

/// An environment whose calendar is set by the test. Whoever asks for the time may be held up for a while, so that other
/// threads come in between: the engine asks between its steps.
#[derive(Default)]
struct Calendar {
    unix_ms: AtomicU64,
    holds_up: AtomicBool,
}

impl Env for Calendar {
    fn unix_ms(&self) -> u64 {
        if self.holds_up.load(Ordering::Relaxed) && fastrand::u8(..) < 16 {
            std::thread::sleep(Duration::from_micros(fastrand::u64(..50)));
        }
        self.unix_ms.load(Ordering::Relaxed)
    }

    fn random(&self) -> u128 {
        SystemEnv.random()
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) -> AbortHandle {
        SystemEnv.spawn(task)
    }
}

/// An engine with one shard.
struct Node {
    engine: Arc<Engine>,
    calendar: Arc<Calendar>,
    shard: Mutex<Arc<OwnedShard>>,
}

impl Node {
    fn new() -> Self {
        let calendar = Arc::new(Calendar::default());
        let one = ShardCount::new(1).unwrap();
        let engine = Engine::builder(calendar.clone(), one).register::<Thing>().build();
        let shard = owned_at(1);
        engine.serve(shard.clone());
        Self { engine, calendar, shard: Mutex::new(shard) }
    }

    fn activate(&self, key: u8) {
        let shard = self.shard.lock().clone();
        let _ = self.engine.activation::<Thing>(&id(key), &shard);
    }

    fn forget(&self, key: u8) {
        let found = self.engine.directory.get(&id(key));
        if let Some(found) = found {
            self.engine.forget(&found);
        }
    }

    fn lose_and_gain_the_shard(&self) {
        let mut shard = self.shard.lock();
        self.engine.step_down(Shard(0));
        *shard = owned_at(shard.epoch().0 + 1);
        self.engine.serve(shard.clone());
    }

    fn rest(&self) {
        self.engine.change_log.rest_if_unused(Instant::now() + UNUSED_FOR);
    }

    /// What is in memory.
    fn truth(&self) -> BTreeMap<ActorId, Epoch> {
        let all = self.engine.placements(None, None, None, usize::MAX);
        all.placements.into_iter().map(|placement| (placement.actor, placement.epoch)).collect()
    }
}

fn id(key: u8) -> ActorId {
    format!("Thing/{key}").parse().unwrap()
}

/// One who follows the placements, as the placement API does.
struct Follower {
    known: BTreeMap<ActorId, Epoch>,
    at: Stamp,
}

impl Follower {
    /// Takes a stamp, then looks, a page at a time.
    fn begin(node: &Node) -> Self {
        let at = node.engine.stamp(Stamp(0)).unwrap();
        let mut known = BTreeMap::new();
        loop {
            let last = known.last_key_value().map(|(id, _): (&ActorId, &Epoch)| id.clone());
            let page = node.engine.placements(None, last.as_ref(), Some(at), 3);
            known.extend(page.placements.into_iter().map(|placement| (placement.actor, placement.epoch)));
            if !page.more {
                return Self { known, at };
            }
        }
    }

    /// Takes some changes. True if there were none.
    fn follow(&mut self, node: &Node, limit: usize) -> bool {
        let Changes { changes, until } = match node.engine.changes(self.at, limit) {
            Ok(changes) => changes,
            Err(ChangesError::Forgotten(_)) => {
                *self = Self::begin(node);
                return false;
            }
            Err(error) => panic!("{error}"),
        };
        let none = changes.is_empty();
        for change in changes {
            assert!(change.stamp > self.at && change.stamp <= until, "{change:?} until {until:?}");
            self.at = change.stamp;
            match change.gone {
                true => self.known.remove(&change.placement.actor),
                false => self.known.insert(change.placement.actor, change.placement.epoch),
            };
        }
        self.at = until;
        none
    }

    fn follow_to_the_end(&mut self, node: &Node) {
        while !self.follow(node, 7) {}
    }
}

#[tokio::test]
async fn what_comes_and_goes_is_told_in_order() {
    let node = Node::new();
    node.activate(1);
    let start = node.engine.stamp(Stamp(0)).unwrap();
    node.activate(2);
    node.activate(2);
    node.forget(1);
    node.lose_and_gain_the_shard();
    let told = node.engine.changes(start, 100).unwrap();
    let what: Vec<_> =
        told.changes.iter().map(|change| (change.placement.actor.to_string(), change.gone)).collect();
    let expected = [("Thing/2", false), ("Thing/1", true), ("Thing/2", true)];
    assert_eq!(what, expected.map(|(actor, gone)| (actor.to_owned(), gone)));
    assert_eq!(told.changes[2].placement.epoch, Epoch(1), "what it was when it went");
    assert_eq!(node.engine.changes(told.until, 100).unwrap().changes, []);
}

#[tokio::test]
async fn who_waits_is_woken_by_a_change() {
    let node = Node::new();
    let start = node.engine.stamp(Stamp(0)).unwrap();
    let changed = node.engine.changed();
    node.activate(1);
    tokio::time::timeout(Duration::from_secs(10), changed).await.unwrap();
    assert_eq!(node.engine.changes(start, 100).unwrap().changes.len(), 1);
}

#[tokio::test]
async fn what_is_not_remembered_is_told() {
    let node = Node::new();
    let forgotten = |after| node.engine.changes(after, 10).unwrap_err();
    assert_eq!(forgotten(Stamp(0)), ChangesError::Forgotten(Stamp(0)));
    let start = node.engine.stamp(Stamp(0)).unwrap();
    for _ in 0..CHANGES_MAX / 2 {
        node.activate(1);
        node.forget(1);
    }
    assert_eq!(node.engine.changes(start, usize::MAX).unwrap().changes.len(), CHANGES_MAX);
    node.activate(2);
    assert_eq!(forgotten(start), ChangesError::Forgotten(start));

    let now = node.engine.stamp(Stamp(0)).unwrap();
    node.rest();
    node.activate(3);
    assert_eq!(forgotten(now), ChangesError::Forgotten(now));
}

#[tokio::test]
async fn a_stamp_from_elsewhere_moves_the_clock_unless_it_is_absurd() {
    let node = Node::new();
    let now = node.engine.stamp(Stamp(0)).unwrap();
    let told = Stamp(now.0 + 3_600_000_000);
    assert!(node.engine.stamp(told).unwrap() > told);
    assert!(node.engine.stamp(Stamp(0)).unwrap() > told);
    let absurd = Stamp(u64::MAX);
    assert_eq!(node.engine.stamp(absurd), Err(ChangesError::InTheFuture(absurd)));
    assert!(node.engine.stamp(Stamp(0)).unwrap() < absurd);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_nobody_follows_stops_recording() {
    let node = Node::new();
    node.engine.stamp(Stamp(0)).unwrap();
    tokio::time::sleep(UNUSED_FOR - Duration::from_secs(1)).await;
    assert!(node.engine.change_log.recording.load(Ordering::Relaxed));
    // It is looked at with the idle activations, every half a minute at least.
    tokio::time::sleep(Duration::from_secs(32)).await;
    assert!(!node.engine.change_log.recording.load(Ordering::Relaxed));
}

#[derive(Debug, Clone)]
enum Event {
    Activate(u8),
    Forget(u8),
    LoseAndGainTheShard,
    Begin(usize),
    Follow(usize, usize),
    Rest,
    Calendar(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0u8..6).prop_map(Event::Activate),
        3 => (0u8..6).prop_map(Event::Forget),
        1 => Just(Event::LoseAndGainTheShard),
        1 => (0usize..3).prop_map(Event::Begin),
        4 => (0usize..3, 1usize..4).prop_map(|(who, limit)| Event::Follow(who, limit)),
        1 => Just(Event::Rest),
        1 => (0u64..2_000_000).prop_map(Event::Calendar),
    ]
}

proptest! {
    #[test]
    fn followers_know_what_is_in_memory(events in prop::collection::vec(event(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let node = Node::new();
        let mut followers: Vec<_> = (0..3).map(|_| Follower::begin(&node)).collect();
        for event in events {
            match event {
                Event::Activate(key) => node.activate(key),
                Event::Forget(key) => node.forget(key),
                Event::LoseAndGainTheShard => node.lose_and_gain_the_shard(),
                Event::Begin(who) => followers[who] = Follower::begin(&node),
                Event::Follow(who, limit) => drop(followers[who].follow(&node, limit)),
                Event::Rest => node.rest(),
                Event::Calendar(to) => node.calendar.unix_ms.store(to, Ordering::Relaxed),
            }
        }
        for mut follower in followers {
            follower.follow_to_the_end(&node);
            prop_assert_eq!(&follower.known, &node.truth());
        }
    }
}

/// Threads change, begin to follow and stop recording at the same time; once they have ended, every follower must come
/// to the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_missed_between_threads() {
    let node = Node::new();
    node.calendar.holds_up.store(true, Ordering::Relaxed);
    for round in 0..1_000u64 {
        node.rest();
        let change = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..40 {
                match random.bool() {
                    true => node.activate(random.u8(0..5)),
                    false => node.forget(random.u8(0..5)),
                }
            }
        };
        let follow = || {
            let mut follower = Follower::begin(&node);
            follower.follow(&node, 3);
            follower
        };
        let followers = std::thread::scope(|scope| {
            let followers = [0, 1].map(|_| scope.spawn(follow));
            for seed in 0..2 {
                scope.spawn(move || change(2 * round + seed));
            }
            if round % 10 == 0 {
                node.lose_and_gain_the_shard();
            }
            if round % 3 == 0 {
                node.rest();
            }
            followers.map(|follower| follower.join().unwrap())
        });
        for mut follower in followers {
            follower.follow_to_the_end(&node);
            assert_eq!(follower.known, node.truth(), "round {round}");
        }
    }
}
