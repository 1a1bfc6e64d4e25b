//! Listings against the plain look at the directory, whatever comes and goes between their pages.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use greenroom_macros::{Actor, actor_methods};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::tests::{Thing, owned_at};
use super::*;
use crate::actor::Actor;
use crate::env::SystemEnv;
use crate::identity::{Shard, ShardCount};
use crate::shard::OwnedShard;

/// Another type, which comes before `Thing`.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "crate")]
struct Item {}

#[actor_methods(crate = "crate")]
impl Item {}

/// An engine with one shard.
struct Node {
    engine: Arc<Engine>,
    shard: Arc<OwnedShard>,
}

impl Node {
    fn new() -> Self {
        let one = ShardCount::new(1).unwrap();
        let engine = Engine::builder(Arc::new(SystemEnv), one).register::<Thing>().register::<Item>().build();
        let shard = owned_at(1);
        engine.serve(shard.clone());
        Self { engine, shard }
    }

    fn activate(&self, id: &ActorId) {
        match id.actor_type.as_str() {
            Thing::TYPE => drop(self.engine.activation::<Thing>(id, &self.shard)),
            _ => drop(self.engine.activation::<Item>(id, &self.shard)),
        }
    }

    fn forget(&self, id: &ActorId) {
        let found = self.engine.directory.get(id);
        if let Some(found) = found {
            self.engine.forget(&found);
        }
    }

    fn lose_and_gain_the_shard(&mut self) {
        self.engine.step_down(Shard(0));
        self.shard = owned_at(self.shard.epoch().0 + 1);
        self.engine.serve(self.shard.clone());
    }

    fn sweep(&self, after: Duration) {
        self.engine.snapshots.drop_if_unused(self.engine.env.now() + after);
    }

    /// The plain look: all of a type, in order.
    fn scan(&self, actor_type: Option<&str>) -> Vec<Placement> {
        let directory = self.engine.directory.pin();
        let mut all: Vec<_> = directory.iter().map(|activation| describe(&**activation)).collect();
        all.retain(|placement| actor_type.is_none_or(|name| placement.actor.actor_type.as_str() == name));
        all.sort_by(|a, b| a.actor.cmp(&b.actor));
        all
    }

    fn ids(&self, actor_type: Option<&str>) -> BTreeSet<ActorId> {
        self.scan(actor_type).into_iter().map(|placement| placement.actor).collect()
    }
}

fn id(thing: bool, key: u8) -> ActorId {
    format!("{}/{key}", if thing { Thing::TYPE } else { Item::TYPE }).parse().unwrap()
}

/// One who lists, page by page.
struct Listing {
    actor_type: Option<&'static str>,
    size: usize,
    /// The stamp that it names; `None`: none, it begins with its first page.
    named: Option<Stamp>,
    after: Option<ActorId>,
    /// What has been in memory since it began, of the places that are not shown yet.
    expected: BTreeSet<ActorId>,
    ended: bool,
}

impl Listing {
    /// Begins; if it names a stamp, without a page yet.
    fn begin(node: &Node, actor_type: Option<&'static str>, size: usize, names: bool) -> Self {
        let named = names.then(|| node.engine.stamp(Stamp(0)).unwrap());
        let expected = node.ids(actor_type);
        let mut listing = Self { actor_type, size, named, after: None, expected, ended: false };
        if !names {
            listing.next(node);
        }
        listing
    }

    fn next(&mut self, node: &Node) {
        if self.ended {
            return;
        }
        let since = self.named.or(self.after.is_some().then_some(Stamp(0)));
        let page = node.engine.placements(self.actor_type, self.after.as_ref(), since, self.size);
        let shown: Vec<_> = page.placements.iter().map(|placement| placement.actor.clone()).collect();
        assert!(shown.len() == self.size || (shown.len() < self.size && !page.more));
        assert!(shown.iter().is_sorted() && shown.first() > self.after.as_ref() || shown.is_empty());
        let now = node.scan(self.actor_type);
        assert!(
            page.placements.iter().all(|placement| now.contains(placement)),
            "{page:?}, there is {now:?}"
        );

        let last = shown.last().filter(|_| page.more).cloned();
        let behind = |id: &ActorId| last.as_ref().is_some_and(|last| id > last);
        for expected in self.expected.iter().filter(|id| !behind(id)) {
            assert!(shown.contains(expected), "{expected} is not among {shown:?}");
        }
        self.expected.retain(behind);
        (self.ended, self.after) = (!page.more, last);
    }
}

