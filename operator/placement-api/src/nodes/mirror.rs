//! What the nodes of one cluster hold, and how it changes, for all who watch it. Pure.
//!
//! It has two halves: the *state*, the placement of each actor as far as is known, and the *history*, what watchers are
//! told, in order. A watcher that knows the state of stamp `s` is told the history from the first entry on whose stamp is
//! greater than `s` (entries' stamps never fall: each is at least that of the entry before). That suffix repeats what it
//! knew, and misses nothing.
//!
//! Of an actor there is one placement, though two nodes may speak of it while its shard moves, in any order. The rules:
//! - a placement is told as added once. One that came from a list is *untold* until its change comes by;
//! - a newer activation of the actor (by epoch, then by time) ends the older one: deleted, added;
//! - news of an older activation than the one known is late. That it came is not told. That it went is, but then the
//!   known one is told again behind it, so that nobody is left without.
//!
//! So the last that anybody is told of an actor is what the state says of it.
//!
//! The *watermark* is the stamp up to which every node has told everything. It is what a watch may go on from elsewhere,
//! and never falls, also when nodes come.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use greenroom_proto::v1;

use super::NodePod;
use super::listing::Place;

/// Entries that watchers may be behind.
pub const HISTORY_MAX: usize = 65_536;

/// A placement, and the node that holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The node.
    pub node: Arc<NodePod>,
    /// What it said.
    pub placement: v1::Placement,
}

impl Held {
    fn is(&self, other: &Self) -> bool {
        self.node.uid == other.node.uid && self.order() == other.order()
    }

    fn order(&self) -> (u64, i64) {
        (self.placement.epoch, self.placement.activated_unix_ms)
    }
}

/// What watchers are told.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is there.
    Added(Arc<Held>),
    /// It is gone.
    Deleted(Arc<Held>),
}

/// The place of a watcher is no longer in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lagged;

/// See the head of this file.
#[derive(Debug)]
pub struct Mirror {
    state: HashMap<Place, Known>,
    history: VecDeque<(u64, Change)>,
    /// The number of the first entry of the history.
    first: u64,
    /// Everything after this stamp is in the history.
    begins: u64,
    /// The stamp of the last entry.
    last: u64,
    nodes: HashMap<Arc<str>, u64>,
    watermark: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Known {
    held: Arc<Held>,
    told: bool,
}

impl Mirror {
    /// Of a cluster about which everything is known up to `begins`, and nothing after it.
    pub fn new(begins: u64, capacity: usize) -> Self {
        Self {
            state: HashMap::new(),
            history: VecDeque::new(),
            first: 0,
            begins,
            last: begins,
            nodes: HashMap::new(),
            watermark: begins,
            capacity,
        }
    }

    /// A node is there. What it will tell begins at the watermark.
    pub fn joined(&mut self, node: &NodePod) {
        let watermark = self.watermark();
        self.nodes.entry(node.uid.clone()).or_insert(watermark);
    }

    /// What a node holds, as background for the changes that it will tell; nobody is told.
    pub fn listed(&mut self, node: &Arc<NodePod>, placements: Vec<v1::Placement>) {
        if !self.nodes.contains_key(&node.uid) {
            return;
        }
        for placement in placements {
            let held = Arc::new(Held { node: node.clone(), placement });
            let place = Place::of(&held.placement);
            let newer = |known: &Known| held.order() > known.held.order();
            if self.state.get(&place).is_none_or(newer) {
                self.state.insert(place, Known { held, told: false });
            }
        }
    }

    /// What a node holds at a stamp, where watchers may know other things of it: they are told the difference, and what
    /// they may not have known.
    pub fn resynced(&mut self, node: &Arc<NodePod>, placements: Vec<v1::Placement>, stamp: u64) {
        let here: HashSet<Place> = placements.iter().map(Place::of).collect();
        let of_node = |known: &&Known| known.held.node.uid == node.uid;
        let gone: Vec<_> = self
            .state
            .values()
            .filter(of_node)
            .filter(|known| !here.contains(&Place::of(&known.held.placement)))
            .map(|known| known.held.placement.clone())
            .collect();
        gone.into_iter().for_each(|placement| self.gone(node, placement, stamp));
        placements.into_iter().for_each(|placement| self.activated(node, placement, stamp));
    }

