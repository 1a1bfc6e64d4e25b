//! Whatever the nodes say in whatever order, who knows a list and is told the history behind it knows the truth.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::nodes::ClusterId;

const ACTORS: usize = 3;

fn node(i: usize) -> Arc<NodePod> {
    Arc::new(NodePod {
        cluster: ClusterId::new("ns", "shop"),
        name: format!("shop-{i}").into(),
        uid: format!("uid-{i}").into(),
        address: String::new(),
        host: None,
        only_process_since: None,
    })
}

fn placement(actor: usize, epoch: u64) -> v1::Placement {
    v1::Placement { r#type: "Counter".into(), key: actor.to_string(), epoch, ..v1::Placement::default() }
}

/// What a client knows: per actor the node and epoch.
type Knowledge = BTreeMap<String, (String, u64)>;

fn learn(knowledge: &mut Knowledge, change: &Change) {
    match change {
        Change::Added(held) => {
            let value = (held.node.name.to_string(), held.placement.epoch);
            knowledge.insert(held.placement.key.clone(), value);
        }
        Change::Deleted(held) => {
            knowledge.remove(&held.placement.key);
        }
    }
}

/// What a node has done: the actor, its epoch, whether it went, and the stamp.
type Done = (usize, u64, bool, u64);

/// Two nodes with clocks of their own, between which actors move.
struct Simulated {
    held: [BTreeMap<usize, u64>; 2],
    clocks: [u64; 2],
    done: [Vec<Done>; 2],
    epochs: [u64; ACTORS],
}

impl Simulated {
    fn new() -> Self {
        Self { held: Default::default(), clocks: [0; 2], done: Default::default(), epochs: [0; ACTORS] }
    }

    fn stamp(&mut self, node: usize, time: u64, skew: u64) -> u64 {
        self.clocks[node] = (time + skew * node as u64).max(self.clocks[node] + 1);
        self.clocks[node]
    }

    /// The node activates the actor, or drops it if it has it.
    fn toggle(&mut self, node: usize, actor: usize, time: u64, skew: u64) {
        let stamp = self.stamp(node, time, skew);
        let (epoch, gone) = match self.held[node].remove(&actor) {
            Some(epoch) => (epoch, true),
            None => {
                self.epochs[actor] += 1;
                self.held[node].insert(actor, self.epochs[actor]);
                (self.epochs[actor], false)
            }
        };
        self.done[node].push((actor, epoch, gone, stamp));
    }

    /// Who holds an activation that is not the newest drops it.
    fn settle(&mut self, time: u64, skew: u64) {
        for node in 0..2 {
            let stale: Vec<usize> = self.held[node]
                .iter()
                .filter(|(actor, epoch)| self.epochs[**actor] != **epoch)
                .map(|(a, _)| *a)
                .collect();
            stale.into_iter().for_each(|actor| self.toggle(node, actor, time, skew));
        }
    }

    fn list(&self, node: usize) -> Vec<v1::Placement> {
        self.held[node].iter().map(|(actor, epoch)| placement(*actor, *epoch)).collect()
    }

    fn truth(&self) -> Knowledge {
        let held = |i: usize| {
            self.held[i].iter().map(move |(actor, epoch)| (actor.to_string(), (format!("shop-{i}"), *epoch)))
        };
        held(0).chain(held(1)).collect()
    }
}

proptest! {
    #[test]
    fn a_list_and_the_history_behind_it_are_the_truth(
        before in prop::collection::vec((0..2usize, 0..ACTORS), 0..12),
        after in prop::collection::vec((0..2usize, 0..ACTORS), 0..24),
        skew in 0..60u64,
        client_looks in [0..24usize, 0..24usize],
        mirror_looks in [0..24usize, 0..24usize],
        interleaving in prop::collection::vec(any::<bool>(), 64),
    ) {
        let mut nodes = Simulated::new();
        let mut time = 1000;
        for (node, actor) in before {
            time += 10;
            nodes.toggle(node, actor, time, skew);
        }
        // The moment of the list: no node's clock is behind it, and each is moved to it.
        let moment = (0..2).map(|node| nodes.stamp(node, time, skew)).max().unwrap();
        nodes.clocks = [moment; 2];
        let (mut client, mut mirror) = ([None, None], [None, None]);
        let look = |nodes: &Simulated, step: usize, client: &mut [Option<_>; 2], mirror: &mut [Option<_>; 2]| {
            for node in 0..2 {
                if client_looks[node].min(after.len()) == step {
                    client[node] = Some(nodes.list(node));
                }
                if mirror_looks[node].min(after.len()) == step {
                    mirror[node] = Some(nodes.list(node));
                }
            }
        };
        for (step, (node, actor)) in after.iter().enumerate() {
            look(&nodes, step, &mut client, &mut mirror);
            time += 10;
            nodes.toggle(*node, *actor, time, skew);
        }
        look(&nodes, after.len(), &mut client, &mut mirror);
        nodes.settle(time + 10, skew);

        let mut known = Knowledge::new();
        for (node, list) in client.into_iter().enumerate() {
            for placement in list.unwrap() {
                let newer = known.get(&placement.key).is_none_or(|(_, epoch)| *epoch < placement.epoch);
                if newer {
                    known.insert(placement.key, (format!("shop-{node}"), placement.epoch));
                }
            }
        }
        let pods = [node(0), node(1)];
        let mut told = Mirror::new(moment, 1000);
        pods.iter().for_each(|pod| told.joined(pod));
        for (pod, list) in pods.iter().zip(mirror) {
            told.listed(pod, list.unwrap());
        }
        let mut rest: Vec<_> = (0..2).map(|n| {
            nodes.done[n].iter().filter(|(.., stamp)| *stamp > moment).collect::<std::collections::VecDeque<_>>()
        }).collect();
        let mut turns = interleaving.into_iter();
        while rest.iter().any(|rest| !rest.is_empty()) {
            let wanted = usize::from(turns.next().unwrap_or(true));
            let n = if rest[wanted].is_empty() { 1 - wanted } else { wanted };
            let (actor, epoch, gone, stamp) = rest[n].pop_front().unwrap();
            match gone {
                true => told.gone(&pods[n], placement(*actor, *epoch), *stamp),
                false => told.activated(&pods[n], placement(*actor, *epoch), *stamp),
            }
        }
        let position = told.position(moment).unwrap();
        told.read(position, usize::MAX).unwrap().iter().for_each(|change| learn(&mut known, change));
        prop_assert_eq!(&known, &nodes.truth());
        // Whoever comes now, and is told what there is, knows the same.
        let mut fresh = Knowledge::new();
        told.snapshot().iter().for_each(|held| learn(&mut fresh, &Change::Added(held.clone())));
        prop_assert_eq!(&fresh, &nodes.truth());
    }
}

fn keys(mirror: &Mirror, from: u64) -> Vec<(bool, String, u64)> {
    let told = mirror.read(from, 100).unwrap();
    told.iter()
        .map(|change| match change {
            Change::Added(held) => (true, held.placement.key.clone(), held.placement.epoch),
            Change::Deleted(held) => (false, held.placement.key.clone(), held.placement.epoch),
        })
        .collect()
}

#[test]
fn an_actor_that_moves_is_deleted_and_added_in_either_order_of_the_news() {
    for gone_first in [true, false] {
        let (a, b) = (node(0), node(1));
        let mut mirror = Mirror::new(0, 10);
        [&a, &b].into_iter().for_each(|node| mirror.joined(node));
        mirror.activated(&a, placement(7, 1), 10);
        if gone_first {
            mirror.gone(&a, placement(7, 1), 20);
        }
        mirror.activated(&b, placement(7, 2), 30);
        if !gone_first {
            mirror.gone(&a, placement(7, 1), 20);
        }
        let key = || "7".to_owned();
        assert_eq!(keys(&mirror, 0), [(true, key(), 1), (false, key(), 1), (true, key(), 2)]);
    }
}

#[test]
fn what_a_node_held_goes_with_it_and_its_last_words_are_not_heard() {
    let (a, b) = (node(0), node(1));
    let mut mirror = Mirror::new(0, 10);
    [&a, &b].into_iter().for_each(|node| mirror.joined(node));
    mirror.activated(&a, placement(1, 1), 10);
    mirror.activated(&b, placement(2, 1), 10);
    mirror.vanished(&a.uid, 20);
    mirror.activated(&a, placement(3, 1), 30);
    assert_eq!(keys(&mirror, 2), [(false, "1".to_owned(), 1)]);
    assert_eq!(mirror.snapshot().len(), 1);
}

#[test]
fn a_node_that_forgot_is_compared_with_what_was_known() {
    let a = node(0);
    let mut mirror = Mirror::new(0, 10);
    mirror.joined(&a);
    mirror.activated(&a, placement(1, 1), 10);
    mirror.activated(&a, placement(2, 1), 10);
    mirror.resynced(&a, vec![placement(2, 1), placement(3, 5)], 40);
    assert_eq!(keys(&mirror, 2), [(false, "1".to_owned(), 1), (true, "3".to_owned(), 5)]);
}

#[test]
fn the_watermark_waits_for_the_slowest_and_never_falls() {
    let (a, b) = (node(0), node(1));
    let mut mirror = Mirror::new(5, 10);
    assert_eq!(mirror.told(), None);
    mirror.joined(&a);
    assert_eq!(mirror.told(), Some(5));
    mirror.progressed(&a, 50);
    assert_eq!(mirror.told(), Some(50));
    mirror.joined(&b);
    mirror.progressed(&a, 90);
    assert_eq!(mirror.told(), Some(50), "the new node has told nothing yet");
    mirror.progressed(&b, 60);
    assert_eq!(mirror.told(), Some(60));
    mirror.vanished(&b.uid, 70);
    assert_eq!(mirror.told(), Some(90));
}

#[test]
fn who_is_too_far_behind_must_list_again() {
    let a = node(0);
    let mut mirror = Mirror::new(5, 2);
    mirror.joined(&a);
    assert_eq!(mirror.position(4), Err(Lagged));
    assert_eq!(mirror.position(5), Ok(0));
    for actor in 0..3 {
        mirror.activated(&a, placement(actor, 1), 10 + actor as u64);
    }
    assert_eq!(mirror.read(0, 1), Err(Lagged));
    assert_eq!(mirror.position(9), Err(Lagged), "the first change is forgotten");
    assert_eq!(mirror.position(10), Ok(1));
    assert_eq!(keys(&mirror, 1).len(), 2);
}