#[derive(Debug, Clone)]
enum Event {
    Activate(bool, u8),
    Forget(bool, u8),
    LoseAndGainTheShard,
    Begin { who: usize, actor_type: Option<&'static str>, size: usize, names: bool },
    Next(usize),
    Sweep,
}

fn event() -> impl Strategy<Value = Event> {
    let actor_type =
        prop_oneof![Just(None), Just(Some(Thing::TYPE)), Just(Some(Item::TYPE)), Just(Some("No"))];
    prop_oneof![
        8 => (any::<bool>(), 0u8..8).prop_map(|(thing, key)| Event::Activate(thing, key)),
        4 => (any::<bool>(), 0u8..8).prop_map(|(thing, key)| Event::Forget(thing, key)),
        1 => Just(Event::LoseAndGainTheShard),
        2 => (0usize..3, actor_type, 1usize..4, any::<bool>())
            .prop_map(|(who, actor_type, size, names)| Event::Begin { who, actor_type, size, names }),
        8 => (0usize..3).prop_map(Event::Next),
        1 => Just(Event::Sweep),
    ]
}

proptest! {
    #[test]
    fn a_listing_shows_what_was_in_memory_all_the_time(events in prop::collection::vec(event(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let mut node = Node::new();
        let mut listings: Vec<_> = (0..3).map(|_| Listing::begin(&node, None, 1, false)).collect();
        for event in events {
            match event {
                Event::Activate(thing, key) => node.activate(&id(thing, key)),
                Event::Forget(thing, key) => node.forget(&id(thing, key)),
                Event::LoseAndGainTheShard => node.lose_and_gain_the_shard(),
                Event::Begin { who, actor_type, size, names } => {
                    listings[who] = Listing::begin(&node, actor_type, size, names);
                }
                Event::Next(who) => listings[who].next(&node),
                Event::Sweep => node.sweep(UNUSED_FOR),
            }
            let there = node.ids(None);
            listings.iter_mut().for_each(|listing| listing.expected.retain(|id| there.contains(id)));
        }
        let now = node.engine.placements(None, None, None, usize::MAX);
        prop_assert_eq!((now.placements, now.more), (node.scan(None), false));
        for mut listing in listings {
            while !listing.ended {
                listing.next(&node);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_snapshot_serves_all_pages_and_is_dropped_when_nobody_lists() {
    let node = Node::new();
    for key in 0..6 {
        node.activate(&id(true, key));
    }
    let first = node.engine.placements(None, None, None, 2);
    let page = |since, key| node.engine.placements(None, Some(&id(true, key)), Some(since), 2).stamp;
    assert_eq!(page(Stamp(0), 1), first.stamp);
    let later = node.engine.placements(None, None, None, 2).stamp;
    assert!(later > first.stamp, "a listing that begins looks at the present");
    // The older listing goes on with the newer snapshot; one that names a later stamp does not.
    assert_eq!((page(Stamp(0), 1), page(first.stamp, 3)), (later, later));
    let stamp = node.engine.stamp(Stamp(0)).unwrap();
    assert!(page(stamp, 1) > stamp);

    tokio::time::sleep(UNUSED_FOR / 2).await;
    assert!(node.engine.snapshots.0.lock().is_some());
    // It is looked for with the idle activations, every half a minute at least.
    tokio::time::sleep(UNUSED_FOR + Duration::from_secs(1)).await;
    assert!(node.engine.snapshots.0.lock().is_none());
}

/// While threads bring actors into memory and out of it, those that stay are on every listing.
#[tokio::test]
async fn what_stays_is_listed_between_threads() {
    let node = Node::new();
    let stay: BTreeSet<_> = [0, 3, 4, 9].map(|key| id(true, key)).into();
    stay.iter().for_each(|id| node.activate(id));
    let ended = AtomicBool::new(false);
    let churn = |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        while !ended.load(Ordering::Relaxed) {
            let id = id(random.bool(), random.u8(..));
            match random.bool() {
                true => node.activate(&id),
                false if !stay.contains(&id) => node.forget(&id),
                false => {}
            }
        }
    };
    let list = || {
        for _ in 0..300 {
            let (mut shown, mut since) = (Vec::<ActorId>::new(), None);
            loop {
                let page = node.engine.placements(None, shown.last(), since, 20);
                shown.extend(page.placements.into_iter().map(|placement| placement.actor));
                if !page.more {
                    break;
                }
                since = Some(Stamp(0));
            }
            assert!(shown.is_sorted_by(|a, b| a < b), "{shown:?}");
            assert!(stay.iter().all(|id| shown.binary_search(id).is_ok()), "{shown:?}");
        }
    };
    std::thread::scope(|scope| {
        let churning = [1, 2].map(|seed| scope.spawn(move || churn(seed)));
        let listing = [(); 2].map(|()| scope.spawn(list));
        // The others end also if a listing has failed.
        let listed: Vec<_> = listing.into_iter().map(|listing| listing.join()).collect();
        ended.store(true, Ordering::Relaxed);
        churning.into_iter().for_each(|churning| churning.join().unwrap());
        listed.into_iter().for_each(|listed| listed.unwrap());
    });
}