    /// A node has activated an actor.
    pub fn activated(&mut self, node: &Arc<NodePod>, placement: v1::Placement, stamp: u64) {
        // A task that is being ended may have a last word.
        if !self.nodes.contains_key(&node.uid) {
            return;
        }
        let held = Arc::new(Held { node: node.clone(), placement });
        let place = Place::of(&held.placement);
        match self.state.get_mut(&place) {
            Some(known) if known.held.is(&held) => {
                if !std::mem::replace(&mut known.told, true) {
                    self.tell(Change::Added(held), stamp);
                }
                return;
            }
            Some(known) if known.held.order() > held.order() => return,
            Some(known) => {
                let older = known.held.clone();
                self.tell(Change::Deleted(older), stamp);
            }
            None => {}
        }
        self.state.insert(place, Known { held: held.clone(), told: true });
        self.tell(Change::Added(held), stamp);
    }

    /// An activation of a node has ended.
    pub fn gone(&mut self, node: &Arc<NodePod>, placement: v1::Placement, stamp: u64) {
        let held = Arc::new(Held { node: node.clone(), placement });
        let place = Place::of(&held.placement);
        let Some(known) = self.state.get_mut(&place) else {
            self.tell(Change::Deleted(held), stamp);
            return;
        };
        if known.held.is(&held) {
            self.state.remove(&place);
            self.tell(Change::Deleted(held), stamp);
        } else if !std::mem::replace(&mut known.told, true) {
            let current = known.held.clone();
            self.tell(Change::Deleted(held), stamp);
            self.tell(Change::Added(current), stamp);
        }
    }

    /// A node has told everything up to a stamp.
    pub fn progressed(&mut self, node: &NodePod, stamp: u64) {
        if let Some(told) = self.nodes.get_mut(&node.uid) {
            *told = stamp.max(*told);
        }
    }

    /// A node is no more, and with it what it held.
    pub fn vanished(&mut self, uid: &str, stamp: u64) {
        self.watermark();
        self.nodes.remove(uid);
        let lost: Vec<_> = self
            .state
            .values()
            .filter(|known| &*known.held.node.uid == uid)
            .map(|k| k.held.clone())
            .collect();
        for held in lost {
            self.state.remove(&Place::of(&held.placement));
            self.tell(Change::Deleted(held), stamp);
        }
    }

    fn tell(&mut self, change: Change, stamp: u64) {
        self.last = self.last.max(stamp);
        self.history.push_back((self.last, change));
        while self.history.len() > self.capacity {
            if let Some((stamp, _)) = self.history.pop_front() {
                self.first += 1;
                self.begins = stamp;
            }
        }
    }

    /// The stamp up to which every node has told everything; `None` while there are no nodes.
    pub fn told(&mut self) -> Option<u64> {
        let watermark = self.watermark();
        (!self.nodes.is_empty()).then_some(watermark)
    }

    fn watermark(&mut self) -> u64 {
        if let Some(least) = self.nodes.values().min() {
            self.watermark = self.watermark.max(*least);
        }
        self.watermark
    }

    /// The number of the entry from which a watcher must be told that knows the state of a stamp.
    pub fn position(&self, stamp: u64) -> Result<u64, Lagged> {
        if stamp < self.begins {
            return Err(Lagged);
        }
        let known = self.history.partition_point(|(entry, _)| *entry <= stamp);
        Ok(self.first + known as u64)
    }

    /// The number that the next entry will have.
    pub fn head(&self) -> u64 {
        self.first + self.history.len() as u64
    }

    /// At most `limit` entries from a number on.
    pub fn read(&self, from: u64, limit: usize) -> Result<Vec<Change>, Lagged> {
        let skip = from.checked_sub(self.first).ok_or(Lagged)?;
        let skip = usize::try_from(skip).map_err(|_| Lagged)?;
        Ok(self.history.iter().skip(skip).take(limit).map(|(_, change)| change.clone()).collect())
    }

    /// All placements that are known.
    pub fn snapshot(&self) -> Vec<Arc<Held>> {
        self.state.values().map(|known| known.held.clone()).collect()
    }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
