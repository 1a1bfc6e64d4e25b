//! Random wait graphs, changing under way and with probes in any order, against a naive cycle finder.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRng;

use super::*;

const ACTORS: usize = 5;

fn actor(number: usize) -> ActorId {
    format!("Thing/{number}").parse().unwrap()
}

/// A call of the world: who made it, and where it is.
#[derive(Debug, Clone)]
struct Call {
    /// The turn that waits for it; 0: a program does.
    made_by: u128,
    target: usize,
}

/// Actors whose turns are all exclusive, and what is on its way between them.
#[derive(Default)]
struct World {
    actors: Vec<ActorWaits>,
    /// By id. A call that holds its target is a turn.
    calls: BTreeMap<u128, Call>,
    holders: Vec<Option<u128>>,
    queues: Vec<Vec<u128>>,
    probes: Vec<(ActorId, Probe)>,
    searches: u64,
    /// The cycles that there were at some time, each as its calls in mailboxes.
    cycles: BTreeSet<BTreeSet<u128>>,
    failed: BTreeSet<u128>,
}

impl World {
    fn new() -> Self {
        Self {
            actors: (0..ACTORS).map(|_| ActorWaits::default()).collect(),
            holders: vec![None; ACTORS],
            queues: vec![Vec::new(); ACTORS],
            ..Self::default()
        }
    }

    fn start(&mut self, id: u128, made_by: u128, target: usize) {
        self.calls.insert(id, Call { made_by, target });
        if let Some(maker) = self.calls.get(&made_by) {
            self.actors[maker.target].awaits(CallId(made_by), CallId(id), actor(target));
        }
        match self.holders[target] {
            None => self.holders[target] = Some(id),
            Some(_) => {
                self.queues[target].push(id);
                self.actors[target].queue(CallId(id));
            }
        }
    }

    /// The call ends, however: so do those that it waits for, since nobody wants them any more.
    fn end(&mut self, id: u128) {
        let Some(call) = self.calls.remove(&id) else { return };
        let made: Vec<_> = self.calls.iter().filter(|(_, c)| c.made_by == id).map(|(id, _)| *id).collect();
        for child in made {
            self.end(child);
        }
        if let Some(maker) = self.calls.get(&call.made_by) {
            self.actors[maker.target].awaits_no_more(CallId(call.made_by), CallId(id));
        }
        self.queues[call.target].retain(|queued| *queued != id);
        self.actors[call.target].unqueue(CallId(id));
        self.actors[call.target].ended(CallId(id));
        if self.holders[call.target] == Some(id) {
            self.holders[call.target] = None;
            if !self.queues[call.target].is_empty() {
                let next = self.queues[call.target].remove(0);
                self.actors[call.target].unqueue(CallId(next));
                self.holders[call.target] = Some(next);
            }
        }
    }

    /// What a call waits for, by the state of the world.
    fn waits_for(&self, id: u128) -> Vec<u128> {
        let call = &self.calls[&id];
        match self.holders[call.target] {
            Some(holder) if holder != id => vec![holder],
            _ => self.calls.iter().filter(|(_, c)| c.made_by == id).map(|(id, _)| *id).collect(),
        }
    }

    fn is_queued(&self, id: u128) -> bool {
        self.calls.get(&id).is_some_and(|call| self.queues[call.target].contains(&id))
    }

    fn note_cycles(&mut self) {
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.walk(&mut vec![id]);
        }
    }

    fn walk(&mut self, path: &mut Vec<u128>) {
        for next in self.waits_for(path[path.len() - 1]) {
            if next == path[0] {
                let queued = path.iter().copied().filter(|id| self.is_queued(*id));
                self.cycles.insert(queued.collect());
            } else if !path.contains(&next) {
                path.push(next);
                self.walk(path);
                path.pop();
            }
        }
    }

    fn search(&mut self, id: u128) {
        self.searches += 1;
        let at = self.calls[&id].target;
        let effects = self.actors[at].search(&actor(at), CallId(id), self.searches);
        self.take(effects);
    }

    fn search_all(&mut self) {
        for id in self.queues.concat() {
            self.search(id);
        }
    }

    fn deliver(&mut self, at: usize) {
        let (to, probe) = self.probes.swap_remove(at);
        let to: usize = to.key.parse().unwrap();
        let effects = self.actors[to].arrived(&actor(to), probe);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, probe) => self.probes.push((to, probe)),
                Effect::Deadlock(CallId(call), path) => {
                    assert!(self.is_queued(call), "only what waits can be told");
                    let known = self.cycles.iter().any(|cycle| cycle.first() == Some(&call));
                    assert!(known, "call {call} is the lowest of no cycle that ever was: {path:?}");
                    self.failed.insert(call);
                    self.end(call);
                    self.note_cycles();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_fails_was_a_deadlock_and_no_deadlock_stays(seed in any::<[u8; 32]>()) {
        let mut random = TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &seed);
        let mut below = |bound: usize| random.random_range(0..bound);
        let mut world = World::new();
        for id in 1..80_u128 {
            // Ids are no order of time.
            let id = (id * 37) % 101;
            match below(10) {
                0..=4 => {
                    let turns: Vec<_> = world.holders.iter().flatten().copied().collect();
                    let makers: Vec<_> = turns.into_iter().chain([0]).collect();
                    let made_by = makers[below(makers.len())];
                    let target = below(ACTORS);
                    // What the chain of calls finds at once never comes to waiting.
                    if !chain(&world, made_by).contains(&target) {
                        world.start(id, made_by, target);
                    }
                }
                5 if !world.calls.is_empty() => {
                    let all: Vec<_> = world.calls.keys().copied().collect();
                    let ends = all[below(all.len())];
                    world.end(ends);
                }
                6 | 7 => world.search_all(),
                _ => {}
            }
            world.note_cycles();
            for _ in 0..below(12) {
                if !world.probes.is_empty() {
                    let at = below(world.probes.len());
                    world.deliver(at);
                }
            }
            // Some are lost.
            if below(4) == 0 && !world.probes.is_empty() {
                let at = below(world.probes.len());
                world.probes.swap_remove(at);
            }
        }
        // Now nothing changes any more but by what is found.
        for _ in 0..8 {
            world.search_all();
            while !world.probes.is_empty() {
                let at = below(world.probes.len());
                world.deliver(at);
            }
        }
        world.cycles.clear();
        world.note_cycles();
        prop_assert!(world.cycles.is_empty(), "not found: {:?}", world.cycles);
    }
}

/// The actors that the chain of a call made by this turn holds.
fn chain(world: &World, mut made_by: u128) -> Vec<usize> {
    let mut held = Vec::new();
    while let Some(call) = world.calls.get(&made_by) {
        held.push(call.target);
        made_by = call.made_by;
    }
    held
}

/// Two actors whose turns (10 and 20) call each other: call 11 to the second one, call 21 to the first one.
fn two() -> World {
    let mut world = World::new();
    world.start(10, 0, 0);
    world.start(20, 0, 1);
    world.start(11, 10, 1);
    world.start(21, 20, 0);
    world.note_cycles();
    world
}

#[test]
fn of_a_cycle_only_the_call_with_the_lowest_id_fails() {
    let mut world = two();
    world.search(21);
    while !world.probes.is_empty() {
        world.deliver(0);
    }
    assert!(world.failed.is_empty(), "the lower one has not searched");
    world.search_all();
    while !world.probes.is_empty() {
        world.deliver(0);
    }
    assert_eq!(world.failed, [11].into());
    assert!(world.calls.contains_key(&21));
}

/// The search finds edges that are never there together; the check sees it.
#[test]
fn edges_that_come_and_go_are_no_deadlock() {
    let mut world = World::new();
    for (id, at) in [(10, 0), (20, 1), (30, 2)] {
        world.start(id, 0, at);
    }
    // 10 waits for 20, and 20 for 30; the search passes both edges.
    world.start(11, 10, 1);
    world.start(21, 20, 2);
    world.note_cycles();
    world.search(11);
    world.deliver(0);
    assert_eq!(world.probes.len(), 0, "30 waits for nothing");
    // 30 begins to wait for 10 and the search finds the whole path, but 20 has given its call up meanwhile.
    world.search(11);
    let (_, probe) = world.probes[0].clone();
    world.actors[1].awaits_no_more(CallId(20), CallId(21));
    world.actors[2].awaits(CallId(30), CallId(11), actor(1));
    let found = world.actors[2].arrived(&actor(2), probe);
    let Some(Effect::Send(to, back)) = found.into_iter().next() else { panic!("the search has stopped") };
    let checks = world.actors[1].arrived(&to, back);
    assert_eq!(checks, [], "the edge from 20 to 21 is gone: the first step of the check sees it");
}
